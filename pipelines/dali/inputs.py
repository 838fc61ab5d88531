"""The inputs of the graph, made from a clip's file: what a worker reads, and what stands for an unreadable clip.

Each has `read(clip, plan, together)` and `black(num_segments)`; both give the first two arrays of a `Sample`. They run
in the decode workers and hold plain data only. `together` are the frames that several samples want of the clip, those
of the plan among them: these samples are read one after another.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.dataset.clips import Clip
from pipelines.dataset.config import LoaderConfig
from pipelines.dataset.list_line import WHOLE
from pipelines.dataset.video_index import packet_tables
from pipelines.decode.container import VideoError, damaged
from pipelines.decode.demux import check_range
from pipelines.decode.frame_folder import read_frames
from pipelines.decode.frames import decode_crop, shown_size
from pipelines.decode.jpeg import black_jpeg
from pipelines.decode.nvdec import check_for_nvdec
from pipelines.decode.orientation import Orientation, orientation
from pipelines.decode.packet_table import Tables
from pipelines.decode.reader import VideoReader
from pipelines.decode.remux import black_file, black_video, remux
from pipelines.sampling.plan import Plan

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class DecodedVideo:
    """Frames uint8 (S, H, W, 3), decoded and cropped by the worker; their numbers."""

    one_file: bool = False  # all clips are parts of one file, as the windows of a long video: its packets are read once
    tables: Tables | None = None  # where the packets of files with pieces lie

    def read(self, clip: Clip, plan: Plan, together: Collection[int] = ()) -> Arrays:
        size = clip.height, clip.width
        table = self.tables.of(clip.path) if self.tables and clip.end != WHOLE else ""
        return decode_crop(clip.path, plan.frames, size, plan.crop, together, self.one_file, table), plan.frames

    def black(self, num_segments: int) -> Arrays:
        return np.zeros((num_segments, 1, 1, 3), np.uint8), np.zeros(num_segments, np.int32)


@dataclass(frozen=True)
class PrunedVideo:
    """A video file in memory with the needed packets, uint8 (bytes,); the frames' numbers in it."""

    on_nvdec: bool = False  # DALI decodes with NVDEC, and not on the CPU

    def read(self, clip: Clip, plan: Plan, together: Collection[int] = ()) -> Arrays:
        data, frames = remux(clip.path, plan.frames, self.on_nvdec)
        return np.frombuffer(data, np.uint8), frames

    def black(self, num_segments: int) -> Arrays:
        return np.frombuffer(black_video(), np.uint8), np.zeros(num_segments, np.int32)


@dataclass(frozen=True)
class WholeVideo:
    """The path of a file that the graph reads by itself, uint8 (bytes,); the frames' numbers."""

    black_path: str
    on_nvdec: bool = False  # as of `PrunedVideo`

    def read(self, clip: Clip, plan: Plan, together: Collection[int] = ()) -> Arrays:
        check_whole(clip, plan.frames, self.on_nvdec)
        return np.frombuffer(clip.path.encode(), np.uint8), plan.frames

    def black(self, num_segments: int) -> Arrays:
        return np.frombuffer(self.black_path.encode(), np.uint8), np.zeros(num_segments, np.int32)


@dataclass(frozen=True)
class JpegFrames:
    """JPEG files, one behind the other, uint8 (bytes,); where each ends, int32 (S,)."""

    template: str  # dataset.frames_tmpl
    nvjpeg: bool  # decode on the GPU, if the pipeline has one

    def read(self, clip: Clip, plan: Plan, together: Collection[int] = ()) -> Arrays:
        return read_frames(clip.path, self.template, plan.frames, (clip.height, clip.width))

    def black(self, num_segments: int) -> Arrays:
        ends = len(black_jpeg()) * np.arange(1, num_segments + 1)
        return np.frombuffer(black_jpeg() * num_segments, np.uint8), ends.astype(np.int32)


NVDEC_INPUTS = (PrunedVideo, WholeVideo)
VideoInput = DecodedVideo | PrunedVideo | WholeVideo | JpegFrames


def choose_input(config: LoaderConfig, clips: Sequence[Clip], on_gpu: bool) -> VideoInput:
    """The input that the settings ask for, in a pipeline on a GPU or on the CPU."""
    decode = config.pipeline.decode
    if config.pipeline.source == "frames":
        return JpegFrames(config.dataset.frames_tmpl, nvjpeg=decode == "gpu")
    if decode in ("cpu", "auto"):  # the latter, where nobody has chosen
        one_file = len(clips) > 1 and all(clip.path == clips[0].path for clip in clips)
        return DecodedVideo(one_file, packet_tables(config.dataset))
    return PrunedVideo(on_gpu) if decode == "gpu" else WholeVideo(black_file(), on_gpu)


def check_whole(clip: Clip, frames: Collection[int], for_nvdec: bool = False) -> None:
    """Read the packets of a clip's file and decode its first frame.

    Raises:
        VideoError: as `VideoReader`; further `short` (a wanted frame is not there),
            `not_whole` (packets and frames are not the same), `rotated` and `changed` (another size than in the index);
            `for_nvdec`, `not_for_nvdec`.
    """
    path = clip.path
    remedy = "make a training copy of it, or set pipeline.decode to cpu"
    with VideoReader(path) as video:
        if for_nvdec:
            check_for_nvdec(video)
        count, shown = len(video.demuxed.facts), video.demuxed.shown
        sizes = [entry.size for entry in video.stream.index_entries] if "mp4" in video.container.format.name else []
        if not shown or len(shown) != count or 0 in sizes[:count]:  # empty samples at the end change no number
            raise VideoError("not_whole", f"{path}: not every packet is a frame that is shown; {remedy}")
        check_range(path, frames, count)
        selected = video.selected({0})
    if selected is None:
        raise damaged(path, "its first frame cannot be decoded")
    if orientation(selected[0]) != Orientation():
        raise VideoError("rotated", f"{path}: is shown turned or mirrored; {remedy}")
    size, expected = shown_size(selected[0]), (clip.height, clip.width)
    if size != expected:
        raise VideoError("changed", f"{path}: {size} pixels, but the index says {expected}; the file has changed")
