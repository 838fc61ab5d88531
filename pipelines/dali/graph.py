"""The DALI graphs: an input (frames from workers; JPEG files, pruned or whole videos for the decoder), a common tail.

All draws come in as arguments; the graph draws nothing, so the same plan gives the same images anywhere.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
from nvidia.dali import Pipeline, fn, math
from nvidia.dali.data_node import DataNode
from nvidia.dali.types import Constant, DALIDataType, DALIImageType, DALIInterpType

from pipelines.dali.inputs import DecodedVideo, JpegFrames, WholeVideo
from pipelines.dali.source import ClipSource, Sample

# Element type, number of dimensions and layout of each array of a Sample; a video file or a path is a row of bytes.
_FRAMES = (DALIDataType.UINT8, 4, "FHWC")
_BYTES = (DALIDataType.UINT8, 1, "")
_INPUTS = {
    "frames": (DALIDataType.INT32, 1, ""),
    "places": (DALIDataType.INT32, 1, ""),
    "crop_start": (DALIDataType.INT32, 1, ""),
    "crop_shape": (DALIDataType.INT32, 1, ""),
    "flip": (DALIDataType.INT32, 0, ""),
    "look": (DALIDataType.FLOAT, 1, ""),
    "audio": (DALIDataType.FLOAT, 4, ""),
    "meta": (DALIDataType.INT64, 1, ""),
    "target": (DALIDataType.FLOAT, 1, ""),
    "reason": (DALIDataType.UINT8, 1, ""),
}


Nodes = dict[str, DataNode]
"""Those of the fields of a `Sample` that the graph takes, by name."""


class Tail(NamedTuple):
    """What is done to all frames, whatever the input."""

    output_size: int  # height and width of the result, pixels
    look: bool = False  # whether plans change colors, or blur; done to the batch, see `color_jitter.py`


def build_pipeline(
    source: ClipSource,
    tail: Tail,
    *,
    batch_size: int,
    device_id: int | None,
    workers: int,
    threads: int,
    prefetch: int,
) -> tuple[Pipeline, list[str]]:
    """The pipeline of one rank, not yet built, and the names of its outputs.

    Outputs: if `device_id` is given, video float32 (B, S, 3, size, size), 0..1, on the GPU; else video, the crops of
    B clips, uint8 (S, height, width, 3) each, and flip int32 (B,), for `pipelines.dali.resize`. With audio segments
    audio float32 (B, A, 3, H, W), where the video is; on the CPU meta int64 (B, 3), reason uint8 (B, REASON_BYTES)
    and, if plans change colors or blur, look float32 (B, 10); of other tasks than classes target float32 (B, K).
    """
    pipeline = Pipeline(
        batch_size=batch_size,
        num_threads=threads,
        device_id=device_id,
        py_num_workers=max(workers, 1),
        py_start_method="spawn",
        prefetch_queue_depth=prefetch,
    )
    kinds = {"video": _FRAMES if isinstance(source.video_input, DecodedVideo) else _BYTES} | _INPUTS
    unused = _unused(source, tail)
    fields = tuple(name for name in Sample._fields if name not in unused)
    dtypes, ndims, layouts = zip(*(kinds[name] for name in fields), strict=True)
    with pipeline:
        arrays = fn.external_source(
            source=replace(source, fields=fields),
            num_outputs=len(fields),
            batch=False,
            dtype=dtypes,
            ndim=ndims,
            layout=layouts,
            prefetch_queue_depth=prefetch if workers else None,
            parallel=True if workers else None,
        )
        sample = dict(zip(fields, arrays, strict=True))
        on_gpu = device_id is not None
        video = cropped(decode(sample, source, on_gpu), sample)
        if on_gpu:
            outputs = {"video": augment(video.gpu(), sample["flip"], tail)}
        else:
            outputs = {"video": video, "flip": sample["flip"]}
        if "audio" in sample:
            outputs["audio"] = sample["audio"].gpu() if on_gpu else sample["audio"]
        outputs |= {name: sample[name] for name in ("look", "meta", "target", "reason") if name in sample}
        pipeline.set_outputs(*outputs.values())
    return pipeline, list(outputs)


def _unused(source: ClipSource, tail: Tail) -> set[str]:
    """What the graph does not ask the workers for."""
    decoded = isinstance(source.video_input, DecodedVideo)
    unneeded = {
        "frames": decoded,
        "places": decoded or isinstance(source.video_input, JpegFrames),
        "crop_start": decoded,  # the workers pass on no more than the crop
        "crop_shape": decoded,
        "look": not tail.look,
        "audio": source.audio_segments == 0,
        "target": source.targets.size == 0,
    }
    return {name for name, is_unneeded in unneeded.items() if is_unneeded}


def decode(sample: Nodes, source: ClipSource, on_gpu: bool) -> DataNode:
    """Frames uint8 (S, H, W, 3) of each sample.

    Videos are decoded on NVDEC, JPEG files by nvJPEG if the settings say so. Without a GPU the same graphs run on
    DALI's CPU decoders, of which the one for videos takes VP8, VP9 and MJPEG only.
    """
    if isinstance(source.video_input, DecodedVideo):
        return sample["video"]
    if isinstance(source.video_input, JpegFrames):
        device = "mixed" if on_gpu and source.video_input.nvjpeg else "cpu"
        return fn.stack(*(_decode_jpeg(sample, i, device) for i in range(source.num_segments)))
    encoded = sample["video"]
    if isinstance(source.video_input, WholeVideo):
        encoded = fn.io.file.read(encoded, dont_use_mmap=True)  # type: ignore[attr-defined]  # not in DALI's stubs
    device = "mixed" if on_gpu else "cpu"
    # Without pad_mode="none" a frame beyond the end would silently be black.
    frames = fn.decoders.video(encoded, device=device, frames=sample["frames"], pad_mode="none")
    # The decoder would begin anew at frame 0 for a number that is asked for twice.
    return cast(DataNode, fn.sequence_rearrange(cast(DataNode, frames), new_order=sample["places"]))


def decoded_batches(
    source: ClipSource,
    batches: Iterable[Sequence[tuple[np.ndarray, ...]]],
    *,
    batch_size: int,
    device_id: int | None,
    threads: int,
) -> Iterator[list[np.ndarray]]:
    """The whole frames of videos, uint8 (S, H, W, 3) of each, as `decode` gives them, batch after batch.

    Args:
        source: whose `video_input` has read them.
        batches: video, frames and places of each sample, see `Sample`.
        batch_size: of the largest one.
        device_id, threads: as for `build_pipeline`.
    """
    pipeline = Pipeline(batch_size, num_threads=threads, device_id=device_id, prefetch_queue_depth=1)
    kinds = {"video": _BYTES} | {name: _INPUTS[name] for name in ("frames", "places")}
    with pipeline:
        inputs = {
            name: fn.external_source(name=name, dtype=dtype, ndim=ndim) for name, (dtype, ndim, _) in kinds.items()
        }
        pipeline.set_outputs(decode(cast(Nodes, inputs), source, on_gpu=device_id is not None))
    pipeline.build()
    for batch in batches:
        for name, arrays in zip(kinds, zip(*batch, strict=True), strict=True):
            pipeline.feed_input(name, list(arrays))
        frames = pipeline.run()[0].as_cpu()
        yield [np.array(frames[i]) for i in range(len(batch))]


def whole_video_graph(num_segments: int, output_size: int, *, batch_size: int, on_gpu: bool) -> bytes:
    """A serialized pipeline for an inference server: `encoded`, the bytes of a video file, uint8 (bytes,), becomes the
    frames and the crop of a validation, float32 (S, 3, size, size), 0..1.

    It decodes all frames, of which it takes the middle one of each of S equal parts, see
    `pipelines.sampling.plan.validation_frames`.

    Args:
        num_segments: S.
        batch_size: of the largest batch.
        on_gpu: NVDEC decodes; else DALI's CPU decoder, which takes VP8, VP9 and MJPEG. Neither needs a GPU here.
    """
    pipeline = Pipeline(batch_size, num_threads=4, device_id=None, output_dtype=[DALIDataType.FLOAT], output_ndim=[4])
    device, int32 = "mixed" if on_gpu else "cpu", DALIDataType.INT32
    with pipeline:
        encoded = fn.external_source(name="encoded", dtype=DALIDataType.UINT8, ndim=1)
        video = cast(DataNode, fn.decoders.video(encoded, device=device))
        count, height, width = (video.shape(dtype=int32)[axis] for axis in range(3))
        tick = fn.cast(count, dtype=DALIDataType.FLOAT64) / num_segments
        middle = tick / 2 + tick * Constant(np.arange(num_segments, dtype=np.int32))
        frames = fn.sequence_rearrange(video, new_order=fn.cast(math.floor(middle), dtype=int32))
        side = math.min(height, width)
        start = fn.stack((height - side) // 2, (width - side) // 2)
        crop = cropped(frames, {"crop_start": start, "crop_shape": fn.stack(side, side)})
        pipeline.set_outputs(augment(crop, None, Tail(output_size)))
    return pipeline.serialize()


def _decode_jpeg(sample: Nodes, segment: int, device: str) -> DataNode:
    """One frame of each sample, uint8 (H, W, 3), as Pillow decodes it."""
    ends = sample["frames"]
    encoded = fn.slice(sample["video"], start=ends[segment - 1] if segment else 0, end=ends[segment], axes=[0])
    gpu = device == "mixed"
    return fn.decoders.image(
        encoded,
        device=device,
        output_type=DALIImageType.RGB,
        adjust_orientation=False,
        jpeg_fancy_upsampling=True if gpu else None,  # as on the CPU
        device_memory_padding=0 if gpu else None,  # for each decoder, of which there are S: frames are small
        host_memory_padding=0 if gpu else None,
    )


def cropped(video: DataNode, sample: Nodes) -> DataNode:
    """Frames uint8 (S, H, W, 3), cut to the crop where the worker did not. Before the resize: one with a region of
    interest would read pixels beyond it.
    """
    if "crop_start" not in sample:
        return video
    cut = fn.slice(video, start=sample["crop_start"], shape=sample["crop_shape"], axis_names="HW")
    return cast(DataNode, cut)


def augment(video: DataNode, flip: DataNode | None, tail: Tail) -> DataNode:
    """Resize, mirror, scale to 0..1, where the video is: uint8 (S, H, W, 3) -> float32 (S, 3, size, size)."""
    size, dtype = [tail.output_size, tail.output_size], DALIDataType.FLOAT
    # As float: nothing is rounded between the decoder and the network.
    resized = fn.resize(video, size=size, interp_type=DALIInterpType.INTERP_LINEAR, antialias=True, dtype=dtype)
    return fn.crop_mirror_normalize(
        cast(DataNode, resized), mirror=flip, mean=[0.0], std=[255.0], dtype=dtype, output_layout="FCHW"
    )
