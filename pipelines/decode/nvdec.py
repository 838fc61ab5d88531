"""Which videos belong on NVDEC, judged by their format (docs/gpu.md).

Of other codecs DALI counts hidden pictures as frames; of sides that are no multiples of 16 it takes the size of the
decoder for that of the frames; it neither turns nor mirrors; and of interlaced videos it may count fields as frames.
Each would give other images, without an error.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.decode.container import VideoError
from pipelines.decode.reader import VideoReader

CODECS = ("h264", "hevc")
PIXEL_FORMATS = ("yuv420p", "yuvj420p")  # 8 bit 4:2:0
MULTIPLE = 16  # pixels


def why_not_nvdec(info: Mapping[str, Any]) -> str:
    """Why a video with these fields of a `VideoInfo` is to be decoded on the CPU; "" if NVDEC may decode it."""
    if info["codec"] not in CODECS:
        return f"codec {info['codec']}"
    if info["pix_fmt"] not in PIXEL_FORMATS:
        return f"pixel format {info['pix_fmt']}"
    if info["rotation"] or info["mirrored"]:
        return "shown turned or mirrored"
    if info.get("interlaced"):  # an index of an earlier version does not know
        return "interlaced"
    if info["height"] % MULTIPLE or info["width"] % MULTIPLE:
        return f"sides that are no multiples of {MULTIPLE} pixels"
    return ""


def check_for_nvdec(video: VideoReader) -> None:
    """Raise VideoError (`not_for_nvdec`) if an open video does not belong on NVDEC; whether it is upright and not
    interlaced is seen elsewhere."""
    codec = video.stream.codec_context
    info = {"codec": codec.codec.canonical_name, "pix_fmt": codec.pix_fmt, "height": codec.height, "width": codec.width}
    if why := why_not_nvdec(info | {"rotation": 0, "mirrored": False}):
        remedy = "make a training copy of it, or set pipeline.decode to cpu"
        raise VideoError("not_for_nvdec", f"{video.path}: not for NVDEC: {why}; {remedy}")
