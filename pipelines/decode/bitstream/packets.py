"""Which packets of a video the wanted frames need: the fewest that reproduce these frames to the last bit.

A frame needs the pictures that it was predicted from, back to the last random access point; a picture that nothing is
predicted from is needed only if it is wanted itself. This is arithmetic on facts about the packets; nothing is read.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from pipelines.decode.bitstream.headers import Header


class Packet(NamedTuple):
    """What the demuxer and the coded picture's header say of a packet."""

    pts: int | None  # when the picture is shown, in ticks
    discard: bool  # hidden by the container (edit list)
    header: Header
    new_parameters: bool = False  # the container replaces the parameter sets here, outside the stream


class Fact(NamedTuple):
    """What selection needs to know of a packet."""

    pts: int | None
    frame: bool | None  # a full decode of the file yields its picture; None: only a decode can tell
    start: bool  # decoding may start here
    reference: bool  # later packets may need it
    leading: bool  # cannot be decoded when decoding starts at the last start
    order: tuple[int, ...] | None = None  # in which the stream itself says that pictures are shown; see `Header`


class Run(NamedTuple):
    """Packets to decode in one go."""

    packets: list[int]  # numbers of packets, in decoding order; the first is a start
    wanted: dict[int, int]  # number of a packet -> number of the frame in it


def gather_facts(packets: Sequence[Packet]) -> list[Fact]:
    """The facts of all packets of a stream, in decoding order."""
    top_layer = max((packet.header.layer for packet in packets), default=0)
    facts: list[Fact] = []
    parameters_seen = can_start = leading_hidden = False
    start_pts = anchor_pts = None
    ended = False
    for pts, discard, header, new_parameters in packets:
        # Pictures may be lost there, or parameter sets that later packets need stand beside this one.
        opaque = bool(facts) and (new_parameters or (header.start and (ended or header.discards)))
        ended = header.ends
        if header.start:
            leading_hidden = header.broken_link or not facts
            # Parameter sets inside the stream may replace earlier ones: then only a place with its own will do.
            can_start = header.all_parameters or not parameters_seen
            start_pts = pts
        parameters_seen |= header.parameters
        leading = header.leading or (header.may_lead and _before(pts, start_pts))
        if not header.may_lead:
            anchor_pts = pts
        elif not _before(pts, anchor_pts):
            opaque = True  # the picture that should be shown after this one is lost, or times are made up
        frame = None if opaque else header.shown and not discard and not (leading and leading_hidden)
        # Non-reference pictures of a lower temporal layer serve the layers above it.
        reference = header.reference or header.parameters or header.layer < top_layer
        facts.append(Fact(pts, frame, header.start and can_start, reference, leading and can_start, header.order))
    return facts


def order_shown(facts: Sequence[Fact], reordered: bool, gapless: bool = False) -> list[int] | None:
    """The packets that hold frames, in the order in which a full decode yields them; None: only a decode can tell.

    Args:
        facts: of all packets.
        reordered: the stream may show pictures in another order than that of decoding.
        gapless: its own count of pictures grows in equal steps, unless some are lost; a decoder then leaves out others.
    """
    if not facts or not facts[0].start or any(fact.frame is None for fact in facts):
        return None  # before its first random access point, a decoder leaves out pictures as it sees fit
    frames = [i for i, fact in enumerate(facts) if fact.frame]
    times = {i: pts for i in frames if (pts := facts[i].pts) is not None}
    if len(set(times.values())) < len(frames):
        return None
    all_times = [fact.pts for fact in facts if fact.pts is not None]
    if reordered and len(facts) > 2 and all_times == sorted(all_times):
        return None  # AVI, and Matroska made from it, do not keep when a picture is shown: the demuxer made it up
    if _goes_back(facts):
        return None
    shown = sorted(frames, key=times.__getitem__)
    orders = [order for i in shown if (order := facts[i].order) is not None]
    if not reordered and len(orders) < len(shown) and shown != frames:
        return None  # such a decoder gives pictures as they come, whatever their times are
    if orders != sorted(orders) or (gapless and _has_gaps([(times[i], facts[i].order) for i in shown])):
        return None  # what the container says cannot be true
    return shown


def _has_gaps(shown: Sequence[tuple[int, tuple[int, ...] | None]]) -> bool:
    """Whether pictures (time, order) are missing: by their count, and where a count begins anew, by their times."""
    pairs = [(after - before, old, new) for (before, old), (after, new) in pairwise(shown) if old and new]
    gaps = [gap for gap, old, new in pairs if old[0] != new[0]]
    steps = {new[1] - old[1] for _, old, new in pairs if old[0] == new[0]}
    usual = sorted(gap for gap, _, _ in pairs)[len(pairs) // 2] if pairs else 0
    return len(steps) > 1 or any(gap > 1.5 * usual for gap in gaps)


def _goes_back(facts: Sequence[Fact]) -> bool:
    """Whether a picture is shown after a random access point that follows it: recordings put together, each with times
    of its own, or an edit list that leaves out a part (packets that it hides count, too)."""
    timed = [(pts, fact.start) for fact in facts if (pts := fact.pts) is not None]
    latest = accumulate((pts for pts, _ in timed), max)
    return any(start and pts < before for (pts, start), before in zip(timed, latest, strict=True))


def select(facts: Sequence[Fact], wanted: dict[int, int], avoided: Collection[int] = ()) -> list[Run]:
    """The runs of packets that give the wanted frames (packet -> frame), each frame in exactly one run.

    avoided: starts at which no run is to begin.
    """
    starts = [i for i, fact in enumerate(facts) if fact.start]
    usable = [i for i in starts if i not in avoided]
    runs = []
    for first, last in _merged(_interval(facts, usable, i) for i in wanted):
        next_start = next((i for i in starts if i > first), len(facts))
        packets = [
            i
            for i in range(first, last + 1)
            if i in wanted or (facts[i].reference and not (facts[i].leading and i < next_start))
        ]
        runs.append(Run(packets, {i: wanted[i] for i in packets if i in wanted}))
    return runs


def _interval(facts: Sequence[Fact], starts: Sequence[int], packet: int) -> tuple[int, int]:
    """The packets among which lies all that `packet` needs: first (a start) and last (itself)."""
    start = bisect_right(starts, packet) - 1
    return starts[start - 1 if facts[packet].leading else start], packet


def _merged(intervals: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Unions of the intervals that overlap, in order."""
    first = last = -1
    for begin, end in sorted(intervals):
        if begin <= last:
            last = max(last, end)
            continue
        if last >= 0:
            yield first, last
        first, last = begin, end
    if last >= 0:
        yield first, last


def _before(pts: int | None, start_pts: int | None) -> bool:
    return pts is not None and start_pts is not None and pts < start_pts
