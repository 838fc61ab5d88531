"""The packets that the wanted frames need as a video file in memory, for decoders that cannot skip (NVDEC).

Such a decoder decodes a file from its beginning to the last wanted frame; here every packet that it need not decode is
left out, and the frames get new numbers.
"""

import io
import os
from collections.abc import Collection
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

from pipelines.decode.bitstream.headers import break_link, delimit
from pipelines.decode.bitstream.packets import Run
from pipelines.decode.container import VideoError, damaged
from pipelines.decode.demux import Demuxed
from pipelines.decode.nvdec import check_for_nvdec
from pipelines.decode.reader import VideoReader

CODECS = ("h264", "hevc", "vp9", "av1")
NOT_IN_MP4 = ("yuv440p",)  # of VP9, by FFmpeg's writer
AT_CUTS = {"h264": delimit, "hevc": break_link}  # what is done to packets that did not follow the one before
TICK = Fraction(1, 25)
UPRIGHT = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
"""Display matrix of a track that is shown as it is, 44 bytes into the track header box (ISO/IEC 14496-12, 8.3.2)."""

MOST_KEPT = 16  # pictures that an HEVC decoder keeps (ITU-T H.265 A.4.2)


def remux(path: str | Path, frames: Collection[int], for_nvdec: bool = False) -> tuple[bytes, np.ndarray]:
    """An MP4 file with the packets that `frames` need, and the numbers int32 (S,) of these frames in it.

    Every packet of the new file is a frame, shown in the order of the original.

    Raises:
        VideoError: as `decode_frames`; further `not_prunable` (a codec other than those of CODECS, or a file that does
            not tell in which order its frames are shown), `rotated` (such a decoder cannot turn or mirror frames) and,
            `for_nvdec`, `not_for_nvdec` (see `check_for_nvdec`).
    """
    wanted = [int(frame) for frame in frames]
    with VideoReader(path) as video:
        if for_nvdec:
            check_for_nvdec(video)
        codec = video.stream.codec_context
        if not video.demuxed.shown or codec.codec.canonical_name not in CODECS or codec.pix_fmt in NOT_IN_MP4:
            raise _not_prunable(path)
        output = io.BytesIO()
        try:
            number_of = _write(output, video, set(wanted))
        except av.FFmpegError as error:
            raise damaged(path, error) from error
    data = output.getvalue()
    if not data.startswith(UPRIGHT, data.rindex(b"tkhd") + 44):
        message = f"{path}: is shown turned or mirrored; make a training copy of it, or set pipeline.decode to cpu"
        raise VideoError("rotated", message)
    return data, np.array([number_of[frame] for frame in wanted], np.int32)


def _write(output: io.BytesIO, video: VideoReader, wanted: set[int]) -> dict[int, int]:
    """Write the packets; return the new number of each wanted frame."""
    demuxed, codec = video.demuxed, video.stream.codec_context
    runs = runs_apart(demuxed, wanted)
    chosen = [(number, i) for number, run in enumerate(runs) for i in run.packets]  # in decoding order
    order = sorted(range(len(chosen)), key=lambda k: (chosen[k][0], demuxed.facts[chosen[k][1]].pts))
    if not _can_be_shown(demuxed, [chosen[k] for k in order]):
        raise _not_prunable(demuxed.path)
    place = {chosen[k][1]: new_number for new_number, k in enumerate(order)}  # packet -> place in the order shown
    delay = max(k - place[i] for k, (_, i) in enumerate(chosen))  # nothing is shown before it is decoded
    extradata = codec.extradata or b""
    cuts = {run.packets[0] for run in runs[1:]}
    mend = AT_CUTS.get(codec.codec.canonical_name, lambda data, extradata: data)
    packets = demuxed.packets(i for _, i in chosen)
    with av.open(output, "w", format="mp4", options={"use_editlist": "0"}) as target:
        copy = target.add_stream_from_template(video.stream, opaque=True)
        copy.time_base = TICK
        for dts, ((_, i), packet) in enumerate(zip(chosen, packets, strict=True)):
            if not (demuxed.facts[i].frame or packet.is_discard):
                raise _not_prunable(demuxed.path)  # pictures that no frame shows would be counted
            data = bytes(packet)
            new = av.Packet(mend(data, extradata) if i in cuts else data)
            new.stream, new.time_base, new.duration = copy, TICK, 1
            new.dts, new.pts = dts, place[i] + delay
            new.is_keyframe = demuxed.facts[i].start
            target.mux(new)
    return {frame: place[i] for run in runs for i, frame in run.wanted.items()}


def _can_be_shown(demuxed: Demuxed, chosen: list[tuple[int, int]]) -> bool:
    """Whether packets (run, packet) in the order of their times are in that of the stream, those of hidden pictures,
    too."""
    shown = [(number, demuxed.facts[i].order) for number, i in chosen if demuxed.facts[i].order is not None]
    return len({(number, demuxed.facts[i].pts) for number, i in chosen}) == len(chosen) and shown == sorted(shown)


def _not_prunable(path: str | Path) -> VideoError:
    message = f"{path}: its packets cannot be chosen from; make a training copy, or set pipeline.decode to cpu"
    return VideoError("not_prunable", message)


@cache
def black_video() -> bytes:
    """A video file of one black frame, 256 x 256 pixels, to stand for what cannot be read.

    VP9, because DALI decodes it on the CPU and on NVDEC.
    """
    output = io.BytesIO()
    with av.open(output, "w", format="mp4") as target:
        stream = target.add_stream("libvpx-vp9", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
        stream.thread_count = 1
        frame = av.VideoFrame.from_ndarray(np.zeros((256, 256, 3), np.uint8), format="rgb24")
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return output.getvalue()


@cache
def black_file() -> str:
    """The path of a file that holds `black_video`. It lies in memory, and is there for as long as this process is."""
    number = os.memfd_create("black.mp4")
    os.write(number, black_video())
    return f"/proc/{os.getpid()}/fd/{number}"


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
