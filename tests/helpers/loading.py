"""Small loaders and what they should give, for tests."""

import os
from pathlib import Path

import av
import numpy as np
from PIL import Image

from pipelines.dataset.clips import Clip
from pipelines.decode import decode_frames
from pipelines.decode.frames import probe
from pipelines.loader import build_loader
from tests.helpers.media import write_video
from tsam_dali.config.load import config_from_dict

SIZES = [(96, 128), (128, 96), (90, 160), (112, 112), (144, 176), (64, 96), (100, 140)]
SEGMENTS, SIDE = 5, 48


def make_clip(folder, i, size, codec="h264", frames=None, options=None) -> Clip:
    path = write_video(folder / f"clip{i}.mp4", frames or 20 + i, size, codec=codec, options=options or {"g": "8"})
    info = probe(path)
    return Clip(f"clip{i}", i % 3, str(path), info.frames, info.height, info.width, audio="")


def settings(folder="none", *, workers=0, batch_size=3, look=None, **sections):
    still = {"RandomHorizontalFlip": False, "ColorJitter": False, "RandomGrayscale": 0}
    images = {
        "video_image_param": {"output_size": SIDE},
        "video_augmentation": still | (look or {}),
        "audio_image_param": {"n_mels": 32, "spec_size": [3, SIDE, SIDE]},
        "audio_augmentation": {"random_shift_waveform": [0.3, 0.2]},
    }
    sections = {
        "dataset": {"data_dir": str(folder)},
        "data_augmentation": images,
        "model": {"video_segments": SEGMENTS},
        "training_param": {"batch_size": batch_size, "seed": 3},
        **sections,
    }
    sections["pipeline"] = {"workers": workers, **sections.get("pipeline", {})}
    return config_from_dict(sections)


def batches(config, split, clips, steps=None, **options):
    with build_loader(config, split, clips, **options) as loader:
        return [batch for _, batch in zip(range(steps or len(loader)), loader, strict=False)]


def batches_from(step, config, clips, steps):
    with build_loader(config, "training", clips) as loader:
        loader.seek(step)
        found = []
        while len(found) < steps:
            found += list(loader)
        return found[:steps]


def expected_video(clip, plan, read=decode_frames) -> np.ndarray:
    """The plan carried out by Pillow on what `read(path, frames)` gives: float64 (S, 3, SIDE, SIDE), 0..255."""
    y, x, height, width = plan.crop
    frames = [
        np.asarray(Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.BILINEAR), float)
        for frame in read(clip.path, plan.frames)[:, y : y + height, x : x + width]
    ]
    return np.stack(frames).transpose(0, 3, 1, 2)[..., :: -1 if plan.flip else 1]


def resized_as_pillow(difference: np.ndarray) -> bool:
    """Whether pixels differ by so many levels as where Pillow and torch round: by one, a few in a million by two."""
    return difference.max() < 2.01 and (difference > 1.01).mean() < 1e-4


def damage_packet(path, number) -> None:
    """Overwrite the beginning of a packet behind its first byte: the container stays whole, the decoder gives up."""
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
    content = bytearray(Path(path).read_bytes())
    content[packet.pos + 1 : packet.pos + 9] = b"\xff" * 8
    Path(path).write_bytes(content)


def damage_picture(path, number) -> None:
    """Overwrite a packet of H.264 behind the header of its picture: only decoding it shows the damage."""
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
    content = bytearray(Path(path).read_bytes())
    content[packet.pos + 12 : packet.pos + packet.size] = b"\xff" * (packet.size - 12)
    Path(path).write_bytes(content)


def children() -> list[int]:
    """Processes that this one has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rsplit(")", 1)[1].split()[1]
        except (OSError, IndexError):
            continue
        if int(parent) == os.getpid():
            found.append(int(stat.parent.name))
    return found
