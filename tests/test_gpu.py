"""What needs a GPU: NVDEC's frames against those of the CPU decoder, the tail on the GPU, a step of the network."""

import numpy as np
import pytest
import torch

from pipelines.sampling import validation_frames
from tests.media import frame_numbers
from tests.test_loader import SEGMENTS, SIZES, batches, make_clip, settings
from tsam_dali.model import build_model

pytestmark = pytest.mark.gpu

GPU = "cuda:0"


@pytest.fixture(scope="module", params=["h264", "hevc", "vp9", "av1"])
def clips(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    sizes = [(720, 1280), (718, 1278), *SIZES]
    return [make_clip(folder, i, size, request.param) for i, size in enumerate(sizes)]


@pytest.mark.parametrize("decode", ["cpu", "gpu", "gpu_whole"])
def test_the_ways_in_agree(clips, decode):
    """Mixed sizes in one batch; colours within what the conversion to RGB explains."""
    look = {"RandomHorizontalFlip": True}
    reference = batches(settings(look=look, batch_size=9), "training", clips, 2)
    config = settings(look=look, batch_size=9, pipeline={"decode": decode})
    for ours, theirs in zip(batches(config, "training", clips, 2, device=GPU), reference, strict=True):
        assert ours.video.device == torch.device(GPU)
        assert ours.ok.all()
        assert ours.row.tolist() == theirs.row.tolist()
        assert (ours.video.cpu() - theirs.video).abs().mean() * 255 < 2


@pytest.mark.parametrize("decode", ["gpu", "gpu_whole"])
def test_frames_are_the_wanted_ones(tmp_path, decode):
    clips = [make_clip(tmp_path, i, (128, 128), "h264") for i in range(4)]
    config = settings(batch_size=4, pipeline={"decode": decode})
    (batch,) = batches(config, "validation", clips, device=GPU)
    for video, row in zip(batch.video.cpu().numpy(), batch.row.tolist(), strict=True):
        numbers = frame_numbers((video.transpose(0, 2, 3, 1) * 255).astype(np.uint8))
        assert numbers.tolist() == validation_frames(clips[row].frames, SEGMENTS).tolist()


def test_a_step_in_bf16_channels_last():
    config = settings(model={"video_segments": SEGMENTS, "arch": "resnet10t", "pretrain": "none"})
    network = build_model(config, 4).to(GPU, memory_format=torch.channels_last)
    video = torch.rand(2, SEGMENTS, 3, 64, 64)
    with torch.no_grad():
        expected = network.cpu().eval()(video, None)
        with torch.autocast("cuda", torch.bfloat16):
            found = network.to(GPU)(video.to(GPU), None)
    torch.testing.assert_close(found.float().cpu(), expected, atol=0.05, rtol=0.05)
