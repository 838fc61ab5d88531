"""Foreign weights become a checkpoint that loads with the same tensors; nothing is replaced unasked."""

import pytest
import torch

from tests.helpers.processes import called
from tests.tsam_dali.weights.weight_files import (
    TSM,
    Wrapper,
    picture_network,
    prefixed,
    tsam_file,
    tsm_file,
    video_network,
)
from tools.import_weights import main
from tsam_dali import export, train
from tsam_dali.model.backbone import shifts
from tsam_dali.weights import load_weights
from tsam_dali.weights.checkpoint import load_checkpoint
from tsam_dali.weights.trained import build_trained

ARCH = ("--set", "model.arch=resnet18")


@pytest.fixture(scope="module")
def tsm(tmp_path_factory):
    path = tmp_path_factory.mktemp("tsm") / "tsm.pth"
    tsm_file(path)
    return path


def test_a_tsm_file_becomes_a_checkpoint(tsm, tmp_path, example):
    source, target = tsm, tmp_path / "own"
    done = called(main, source, target, *ARCH)
    assert done.returncode == 0, done.stderr
    assert "TSM weights" in done.stdout
    assert load_checkpoint(target)["config"]["shift_temporal"]["edge"] == "zero"
    direct, imported = video_network(), video_network()
    load_weights(direct, source)
    report = load_weights(imported, target)
    assert (report.format, report.new) == ("tsam_dali", ())
    torch.testing.assert_close(imported.state_dict(), direct.state_dict(), rtol=0, atol=0)
    classifier, config, names = build_trained(target)  # as evaluate, predict and export read it
    assert names == ("0", "1", "2", "3", "4")
    assert (config.shift_temporal.edge, config.model.normalize) == ("zero", "backbone")
    torch.testing.assert_close(classifier.state_dict(), direct.state_dict(), rtol=0, atol=0)
    shared = called(export.main, "--checkpoint", target, "--safetensors", tmp_path / "shared")
    assert shared.returncode == 0, shared.stderr
    again = called(main, source, target, *ARCH)
    assert again.returncode == 2
    assert "replace it with --force" in again.stderr
    assert called(main, source, target, *ARCH, "--force").returncode == 0
    changes = (*ARCH, "--set", "model.audio_segments=0", "--set", f"results_folder={tmp_path}")
    trained = called(train.main, "--resume", target, "--data", example / "data.json", *changes)
    assert trained.returncode == 2
    assert "holds weights, not the state of a run; start from them with --fine_tune" in trained.stderr


@pytest.mark.parametrize("change", ["n_insert=2", "status=false", "causal=true", "f_div=2"])
def test_the_shift_of_the_files_training_wins(tsm, tmp_path, change):
    """What evaluate and predict build has the blocks, distances and edges of TSM, whatever the settings said."""
    done = called(main, tsm, tmp_path / "own", *ARCH, "--set", f"shift_temporal.{change}")
    assert done.returncode == 0, done.stderr
    network, _, _ = build_trained(tmp_path / "own")
    blocks = [f"layer{stage}.{i}" for stage in range(1, 5) for i in range(2)]
    found = shifts(network.backbone)
    assert [name for name, _ in found] == blocks
    assert [repr(shift) for _, shift in found] == [repr(shift) for _, shift in shifts(video_network(*TSM).backbone)]


def test_every_second_block_of_tsam(tmp_path):
    tsam_file(tmp_path / "tsam.tar")
    assert called(main, tmp_path / "tsam.tar", tmp_path / "own", *ARCH).returncode == 0
    shift = load_checkpoint(tmp_path / "own")["config"]["shift_temporal"]
    assert (shift["n_insert"], shift["m_insert"]) == (2, 0)


def test_blocks_that_no_setting_gives_are_refused(tmp_path):
    network = picture_network("")
    network.layer2[0].conv1 = Wrapper("net", network.layer2[0].conv1)
    torch.save({"state_dict": prefixed("module.base_model.", network)}, tmp_path / "tsm.pth")
    done = called(main, tmp_path / "tsm.pth", tmp_path / "own", *ARCH)
    assert done.returncode == 2
    assert "the file shifts layer2.0, which no shift_temporal.n_insert gives" in done.stderr
    assert not (tmp_path / "own").exists()
