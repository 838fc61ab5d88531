"""Which videos NVDEC decodes, judged by their format; none of it has been run on a GPU.

H.264 only with 8 bits, the others also with 10, all with 4:2:0 (NVIDIA's Video Decode application note). DALI neither
turns nor mirrors the frames that NVDEC gives.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.decode.remux import CODECS as PRUNABLE

EIGHT_BITS = ("yuv420p", "yuvj420p")
TEN_BITS = (*EIGHT_BITS, "yuv420p10le")
PIXEL_FORMATS = {"h264": EIGHT_BITS, "hevc": TEN_BITS, "vp8": EIGHT_BITS, "vp9": TEN_BITS, "av1": TEN_BITS}
"""Codec -> pixel formats, both by FFmpeg's names."""


def nvdec_decodes(info: Mapping[str, Any]) -> bool:
    """Whether NVDEC decodes a video with these fields of a `VideoInfo`."""
    upright = not (info["rotation"] or info["mirrored"])
    return upright and info["pix_fmt"] in PIXEL_FORMATS.get(info["codec"], ())


def prunable(info: Mapping[str, Any]) -> bool:
    """Whether, moreover, `pipeline.decode` `gpu` can leave out the packets that it does not need."""
    return nvdec_decodes(info) and info["codec"] in PRUNABLE
