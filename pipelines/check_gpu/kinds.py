"""The kinds of videos in a data set, and clips of them to check a decoder with."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pipelines.dataset.clips import Clip
from pipelines.decode.nvdec import why_not_nvdec
from pipelines.files.words import counted

CLIPS_PER_KIND, MOST_KINDS = 2, 6


class Kind(NamedTuple):
    """What a decoder is set up for."""

    codec: str
    pix_fmt: str
    height: int
    width: int

    def __str__(self) -> str:
        full = " full range" if self.pix_fmt == "yuvj420p" else ""
        return f"{self.codec} {self.width} x {self.height}{full}"


class Kinds(NamedTuple):
    """What `find_kinds` finds."""

    clips: dict[Kind, list[Clip]]  # some of each of the most frequent kinds
    share: float  # of all clips that are of these kinds
    refused: str  # which clips do not belong on NVDEC, and why; "": all belong there


def find_kinds(clips: Iterable[Clip], info_of: Mapping[str, Mapping[str, Any]]) -> Kinds:
    """Sort clips by kind.

    Args:
        clips: of the lists of a data set.
        info_of: the fields of a `VideoInfo`, by path.
    """
    counts: Counter[Kind] = Counter()
    examples: dict[Kind, list[Clip]] = {}
    refused: Counter[str] = Counter()
    for clip in clips:
        info = info_of.get(clip.path)
        why = why_not_nvdec(info) if info else "not in the index"
        if info is None or why:
            refused[why] += 1
            continue
        kind = Kind(info["codec"], info["pix_fmt"], info["height"], info["width"])
        counts[kind] += 1
        others = examples.setdefault(kind, [])
        if len(others) < CLIPS_PER_KIND and clip.path not in {other.path for other in others}:
            others.append(clip)
    chosen = counts.most_common(MOST_KINDS)
    total = sum(counts.values()) + sum(refused.values())
    reasons = ", ".join(f"{why}: {count}" for why, count in refused.most_common())
    return Kinds(
        clips={kind: examples[kind] for kind, _ in chosen},
        share=sum(count for _, count in chosen) / max(total, 1),
        refused=f"{sum(refused.values())} of {counted(total, 'clip')} ({reasons})" if refused else "",
    )
