"""Which way of decoding is right and fast enough on this machine; see docs/gpu.md."""

from collections.abc import Callable
from functools import partial
from typing import Any

from pipelines.check_gpu.child import Failed, LimitedChild
from pipelines.check_gpu.choice import Choice, Way
from pipelines.check_gpu.decoding import Decoding
from pipelines.check_gpu.kinds import Kinds
from pipelines.check_gpu.trial import Announce, clips_per_second, judge

SECONDS, SECONDS_EACH = 55.0, 15.0
MOST_BATCHES = 4
"""What the CPU would have given in this time, if it gives no two batches in it, some of which is for its start."""
NOT_ON_NVDEC = "{} do not belong on NVDEC; training copies do"
WAYS = ("gpu", "gpu_whole")


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
        return Choice(reason=NOT_ON_NVDEC.format(kinds.refused))
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
        choice.network = _measured(tried(network_rate))
        choice.ways = {"cpu": Way(), **choice.ways}
        for name in ("cpu", *right):
            choice.ways[name] = _measured(rate := tried(partial(clips_per_second, decoding, name)))
            if name == "cpu" and isinstance(rate, Failed) and rate.time_over:
                most = MOST_BATCHES * decoding.config.training_param.batch_size / decoding.world / seconds_each
                choice.ways[name] = Way(f"{rate.reason}; at most so many clips/s", most)
    choice.decode, choice.reason = _fastest(choice)
    return choice


def _measured(rate: Any) -> Way:
    return Way(rate.reason) if isinstance(rate, Failed) else Way(clips_per_second=rate)


def _fastest(choice: Choice) -> tuple[str, str]:
    rates = {name: way.clips_per_second for name, way in choice.ways.items() if way.clips_per_second is not None}
    if "cpu" not in rates:
        return "cpu", f"its speed could not be measured ({choice.ways['cpu'].differs})"
    best = max(rates, key=lambda name: rates[name])  # of equal ones the first
    needed = choice.network.clips_per_second
    if needed is not None and rates["cpu"] >= needed:
        return "cpu", "it gives all that the network can take"
    if best == "cpu":
        return "cpu", "no way that is right is faster"
    return best, f"it gives the CPU's frames, {rates[best] / rates['cpu']:.1f} times as fast"
