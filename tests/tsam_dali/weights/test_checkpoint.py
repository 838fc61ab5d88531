"""Checkpoints: whole or not at all, damage is seen, nothing in them ever runs."""

import os
import subprocess
import sys

import pytest
import torch

from pipelines.files.atomic import replacing
from tsam_dali.weights.checkpoint import CheckpointError, copy_checkpoint, load_checkpoint, save_checkpoint
from tsam_dali.weights.export_folder import read_folder, write_folder

STATE = {
    "epoch": 3,
    "model": {"weight": torch.arange(6.0).reshape(2, 3)},
    "history": [{"loss": 0.5}],
    "best": {"x": 1.0},
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "checkpoints" / "latest"
    save_checkpoint(path, STATE)
    return path


def test_what_was_saved_is_loaded(file):
    state = load_checkpoint(file)
    assert torch.equal(state["model"]["weight"], STATE["model"]["weight"])
    assert {key: state[key] for key in ("epoch", "history", "best")} == {
        "epoch": 3,
        "history": [{"loss": 0.5}],
        "best": {"x": 1.0},
    }
    assert sorted(os.listdir(file.parent)) == ["latest", "latest.sha256"]


def test_the_digest_is_what_sha256sum_reads(file):
    assert subprocess.run(["sha256sum", "--check", "latest.sha256"], cwd=file.parent, check=False).returncode == 0


@pytest.mark.parametrize("place", [100, 700, -100])
def test_a_flipped_bit_is_seen(file, place):
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged, its SHA-256"):
        load_checkpoint(file)


def test_a_cut_file_is_seen_even_without_a_digest(file):
    (file.parent / "latest.sha256").unlink()
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(file)


def test_a_missing_file_and_foreign_content(tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none")
    torch.save({"state_dict": {}}, tmp_path / "other")
    with pytest.raises(CheckpointError, match="not a checkpoint of tsam_dali"):
        load_checkpoint(tmp_path / "other")


class Payload:
    """Pickles to a call of os.system."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_pickled_call_does_not_run(tmp_path):
    canary = tmp_path / "canary"
    torch.save({"format": "tsam_dali", "model": Payload(f"touch {canary}")}, tmp_path / "evil")
    with pytest.raises(CheckpointError, match="cannot be read .it holds other things than tensors") as caught:
        load_checkpoint(tmp_path / "evil")
    assert "arbitrary code" not in str(caught.value)  # torch's advice to read the file carelessly
    assert not canary.exists()


def test_a_save_that_fails_leaves_the_previous_file(file):
    """The file size limit makes the write fail half way, as a full disk does."""
    code = (
        "import resource, signal, sys, pathlib, torch\n"
        "from tsam_dali.weights.checkpoint import save_checkpoint\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "save_checkpoint(pathlib.Path(sys.argv[1]), {'model': torch.zeros(100_000)})\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, check=False)
    assert done.returncode != 0
    assert load_checkpoint(file)["epoch"] == 3
    assert sorted(os.listdir(file.parent)) == ["latest", "latest.sha256"]


@pytest.mark.parametrize("copied", [False, True])
def test_a_run_killed_between_two_names_leaves_the_old_file_or_the_new_one(tmp_path, monkeypatch, copied):
    target, replace, seen = tmp_path / "step_2", os.replace, []
    save_checkpoint(tmp_path / "step_1", {"step": 2})

    def watched(source, to):
        replace(source, to)
        seen.append(load_checkpoint(target, digest_needed=True)["step"] if target.exists() else None)

    monkeypatch.setattr(os, "replace", watched)
    for step in (1, 2):
        if copied and step == 2:
            copy_checkpoint(tmp_path / "step_1", target)
        else:
            save_checkpoint(target, {"step": step})
    assert seen == [None, 1, 1, 1, 2, 2]
    digest = (tmp_path / "step_2.sha256").read_text()
    assert digest.count("\n") == 1
    assert subprocess.run(["sha256sum", "--check", "step_2.sha256"], cwd=tmp_path, check=False).returncode == 0


@pytest.mark.parametrize("folder", [False, True])
def test_what_checkpoints_lists_and_exports_are_written_to(tmp_path, folder):
    """Whatever is a name has room for what is written to it first."""
    target = tmp_path / ("東" * 85)
    if folder:
        write_folder(target, {"weight": torch.zeros(2)}, {"config": {}, "history": [], "best": {}}, {}, "")
        assert torch.equal(read_folder(target)["model"]["weight"], torch.zeros(2))
    else:
        with replacing(target) as temporary:
            temporary.write_text("whole")
        assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]
