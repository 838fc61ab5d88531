"""Damaged checkpoints: every bit and every cut, of the file and of its digest."""

import pytest
import torch

from tests.helpers.damage import rewrite
from tsam_dali.config.sections import TrainingParam
from tsam_dali.weights.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from tsam_dali.weights.checkpoint_folder import CheckpointFolder


@pytest.fixture
def folder(tmp_path):
    """Two small checkpoints, of steps 1 and 2."""
    folder = CheckpointFolder(tmp_path / "checkpoints", TrainingParam())
    for step in (1, 2):
        folder.save({"step": step, "model": {"w": torch.full((2,), float(step))}})
    return folder


def refused(path) -> bool:
    try:
        load_checkpoint(path, digest_needed=True)
    except CheckpointError:
        return True
    return False


def test_every_bit_and_every_cut(tmp_path):
    path = tmp_path / "c"
    save_checkpoint(path, {"w": torch.ones(1)})
    whole = path.read_bytes()
    assert not refused(path)
    unseen = []
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        rewrite(path, changed)
        unseen += [bit] if not refused(path) else []
    for length in range(len(whole)):
        rewrite(path, whole[:length])
        unseen += [length] if not refused(path) else []
    assert not unseen
    rewrite(path, whole)
    assert not refused(path)


def test_every_bit_and_every_cut_of_the_digest(tmp_path):
    path, digest_file = tmp_path / "c", tmp_path / "c.sha256"
    save_checkpoint(path, {"w": torch.ones(1)})
    whole = digest_file.read_bytes()
    for bit in range(8 * 64):  # what follows the 64 digits is the file's name, which only sha256sum reads
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        rewrite(digest_file, changed)
        assert refused(path), bit
    for length in range(64):
        rewrite(digest_file, whole[:length])
        assert refused(path), length


@pytest.mark.parametrize("lost", ["a bit", "the end", "the digest", "everything"])
def test_the_one_before_takes_its_place(folder, lost, caplog):
    path = folder.path / "step_00000002"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if lost == "the digest":
        path.with_suffix(".sha256").unlink()
    else:
        path.write_bytes({"a bit": content, "the end": content[:-1], "everything": b""}[lost])
    assert folder.newest_valid()["step"] == 1
    assert "step_00000002: " in caplog.text
    assert "the checkpoint before it is used" in caplog.text


def test_all_of_them_are_damaged(folder):
    for step in (1, 2):
        (folder.path / f"step_0000000{step}").write_bytes(b"")
    with pytest.raises(CheckpointError, match="no checkpoint to resume"):
        folder.newest_valid()
