"""Samples that are compared with the CPU's while a training goes on; DALI's CPU decoder of VP9 stands for NVDEC."""

from dataclasses import replace

import pytest
import torch

from pipelines.dali import spot_check
from pipelines.dali.inputs import DecodedVideo, PrunedVideo
from pipelines.dali.spot_check import SpotCheck
from pipelines.loader import build_loader
from tests.helpers.loading import SIDE, batches, make_clip, settings

LOOK = {"RandomHorizontalFlip": True, "ColorJitter": True}


@pytest.fixture
def clips(tmp_path):
    return [make_clip(tmp_path, i, (96, 128), "vp9") for i in range(4)]


@pytest.fixture
def loader(clips, monkeypatch):
    monkeypatch.setattr(spot_check, "SAMPLES", 1)  # one in each step
    config = settings(look=LOOK, batch_size=2, pipeline={"decode": "gpu"})
    with build_loader(config, "training", clips) as loader:
        yield loader


def compared(loader, batch):
    """The next batch, when its comparison is over."""
    found = next(batch)
    loader.spot_check._running.exception()
    return found


def test_the_right_frames(loader):
    loader.spot_check = SpotCheck(loader.source, SIDE)
    for _ in range(2):
        steps = iter(loader)
        for _ in range(len(loader)):
            compared(loader, steps)
    assert not loader.spot_check.failed()
    assert isinstance(loader.source.video_input, PrunedVideo)


def test_others_end_on_the_cpu(loader, clips, caplog):
    """As if the decoder had given the frames of another draw."""
    reference = batches(settings(look=LOOK, batch_size=2), "training", clips, 2)
    loader.spot_check = SpotCheck(replace(loader.source, seed=99), SIDE)
    steps = iter(loader)
    compared(loader, steps)
    assert isinstance(loader.source.video_input, PrunedVideo)
    second = next(steps)
    assert torch.equal(second.video, reference[1].video)
    assert "NVDEC gives other frames (clip clip" in caplog.text
    assert "from now on the CPU decodes" in caplog.text
    assert loader.spot_check is None
    assert isinstance(loader.source.video_input, DecodedVideo)


def test_what_the_cpu_cannot_read_is_not_compared(loader, clips):
    loader.spot_check = SpotCheck(
        replace(loader.source, clips=[clip._replace(path="gone.mp4") for clip in clips]), SIDE
    )
    compared(loader, iter(loader))
    assert not loader.spot_check.failed()


def test_one_in_some_hundreds(loader):
    source = loader.source
    assert SpotCheck(source, SIDE).every == 1
    spot_check.SAMPLES = 500
    checks = SpotCheck(source, SIDE)
    assert checks.every == 250
    checks.start(249, torch.zeros(2, 1), torch.ones(2, dtype=torch.bool))
    assert checks._running is None
    assert loader.spot_check is None  # without a GPU there is none
