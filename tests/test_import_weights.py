"""Foreign weights become a checkpoint that loads with the same tensors; nothing is replaced unasked."""

import torch

from tests.processes import ROOT, called, run
from tests.weight_files import tsm_file, video_network
from tools.import_weights import main
from tsam_dali import export, train
from tsam_dali.checkpoint import load_checkpoint
from tsam_dali.trained import build_trained
from tsam_dali.weights import load_weights

TOOL = ROOT / "tools" / "import_weights.py"
ARCH = ("--set", "model.arch=resnet18")


def test_a_tsm_file_becomes_a_checkpoint(tmp_path):
    source, target = tmp_path / "tsm.pth", tmp_path / "own"
    tsm_file(source)
    done = run(TOOL, source, target, *ARCH)
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
    trained = called(train.main, "--resume", target, *ARCH, "--set", f"results_folder={tmp_path}")
    assert trained.returncode == 2
    assert "holds weights, not the state of a run; begin with them by --fine_tune" in trained.stderr
