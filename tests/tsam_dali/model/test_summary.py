"""The network in words."""

import torch

from tests.helpers.networks import one_thread, settings  # noqa: F401 (one_thread: a fixture)
from tests.helpers.processes import called
from tsam_dali.model import build_model
from tsam_dali.model.__main__ import main
from tsam_dali.model.summary import describe


def test_description_of_tsams_network():
    config = settings(
        "model.arch=resnet50", "model.video_segments=16", "shift_temporal.n_insert=2", "shift_temporal.shift_depth=4"
    )
    with torch.device("meta"):
        model = build_model(config, 400)
    lines = describe(model, 224).splitlines()
    layer2 = next(line for line in lines if line.startswith("layer2"))
    assert layer2.split() == ["layer2", "(17,", "512,", "28,", "28)", "0:", "32/256,", "2:", "64/512"]
    assert "24.3 million parameters, 400 classes" in lines[-2]
    assert "16 frames + 1 spectrogram, 224 x 224, 69.5 GFLOPs" in lines[-1]  # 17 images of 4.09


def test_the_command_prints_the_description():
    printed = called(main, "--set", "model.arch=resnet18", "--num_class", "7")
    assert printed.returncode == 0, printed.stderr
    assert "layer4" in printed.stdout
    assert "7 classes" in printed.stdout
