"""Damaged checkpoints and videos, and whether the damage is noticed."""

from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipelines.decode import decode_frames
from pipelines.decode.frames import VideoError
from pipelines.decode.probe import probe_video
from pipelines.parallel.sandbox import Limits, map_limited
from tests.helpers.damage import DAMAGES, damage
from tests.helpers.media import write_video
from tsam_dali.weights.checkpoint import CheckpointError, load_checkpoint

LIMITS = Limits(seconds=15, megabytes=4000)
FRAMES = 40
KINDS = {"h264.mp4": ("h264", {"g": "20"}), "hevc.mp4": ("hevc", {}), "vp9.webm": ("vp9", {"g": "20"})}
CHECKS = "crccheck+bitstream+buffer+explode+careful+compliant+aggressive"  # FFmpeg's err_detect


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
    answers = {
        item: answer if isinstance(answer, str) else answer.status
        for item, answer in map_limited(read_damaged, items, workers, LIMITS)
    }
    unseen = Counter(name for (_, name, _), answer in answers.items() if answer == "unseen")
    by_codec = {codec: unseen[name] for name, (codec, _) in KINDS.items()}
    return {"videos": count, **dict(sorted(Counter(answers.values()).items())), "unseen_by_codec": by_codec}


def read_damaged(item: tuple[str, str, int]) -> str:
    """What a damaged video gives, by the names in METHOD of benchmarks/reliability/faults.py.

    Four frames are decoded as for training, then the whole file as by index_videos --decode. Where both are content,
    all frames are compared with those of the undamaged file.
    """
    folder, name, number = item
    rng, source = np.random.default_rng([4, number]), Path(folder, name)
    path = source.with_name(f"damaged_{number}{source.suffix}")
    path.write_bytes(damage(source.read_bytes(), DAMAGES[number % len(DAMAGES)], rng))
    whole = np.load(f"{source}.npy", allow_pickle=False)
    try:
        wanted = sorted(rng.choice(FRAMES, 4, replace=False).tolist())
        are_right = np.array_equal(decode_frames(path, wanted), whole[wanted])
        if probe_video(path, "decoded")["status"] != "ok":
            return "flagged" if are_right else "flagged late"
        if np.array_equal(decode_frames(path, range(FRAMES)), whole):
            return "right frames"
        return "wrong frames" if _strictest_decode_fails(path) else "unseen"
    except VideoError:
        return "flagged"
    finally:
        path.unlink()


def _strictest_decode_fails(path: Path) -> bool:
    """By all checks that FFmpeg has, more than the project asks for."""
    demuxer, checks = {".mp4": "mp4", ".webm": "matroska"}[path.suffix], {"err_detect": CHECKS}
    try:
        with av.open(f"file:{path}", format=demuxer, options=checks, metadata_errors="ignore") as container:
            container.streams.video[0].codec_context.options = checks
            return sum(1 for _ in container.decode(video=0)) != FRAMES
    except av.FFmpegError:
        return True
