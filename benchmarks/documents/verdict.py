"""When MP4 files as they are win, when training copies do, and when JPEG frames do: three sentences from figures.

Each sentence claims something that the figures must bear out; where they do not, writing it is an error, so that it is
thought over instead of being published.
"""

import math
from collections.abc import Mapping
from typing import Any

from benchmarks.harness.markdown import median, shown
from benchmarks.training.end_to_end_variants import COPIES_OURS, JPEG_OURS, TSAM, VIDEOS_OURS


class VerdictError(ValueError):
    """The figures do not bear out what a sentence claims."""


def verdict(ways: Mapping[str, Mapping[str, Any]], segments: int) -> str:
    """The three sentences.

    Args:
        ways: figures of `benchmarks.training.end_to_end` with so many frames, by way.
        segments: frames of a clip.

    Raises:
        VerdictError: naming the claim.
    """
    videos, copies, jpegs, tsam = (ways[name] for name in (VIDEOS_OURS, COPIES_OURS, JPEG_OURS, TSAM))
    prepare = {id(way): way["preparation_cpu_seconds_per_clip"] for way in (videos, copies, jpegs, tsam)}
    epochs = {name: pays_after(videos, way) for name, way in (("copies", copies), ("frames", jpegs))}
    soonest = min(epochs.values())
    times_videos, times_tsam, times_jpegs = (
        median(copies, "loader_clips_per_second") / median(way, "loader_clips_per_second")
        for way in (videos, tsam, jpegs)
    )
    bytes_of_jpegs = copies["kilobytes_per_clip"] / jpegs["kilobytes_per_clip"]
    for claim, holds in {
        "videos need the least preparation": soonest > 1,
        "copies load faster than videos": times_videos > 1,
        "copies load faster than TSAM's way": times_tsam > 1,
        "copies are smaller than JPEG frames": bytes_of_jpegs < 1,
        "JPEG frames are made in less CPU time than copies": prepare[id(jpegs)] < prepare[id(copies)],
    }.items():
        if not holds:
            raise VerdictError(f"the figures do not bear out that {claim}: rewrite benchmarks/documents/verdict.py")
    return (
        f"**MP4 files as they are win in a training of up to {soonest - 1} epochs**, and where nothing may be added to "
        f"the disk: only the audio is prepared, in {shown(prepare[id(videos)])} CPU seconds a clip, and a clip of "
        f"{segments} frames then costs {shown(median(videos, 'loader_cpu_ms_per_clip'))} CPU ms each time, where "
        f"TSAM's way takes {shown(median(tsam, 'loader_cpu_ms_per_clip'))}; JPEG frames have saved the CPU time that "
        f"they cost after {epochs['frames']} epochs, training copies after {epochs['copies']}. "
        f"**Training copies win from then on**, and wherever a GPU would wait: they load {shown(times_videos)} times "
        f"as many clips per second as the videos and {shown(times_tsam)} times as many as TSAM's way, in "
        f"{shown(100 * bytes_of_jpegs)} % of the bytes of JPEG frames and {shown(copies['files_per_clip'])} files a "
        f"clip instead of {shown(jpegs['files_per_clip'])}. "
        "**JPEG frames still win where they lie there already**, as those of Something-Something v1 do, or where the "
        f"time to prepare counts more than the disk: they are made in {shown(prepare[id(jpegs)])} CPU seconds a clip "
        f"instead of {shown(prepare[id(copies)])}, and copies load {shown(times_jpegs)} times as fast as they do, read "
        "by this loader."
    )


def pays_after(videos: Mapping[str, Any], prepared: Mapping[str, Any]) -> int:
    """Epochs after which what was prepared has saved the CPU time that preparing it took."""
    cost = prepared["preparation_cpu_seconds_per_clip"] - videos["preparation_cpu_seconds_per_clip"]
    saved = (median(videos, "loader_cpu_ms_per_clip") - median(prepared, "loader_cpu_ms_per_clip")) / 1000
    if saved <= 0:
        raise VerdictError(
            "the figures do not bear out that preparing saves CPU time: rewrite benchmarks/documents/verdict.py"
        )
    return math.ceil(cost / saved)
