"""The packets that the wanted frames need as a video file in memory, for decoders that cannot skip by themselves (NVDEC).

Such a decoder decodes a file from its beginning to the last wanted frame; here every packet that it need not decode is
left out, and the frames are numbered anew.
"""

import io
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np

from pipelines.demux import Demuxed, check_range, demux
from pipelines.headers import break_link
from pipelines.video_file import VideoError, damaged, open_video, video_stream

CODECS = ("h264", "hevc", "vp9", "av1")
TICK = Fraction(1, 25)
UPRIGHT = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
"""Display matrix of a track that is shown as it is, 44 bytes into the track header box (ISO/IEC 14496-12, 8.3.2)."""


def remux(path: str | Path, frames: Sequence[int]) -> tuple[bytes, np.ndarray]:
    """An MP4 file with the packets that `frames` need, and the numbers int32 (S,) of these frames in it.

    Every packet of the new file is a frame, shown in the order of the original.

    Raises:
        VideoError: as `decode_frames`; further `not_prunable` (a codec other than those of CODECS, or a file that does
            not tell in which order its frames are shown) and `rotated` (such a decoder cannot turn pictures).
    """
    frames = np.asarray(frames)
    with open_video(path) as container:
        stream = video_stream(path, container)
        demuxed = demux(path, container, stream)
        if not demuxed.shown or stream.codec_context.codec.canonical_name not in CODECS:
            message = f"{path}: its packets cannot be chosen from; make a training copy, or set pipeline.decode to cpu"
            raise VideoError("not_prunable", message)
        output = io.BytesIO()
        try:
            number_of = _write(output, demuxed, stream, frames)
        except av.FFmpegError as error:
            raise damaged(path, error) from error
    data = output.getvalue()
    if not data.startswith(UPRIGHT, data.rindex(b"tkhd") + 44):
        message = f"{path}: is shown turned; make a training copy of it, or set pipeline.decode to cpu"
        raise VideoError("rotated", message)
    return data, np.array([number_of[frame] for frame in frames.tolist()], np.int32)


def _write(output: io.BytesIO, demuxed: Demuxed, stream: av.VideoStream, frames: np.ndarray) -> dict[int, int]:
    """Write the packets; return the new number of each wanted frame."""
    runs = demuxed.runs(set(frames.tolist()))
    chosen = [(run_number, i) for run_number, run in enumerate(runs) for i in run.packets]  # in decoding order
    in_order = sorted(range(len(chosen)), key=lambda k: (chosen[k][0], demuxed.facts[chosen[k][1]].pts))
    shown_at = {k: number for number, k in enumerate(in_order)}
    delay = max(k - number for k, number in shown_at.items())  # so that nothing is shown before it is decoded
    extradata = stream.codec_context.extradata or b""
    with av.open(output, "w", format="mp4", options={"use_editlist": "0"}) as target:
        copy = target.add_stream_from_template(stream, opaque=True)
        copy.time_base = TICK
        starts = {run.packets[0] for run in runs[1:]}
        for k, (packet, (_, i)) in enumerate(zip(demuxed.packets(i for _, i in chosen), chosen, strict=True)):
            data = bytes(packet)
            if i in starts and copy.codec_context.codec.canonical_name == "hevc":
                data = break_link(data, extradata)
            new = av.Packet(data)
            new.stream, new.time_base = copy, TICK
            new.dts, new.pts, new.duration = k, shown_at[k] + delay, 1
            new.is_keyframe = demuxed.facts[i].start
            target.mux(new)
    first_of = {i: k for k, (_, i) in enumerate(chosen)}
    return {frame: shown_at[first_of[i]] for run in runs for i, frame in run.wanted.items()}
