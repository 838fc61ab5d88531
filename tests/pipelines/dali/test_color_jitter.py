"""Colors and blur are torchvision's, in every order, by the CPU's loop and by the tensor operations of a GPU."""

from itertools import permutations

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from benchmarks.baselines.tsam_augmentation import recolored
from pipelines.dali import color_jitter
from pipelines.sampling.plan import Color, Crop, Plan

ORDERS = list(permutations(range(4)))


def plans(count: int, blur: bool = False) -> list[Plan]:
    rng = np.random.default_rng(0)
    found = []
    for i in range(count):
        factors = rng.uniform((0.8, 0.75, 0.75, -18), (1.2, 1.25, 1.25, 18)).tolist()
        look = Color(*factors, grey=i % 5 == 0, order=ORDERS[i % 24])
        found.append(Plan(np.zeros(1), Crop(0, 0, 1, 1), color=look, blur_sigma=rng.uniform(0.5, 2) * blur))
    return found


def clips(count: int) -> torch.Tensor:
    """Noise, with pieces of one color, of one grey, black and white: their hue and what is cut off are special."""
    video = torch.rand(count, 2, 3, 70, 61, generator=torch.manual_seed(1))  # of more pixels than the loop's tile
    for y, shade in enumerate([(0.3, 0.3, 0.3), (0, 0, 0), (1, 1, 1), (0.9, 0.9, 0.1), (0.2, 0.7, 0.7), (1, 0, 0)]):
        video[:, 1, :, 8 * y : 8 * y + 6] = torch.tensor(shade).view(3, 1, 1)
    return video


def look(drawn: list[Plan]) -> torch.Tensor:
    return torch.tensor(np.array([plan.look for plan in drawn]))


@pytest.mark.parametrize("change", [color_jitter.change_colors_on_cpu, color_jitter.change_colors_on_gpu])
def test_colors_are_torchvisions(change):
    drawn, video = plans(48), clips(48)
    expected = torch.stack([recolored(frames, plan, functional) for frames, plan in zip(video, drawn, strict=True)])
    change(video.flatten(3), look(drawn))
    torch.testing.assert_close(video, expected, rtol=0, atol=1e-5)


@pytest.mark.gpu
def test_on_a_gpu():
    drawn, video = plans(48, blur=True), clips(48)
    found = video.cuda()
    torch.cuda.set_sync_debug_mode("error")  # the host must not wait
    try:
        color_jitter.change_look(found, look(drawn))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    color_jitter.change_look(video, look(drawn))
    torch.testing.assert_close(found.cpu(), video, rtol=0, atol=1e-4)


def test_blur_comes_last_and_is_torchvisions():
    drawn, video = plans(5, blur=True), clips(5)
    drawn[1] = drawn[1]._replace(color=Color())
    drawn[2] = drawn[2]._replace(blur_sigma=0.0)
    drawn[3] = drawn[3]._replace(color=Color(), blur_sigma=0.0)
    before = video[3].clone()
    expected = torch.stack([recolored(frames, plan, functional) for frames, plan in zip(video, drawn, strict=True)])
    color_jitter.change_look(video, look(drawn))
    torch.testing.assert_close(video, expected, rtol=0, atol=1e-5)
    assert torch.equal(video[3], before)
