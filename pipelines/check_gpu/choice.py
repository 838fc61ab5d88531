"""The result of the check: plain data, for the log, args.json, checkpoints and the report."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass
class Way:
    """A row of the table."""

    differs: str = ""  # from the CPU's frames, or why it could not be tried
    clips_per_second: float | None = None  # that are read, of one rank; None: not measured


@dataclass
class Choice:
    """A way of decoding, why it was chosen, and what was found."""

    decode: str = "cpu"
    reason: str = ""
    checked: list[str] = field(default_factory=list)  # kinds of videos
    share: float = 0.0  # of the clips that are of these kinds
    network: Way = field(default_factory=Way)  # its clips/s, or why they could not be measured
    ways: dict[str, Way] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The choice of which `to_dict` gave these."""
        ways = {name: Way(**way) for name, way in values["ways"].items()}
        return cls(**values | {"ways": ways, "network": Way(**values["network"])})

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """The table: way, clips/s, frames; empty if nothing was tried."""
        notes = {"cpu": "the reference", "network": "steps of training on synthetic clips"}
        rows = {**self.ways, "network": self.network} if self.ways else {}
        return [(name, _speed(row), row.differs or notes.get(name, "as the CPU's")) for name, row in rows.items()]

    @property
    def text(self) -> str:
        """The table, and what follows from it."""
        lines = [f"pipeline.decode: {self.decode}, as {self.reason}"]
        if self.ways:
            lines.append(f"frames compared: {', '.join(self.checked)} ({self.share:.0%} of the clips)")
            table = [("way", "clips/s", "frames"), *self.rows]
            lines += [f"{name:<10}{speed:>14}  {frames}" for name, speed, frames in table]
        return "\n".join(lines)


def _speed(way: Way) -> str:
    return "not measured" if way.clips_per_second is None else f"{way.clips_per_second:.1f}"
