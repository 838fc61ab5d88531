"""The checkpoints of a run: when they are due, which are kept, what a full disk and a run that goes back do to them."""

import errno
import logging
import os

import pytest

from tsam_dali.config.sections import TrainingParam
from tsam_dali.weights import checkpoint_folder
from tsam_dali.weights.checkpoint import CheckpointError, load_checkpoint
from tsam_dali.weights.checkpoint_folder import CheckpointFolder


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path / "checkpoints", TrainingParam())


def state(step):
    return {"step": step, "trained": "again"}


def names(folder):
    """Of the checkpoints of steps, and where `latest` points."""
    assert (folder.path / "latest").exists()
    found = sorted(path.name for path in folder.path.glob("step_*") if not path.suffix)
    assert sorted(path.name for path in folder.path.glob("step_*.sha256")) == [f"{name}.sha256" for name in found]
    return [int(name.removeprefix("step_")) for name in found], os.readlink(folder.path / "latest")


@pytest.mark.parametrize("kept", [1, 3])
def test_the_last_ones_are_kept(tmp_path, kept):
    folder = CheckpointFolder(tmp_path, TrainingParam(keep_checkpoints=kept))
    for step in range(1, 6):
        folder.save(state(step))
    assert names(folder) == (list(range(6 - kept, 6)), "step_00000005")


def test_due_by_steps_and_by_minutes(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(checkpoint_folder.time, "monotonic", lambda: now[0])
    by_time = CheckpointFolder(tmp_path, TrainingParam(save_every_minutes=2))
    never = CheckpointFolder(tmp_path, TrainingParam(save_every_minutes=0))
    by_steps = CheckpointFolder(tmp_path, TrainingParam(save_every_minutes=0, save_every_steps=3))
    now[0] += 119
    assert not by_time.due(3)
    now[0] += 1
    assert by_time.due(4)
    by_time.save(state(4))
    assert not by_time.due(5)
    now[0] += 1e6
    assert not never.due(6)
    assert [step for step in range(1, 10) if by_steps.due(step)] == [3, 6, 9]


def test_a_run_that_goes_back_forgets_what_lay_beyond(folder):
    for step in (11, 12):
        folder.save(state(step))
    folder.keep_as(12, ["unbalanced_best"])
    folder.begin({"step": 4})
    assert names(folder) == ([4], "step_00000004")
    assert folder.newest_valid()["step"] == 4
    folder.save(state(5))
    assert names(folder) == ([4, 5], "step_00000005")
    assert folder.step_of("unbalanced_best") == 12


def test_what_was_written_last_is_never_deleted(folder):
    for step in (11, 12, 5):
        folder.save(state(step))
    assert names(folder) == ([5], "step_00000005")


def test_a_run_that_goes_on_writes_nothing_anew(folder):
    for step in (11, 12):
        folder.save(state(step))
    before = os.stat(folder.path / "step_00000012").st_ino
    folder.begin(folder.newest_valid())
    assert names(folder) == ([11, 12], "step_00000012")
    assert os.stat(folder.path / "step_00000012").st_ino == before


def test_what_killed_saves_left_half_written_goes(folder):
    folder.save(state(1))
    for name in (".unfinished.here-4711-0", ".unfinished.elsewhere-12-3.sha256"):
        (folder.path / name).write_bytes(b"half")
    folder.begin(folder.newest_valid())
    assert sorted(os.listdir(folder.path)) == ["latest", "step_00000001", "step_00000001.sha256"]


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_inside_an_epoch_is_a_warning_and_the_third_in_a_row_an_error(folder, monkeypatch, caplog):
    assert folder.try_save(state(1))
    for step in (2, 5):  # the second time is as good as the first, once one was written
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint_folder, "save_checkpoint", full)
            assert not folder.try_save(state(step))
            assert not folder.try_save(state(step + 1))
            assert not folder.due(step + 1)
        assert folder.newest_valid()["step"] == step - 1
        assert folder.try_save(state(step + 2 if step == 2 else step + 1))
    assert caplog.text.count("No space left on device") == 4
    assert "MB free" in caplog.text
    assert "training continues" not in caplog.text  # it does not, where it was asked to stop
    monkeypatch.setattr(checkpoint_folder, "save_checkpoint", full)
    folder.try_save(state(7))
    folder.try_save(state(8))
    with pytest.raises(CheckpointError, match="step 9 cannot be written to .*the one before is valid: --resume auto"):
        folder.try_save(state(9))
    assert folder.newest_valid()["step"] == 6


def test_there_is_no_other_try_at_the_end(folder, monkeypatch):
    monkeypatch.setattr(checkpoint_folder, "save_checkpoint", full)
    with pytest.raises(CheckpointError, match="No space left"):
        folder.try_save(state(1), last=True)


def test_no_symbolic_links_are_one_warning(folder, monkeypatch, caplog):
    monkeypatch.setattr(os, "symlink", full)
    for step in (1, 2, 3, 4):
        assert folder.try_save(state(step))
    assert folder.newest_valid()["step"] == 4
    assert sorted(path.name for path in folder.path.glob("step_*") if not path.suffix)[0] == "step_00000003"
    assert caplog.text.count("latest cannot be written (No space left on device)") == 1


def test_further_names_need_no_space_where_files_can_have_several(folder, monkeypatch, caplog):
    folder.save(state(1))
    monkeypatch.setattr("shutil.copyfile", full)
    folder.keep_as(1, ["balanced_best"])
    assert load_checkpoint(folder.path / "balanced_best", digest_needed=True)["step"] == 1
    folder.save(state(2))
    monkeypatch.setattr(os, "link", full)
    with caplog.at_level(logging.WARNING):
        folder.keep_as(2, ["balanced_best"])
    assert "balanced_best cannot be written (" in caplog.text
    assert folder.step_of("balanced_best") == 1


def test_further_names_are_copies_where_there_are_no_links(folder, monkeypatch):
    folder.save(state(1))
    monkeypatch.setattr(os, "link", full)
    folder.keep_as(1, ["balanced_best"])
    assert folder.step_of("balanced_best") == 1
