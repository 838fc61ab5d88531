"""Damaged checkpoints and videos, and whether the damage is noticed."""

from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipelines.decode import VideoError, decode_frames
from pipelines.probe import probe_video
from pipelines.sandbox import Limits, map_limited
from tests.damage import DAMAGES, damage
from tests.media import write_video
from tsam_dali.checkpoint import CheckpointError, load_checkpoint

LIMITS = Limits(seconds=15, megabytes=4000)
FRAMES = 40
KINDS = {"h264.mp4": ("h264", {"g": "20"}), "hevc.mp4": ("hevc", {}), "vp9.webm": ("vp9", {"g": "20"})}


def damaged_checkpoints(path: Path, count: int) -> dict[str, int]:
    """Flip one bit, or cut the file, `count` times in turn; how often that was noticed."""
    content, rng, detected = path.read_bytes(), np.random.default_rng(3), 0
    for number in range(count):
        changed, at = bytearray(content), int(rng.integers(len(content)))
        if number % 2:
            del changed[at:]
        else:
            changed[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            load_checkpoint(path, digest_needed=True)
        except CheckpointError:
            detected += 1
    path.write_bytes(content)
    return {"damaged": count, "detected": detected, "whole_one_loads": int(bool(load_checkpoint(path, True)))}


def mutated_videos(folder: Path, count: int, workers: int) -> dict[str, Any]:
    """Damage videos of several codecs at random; what strict decoding says of each, in processes with limits."""
    for name, (codec, options) in KINDS.items():
        path = write_video(folder / name, FRAMES, codec=codec, options=options)
        np.save(folder / f"{name}.npy", decode_frames(path, range(FRAMES)), allow_pickle=False)
    names = list(KINDS)
    items = [(str(folder), names[number % len(names)], number) for number in range(count)]
    answers = [answer for _, answer in map_limited(read_damaged, items, workers, LIMITS)]
    counts = Counter(answer if isinstance(answer, str) else answer.status for answer in answers)
    return {"videos": count, **dict(sorted(counts.items()))}


def read_damaged(item: tuple[str, str, int]) -> str:
    """`flagged` by the decoding of the frames or, where they are wrong, by the strict decoding of the whole file, which
    the index does on request; `right frames`; `unseen` (wrong frames in which no strict decoder finds an error), or
    `wrong frames` where FFmpeg's own strict decode does find one.
    """
    folder, name, number = item
    rng, source = np.random.default_rng([4, number]), Path(folder, name)
    path = source.with_name(f"damaged_{number}{source.suffix}")
    path.write_bytes(damage(source.read_bytes(), DAMAGES[number % len(DAMAGES)], rng))
    try:
        wanted = np.sort(rng.choice(FRAMES, 4, replace=False))
        try:
            frames = decode_frames(path, wanted)
        except VideoError:
            return "flagged"
        if np.array_equal(frames, np.load(f"{source}.npy", allow_pickle=False)[wanted]):
            return "right frames"
        if probe_video(path, "decoded")["status"] != "ok":
            return "flagged"
        return "wrong frames" if _strict_decode_fails(path) else "unseen"
    finally:
        path.unlink()


def _strict_decode_fails(path: Path) -> bool:
    demuxer = {".mp4": "mp4", ".webm": "matroska"}[path.suffix]
    try:
        options = {"options": {"err_detect": "explode"}, "metadata_errors": "ignore"}
        with av.open(f"file:{path}", format=demuxer, **options) as container:
            container.streams.video[0].codec_context.options = {"err_detect": "explode"}
            return sum(1 for _ in container.decode(video=0)) == 0
    except av.FFmpegError:
        return True
