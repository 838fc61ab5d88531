"""Where a pruned stream goes on behind a gap: which runs of packets may follow each other."""

from pipelines.demux import Demuxed
from pipelines.packets import Run

MOST_KEPT = 16  # pictures that an HEVC decoder keeps (ITU-T H.265 A.4.2)


def runs_apart(demuxed: Demuxed, wanted: set[int]) -> list[Run]:
    """The runs of packets that give the wanted frames, for a stream in which they follow each other.

    Where a decoder might take a picture for one of the run before, a run begins at an earlier random access point.
    """
    avoided: set[int] = set()
    while True:
        runs = demuxed.runs(wanted, avoided)
        counts = [_counts(demuxed, run, number) for number, run in enumerate(runs)]
        unclear = [
            run.packets[0]
            for run, before, after in zip(runs[1:], counts, counts[1:], strict=False)
            if _counts_on(demuxed, run) and any(abs(count - after[0]) <= MOST_KEPT for count in before[-MOST_KEPT:])
        ]
        if not unclear:
            return runs
        avoided.add(unclear[0])


def _counts_on(demuxed: Demuxed, run: Run) -> bool:
    """Whether a run begins in the middle of a count of pictures: at a clean random access point of HEVC."""
    order = demuxed.facts[run.packets[0]].order
    return order is not None and len(order) == 3 and order[1] != 0


def _counts(demuxed: Demuxed, run: Run, number: int) -> list[int]:
    """The picture order counts that a decoder gives to the pictures of a run of HEVC.

    At a broken link it begins with the low bits alone (ITU-T H.265 8.3.1), and may come upon that of a picture before.
    """
    orders = [order for i in run.packets if (order := demuxed.facts[i].order)]
    if not orders or len(orders[0]) < 3:
        return []
    sequence, count, modulus = orders[0]
    low = count % modulus
    if number == 0 and 2 * low >= modulus:
        low -= modulus
    return [order[1] - (count - low if order[0] == sequence else 0) for order in orders]
