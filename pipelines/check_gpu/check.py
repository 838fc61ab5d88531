"""Which way of decoding is right and fast enough on this machine; see docs/gpu.md."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from pipelines.check_gpu.child import Failed, LimitedChild
from pipelines.check_gpu.decoding import Decoding
from pipelines.check_gpu.kinds import Kinds
from pipelines.check_gpu.trial import Announce, clips_per_second, judge

SECONDS, SECONDS_EACH = 55.0, 12.0
WAYS = ("gpu", "gpu_whole")


@dataclass
class Way:
    """A row of the table."""

    differs: str = ""  # from the CPU's frames, or why it could not be tried
    clips_per_second: float | None = None  # None: not measured


@dataclass
class Choice:
    """The result of the check: plain data, kept in args.json and in checkpoints."""

    decode: str = "cpu"
    reason: str = ""
    checked: list[str] = field(default_factory=list)  # kinds of videos
    share: float = 0.0  # of the clips that are of these kinds
    network: float | None = None  # clips/s that it can take
    ways: dict[str, Way] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def text(self) -> str:
        """The table, and what follows from it."""
        lines = [f"pipeline.decode: {self.decode}, as {self.reason}"]
        if self.ways:
            lines.append(f"frames compared: {', '.join(self.checked)} ({self.share:.0%} of the clips)")
            rows = [(name, _speed(way.clips_per_second), _frames(name, way)) for name, way in self.ways.items()]
            rows.append(("network", _speed(self.network), "one step on synthetic data"))
            lines += [
                f"{name:<10}{speed:>14}  {frames}" for name, speed, frames in [("way", "clips/s", "frames"), *rows]
            ]
        return "\n".join(lines)


def check_gpu(
    decoding: Decoding,
    kinds: Kinds,
    network_rate: Callable[[Announce], float],
    seconds: float = SECONDS,
    seconds_each: float = SECONDS_EACH,
) -> Choice:
    """Compare the frames of each way with the CPU's, then the speed of those that are right with the network's.

    What hangs or crashes does so in a child process.

    Args:
        decoding: where frames and batches come from.
        kinds: of the clips of the data set.
        network_rate: clips/s that the network can take, measured in the child process.
        seconds, seconds_each: that the whole check may take, and each part of it.
    """
    if kinds.refused:
        return Choice(reason=f"{kinds.refused} do not belong on NVDEC; training copies do")
    choice = Choice(checked=[str(kind) for kind in kinds.clips], share=kinds.share)
    with LimitedChild(seconds) as child:

        def tried(work: Callable[[Announce], Any]) -> Any:
            return child.run(work, seconds_each)

        for name in WAYS:
            result = tried(partial(judge, decoding, name, kinds.clips))
            choice.ways[name] = Way(result.reason if isinstance(result, Failed) else result)
        right = [name for name in WAYS if not choice.ways[name].differs]
        if not right:
            choice.reason = "; ".join(f"{name}: {way.differs}" for name, way in choice.ways.items())
            return choice
        network = tried(network_rate)
        choice.network = None if isinstance(network, Failed) else network
        choice.ways = {"cpu": Way(), **choice.ways}
        for name in ("cpu", *right):
            rate = tried(partial(clips_per_second, decoding, name))
            if isinstance(rate, Failed):
                choice.ways[name].differs = rate.reason
            else:
                choice.ways[name].clips_per_second = rate
    choice.decode, choice.reason = _fastest(choice)
    return choice


def _fastest(choice: Choice) -> tuple[str, str]:
    rates = {name: way.clips_per_second for name, way in choice.ways.items() if way.clips_per_second is not None}
    if "cpu" not in rates:
        return "cpu", f"its speed could not be measured ({choice.ways['cpu'].differs})"
    best = max(rates, key=lambda name: rates[name])  # of equal ones the first
    if choice.network is not None and rates["cpu"] >= choice.network:
        return "cpu", "it gives all that the network can take"
    if best == "cpu":
        return "cpu", "no way that is right is faster"
    return best, f"it gives the CPU's frames, {rates[best] / rates['cpu']:.1f} times as fast"


def _speed(rate: float | None) -> str:
    return "not measured" if rate is None else f"{rate:.1f}"


def _frames(name: str, way: Way) -> str:
    return way.differs or ("the reference" if name == "cpu" else "as the CPU's")
