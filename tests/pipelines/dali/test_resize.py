import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.dali.resize import resized, to_video

SIZES = (40, 57), (20, 20), (9, 64)


@pytest.fixture
def crops() -> list[torch.Tensor]:
    random = np.random.default_rng(3)
    return [
        torch.from_numpy(random.integers(0, 256, (2, *size, 3), np.uint8)) for size in ((40, 57), (20, 20), (9, 64))
    ]


def test_frames_are_pillows_within_a_level(crops):
    for crop, clip in zip(crops, to_video(crops, [False] * 3, 24), strict=True):
        for frame, ours in zip(crop.numpy(), clip.numpy(), strict=True):
            theirs = np.asarray(Image.fromarray(frame).resize((24, 24), Image.Resampling.BILINEAR), np.float32)
            assert np.abs(ours * 255 - theirs.transpose(2, 0, 1)).max() < 1.001


@pytest.mark.parametrize("size", [1, 7, 24])
def test_bytes_become_their_share_of_255_to_the_last_bit(crops, size):
    for crop, clip in zip(crops, to_video(crops, [False] * 3, size), strict=True):
        assert torch.equal(clip, resized(crop, size).float() / 255)


def test_only_the_clips_that_are_to_be_are_mirrored(crops):
    plain, mixed = to_video(crops, [False] * 3, 24), to_video(crops, [True, False, True], 24)
    assert torch.equal(mixed[1], plain[1])
    assert torch.equal(mixed[::2], plain[::2].flip(4))
