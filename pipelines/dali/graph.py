"""The DALI graphs: a way in (frames from workers; JPEG files, pruned or whole videos for the decoder), a common tail.

All draws come in as arguments; the graph draws nothing, so the same plan gives the same picture anywhere.
"""

from dataclasses import replace
from typing import NamedTuple

from nvidia.dali import Pipeline, fn, types

from pipelines.dali.inputs import DecodedVideo, JpegFrames, WholeVideo
from pipelines.dali.source import ClipSource, Sample

# Element type, number of dimensions and layout of each array of a Sample; a video file or a path is a row of bytes.
_FRAMES = (types.UINT8, 4, "FHWC")
_BYTES = (types.UINT8, 1, "")
_INPUTS = {
    "frames": (types.INT32, 1, ""),
    "crop_start": (types.INT32, 1, ""),
    "crop_shape": (types.INT32, 1, ""),
    "flip": (types.INT32, 0, ""),
    "look": (types.FLOAT, 1, ""),
    "audio": (types.FLOAT, 4, ""),
    "meta": (types.INT64, 1, ""),
    "reason": (types.UINT8, 1, ""),
}


class Tail(NamedTuple):
    """What is done to all frames, whatever the way in."""

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

    Outputs: video float32 (B, S, 3, size, size), 0..1, and, with audio segments, audio float32 (B, A, 3, H, W),
    both on the GPU if `device_id` is given; on the CPU meta int64 (B, 3), reason uint8 (B, REASON_BYTES) and, if plans
    change colors or blur, look float32 (B, 10).
    """
    parallel = {"prefetch_queue_depth": prefetch, "parallel": True} if workers else {}
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
            **parallel,
        )
        sample = Sample(**dict.fromkeys(unused), **dict(zip(fields, arrays, strict=True)))
        on_gpu = device_id is not None
        video = decode(sample, source, on_gpu)
        outputs = {"video": augment(video.gpu() if on_gpu else video, sample, tail)}
        if sample.audio is not None:
            outputs["audio"] = sample.audio.gpu() if on_gpu else sample.audio
        if sample.look is not None:
            outputs["look"] = sample.look
        pipeline.set_outputs(*outputs.values(), sample.meta, sample.reason)
    return pipeline, [*outputs, "meta", "reason"]


def _unused(source: ClipSource, tail: Tail) -> set[str]:
    """What the graph does not ask the workers for."""
    decoded = isinstance(source.video_input, DecodedVideo)
    unneeded = {
        "frames": decoded,
        "crop_start": decoded,  # the workers pass on no more than the crop
        "crop_shape": decoded,
        "look": not tail.look,
        "audio": source.audio_segments == 0,
    }
    return {name for name, is_unneeded in unneeded.items() if is_unneeded}


def decode(sample: Sample, source: ClipSource, on_gpu: bool):
    """Frames uint8 (S, H, W, 3) of each sample.

    Videos are decoded on NVDEC, JPEG files by nvJPEG if the settings say so. Without a GPU the same graphs run on
    DALI's CPU decoders, of which the one for videos takes VP8, VP9 and MJPEG only.
    """
    if isinstance(source.video_input, DecodedVideo):
        return sample.video
    if isinstance(source.video_input, JpegFrames):
        device = "mixed" if on_gpu and source.video_input.nvjpeg else "cpu"
        return fn.stack(*(_decode_jpeg(sample, i, device) for i in range(source.num_segments)))
    whole = isinstance(source.video_input, WholeVideo)
    encoded = fn.io.file.read(sample.video, dont_use_mmap=True) if whole else sample.video
    # Without pad_mode="none" a frame beyond the end would silently be black.
    return fn.decoders.video(encoded, device="mixed" if on_gpu else "cpu", frames=sample.frames, pad_mode="none")


def _decode_jpeg(sample: Sample, segment: int, device: str):
    """One frame of each sample, uint8 (H, W, 3), as Pillow decodes it."""
    start = sample.frames[segment - 1] if segment else 0
    encoded = fn.slice(sample.video, start=start, end=sample.frames[segment], axes=[0])
    gpu = {
        "jpeg_fancy_upsampling": True,  # as on the CPU
        "device_memory_padding": 0,  # what is set aside for each decoder, of which there are S: frames are small
        "host_memory_padding": 0,
    }
    options = gpu if device == "mixed" else {}
    return fn.decoders.image(encoded, device=device, output_type=types.RGB, adjust_orientation=False, **options)


def augment(video, sample: Sample, tail: Tail):
    """Crop, resize, mirror, scale to 0..1: uint8 (S, H, W, 3) -> float32 (S, 3, size, size)."""
    if sample.crop_start is not None:
        # Crop first: resize with a region of interest would read pixels beyond the crop.
        video = fn.slice(video, start=sample.crop_start, shape=sample.crop_shape, axis_names="HW")
    size = [tail.output_size, tail.output_size]
    # As float: nothing is rounded between the decoder and the network, and on the CPU it is the faster way.
    video = fn.resize(video, size=size, interp_type=types.INTERP_LINEAR, antialias=True, dtype=types.FLOAT)
    return fn.crop_mirror_normalize(
        video, mirror=sample.flip, mean=[0.0], std=[255.0], dtype=types.FLOAT, output_layout="FCHW"
    )
