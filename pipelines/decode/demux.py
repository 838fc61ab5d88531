"""One pass over the packets of a file: what there is, in which order it is shown, and the packets themselves."""

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from pipelines.decode.bitstream.h264 import IDR_SLICE
from pipelines.decode.bitstream.headers import header_reader
from pipelines.decode.bitstream.mp4 import SampleTable, sample_table
from pipelines.decode.bitstream.packets import Fact, Packet, Run, gather_facts, order_shown, select
from pipelines.decode.bitstream.single_slices import Units, facts_in_order, single_units
from pipelines.decode.container import VideoError, damaged, open_video, video_stream
from pipelines.files.formats import demuxer_of
from pipelines.files.storage import KEEP_BYTES, fetch, is_remote
from pipelines.files.words import counted


class Packets(Protocol):
    """Packets by number."""

    def __getitem__(self, number: int, /) -> av.Packet: ...


@dataclass
class Demuxed:
    """The packets of the video stream of a file."""

    path: str | Path
    facts: list[Fact]
    shown: list[int] | None  # packets that hold frames, in the order shown; None: only a decode can tell
    kept: Packets | None
    in_one_go: bool = False  # frames come out as packets go in: runs can follow each other without an end between them

    @property
    def starts_clean(self) -> bool:
        """Whether the first packet is a random access point."""
        return bool(self.facts and self.facts[0].start)

    def packets(self, numbers: Iterable[int]) -> Iterator[av.Packet]:
        """The packets with these numbers, which grow."""
        if self.kept is not None:
            yield from (self.kept[i] for i in numbers)
            return
        with open_video(self.path) as container:
            packets, position = _packets(container, video_stream(self.path, container)), 0
            for i in numbers:
                packet = next(islice(packets, i - position, None), None)
                if packet is None:
                    raise damaged(self.path, f"packet {i} is gone")
                yield packet
                position = i + 1

    def runs(self, frames: Collection[int], avoided: Collection[int] = ()) -> list[Run]:
        """What to decode for the wanted frames (if `shown` is known); see `select`.

        Raises:
            VideoError: `short`.
        """
        shown = self.shown or []
        check_range(self.path, frames, len(shown))
        runs = select(self.facts, {shown[frame]: frame for frame in frames}, avoided)
        if self.in_one_go and runs:
            packets = [packet for run in runs for packet in run.packets]
            return [Run(packets, {packet: frame for run in runs for packet, frame in run.wanted.items()})]
        return runs


def demux(path: str | Path, container: InputContainer, stream: VideoStream) -> Demuxed:
    """Read all packets of `stream`.

    Raises:
        VideoError: `damaged`, also where the container lists packets that are not in the file.
    """
    codec = stream.codec_context
    read = header_reader(codec.codec.canonical_name, codec.extradata or b"")
    packets: list[Packet] = []
    kept: list[av.Packet] = []
    size = 0
    try:
        for packet in _packets(container, stream):
            if packet.is_corrupt:
                raise damaged(path, f"packet {len(packets)} is cut short")
            header = read(memoryview(packet), packet.is_keyframe)
            new_parameters = packet.has_sidedata("new_extradata")
            packets.append(Packet(packet.pts, packet.is_discard, header, new_parameters))
            size += packet.size
            if size <= KEEP_BYTES:
                kept.append(packet)
    except av.FFmpegError as error:
        raise damaged(path, error) from error
    if "mp4" in container.format.name and len(packets) < len(stream.index_entries):
        listed = sum(entry.size > 0 for entry in stream.index_entries)
        if len(packets) < listed:
            raise damaged(path, f"{len(packets)} of {listed} packets can be read")
    facts = gather_facts(packets)
    shown = order_shown(facts, codec.has_b_frames, gapless=codec.codec.canonical_name == "hevc")
    return Demuxed(path, facts, shown, kept if size <= KEEP_BYTES else None)


def demux_plain(path: str | Path) -> tuple[Demuxed, SampleTable] | None:
    """The same for a plain MP4 or MOV file, in a fraction of the time, and what it says of its packets.

    None where the file is not plain, cannot be read or does not tell in which order its frames are shown. What a file
    without offsets between decoding and showing tells of its order holds only if the decoder has no B-frames.

    Of a training copy with COPY_MARK only the kind of each picture is read, not its header: those of a hundred take as
    long as to decode two pictures. The mark says that nothing more is in the headers; other programs may keep it when
    they write the file anew, but then the kinds are others, or the groups are still closed.
    """
    data = _read_whole(path)
    if not data or (table := sample_table(data)) is None:
        return None
    samples = _Samples(memoryview(data), table)
    read = header_reader(table.codec, table.extradata)
    units = single_units(data, table)
    starts = table.starts
    if starts is not None and units and _is_copy(table, starts, units) and read(samples.bytes(0), False).shown:
        facts = [Fact(pts, True, start, True, False) for pts, start in zip(samples.pts, starts.tolist(), strict=True)]
        return Demuxed(path, facts, list(range(len(facts))), samples, in_one_go=True), table
    if units and (found := facts_in_order(data, table, units)):
        return Demuxed(path, *found, samples), table
    facts = gather_facts([Packet(pts, False, read(samples.bytes(i), False)) for i, pts in enumerate(samples.pts)])
    shown = order_shown(facts, reordered=False, gapless=table.codec == "hevc")
    return None if shown is None else (Demuxed(path, facts, shown, samples), table)


def _is_copy(table: SampleTable, starts: np.ndarray, units: Units) -> bool:
    """Whether a file with COPY_MARK is still as it was made: each picture, but for the first, in one unit of the kind
    that the list of random access points says, and shown after the one before it (ITU-T H.264 7.3.1, 7.4.1).
    """
    as_listed = ((units.kinds == IDR_SLICE) == starts[1:]) & units.reference
    return bool(starts[0] and as_listed.all() and (np.diff(table.pts) > 0).all())


class _Samples:
    """The packets of a plain file that lies in memory."""

    def __init__(self, data: memoryview, table: SampleTable):
        self.data = data
        self.starts, self.ends = table.offsets.tolist(), (table.offsets + table.sizes).tolist()
        self.pts = table.pts.tolist()

    def bytes(self, number: int) -> memoryview:
        return self.data[self.starts[number] : self.ends[number]]

    def __getitem__(self, number: int) -> av.Packet:
        packet = av.Packet(self.bytes(number))  # type: ignore[arg-type]  # PyAV's stubs know of bytes only
        packet.pts = self.pts[number]
        return packet


def _read_whole(path: str | Path) -> bytes | None:
    """What an MP4 or MOV file holds, if it is one that may be kept in memory and can be read."""
    if demuxer_of(path) not in ("mp4", "mov"):
        return None
    try:
        if is_remote(path):
            return fetch(path)
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode) and status.st_size <= KEEP_BYTES:
            return Path(path).read_bytes()
    except (OSError, ValueError):  # ValueError: a name that cannot be one
        pass
    return None


def check_range(path: str | Path, frames: Collection[int], count: int) -> None:
    """Raise VideoError `short` if a frame is not in 0 .. count - 1."""
    outside = [frame for frame in frames if not 0 <= frame < count]
    if outside:
        raise VideoError(
            "short", f"{path}: has {counted(count, 'frame')}, frame {outside[0]} is wanted; index the videos again"
        )


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    """All but empty ones: of them FFmpeg makes no frame, and PyAV gives one at the end, to flush the decoder."""
    return (packet for packet in container.demux(stream) if packet.size)
