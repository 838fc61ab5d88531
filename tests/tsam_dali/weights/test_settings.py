"""Settings that a file of weights implies: what differs from the configuration is reported."""

import pytest
import timm
import torch

from tests.helpers.networks import network, one_thread, settings  # noqa: F401 (one_thread: a fixture)
from tests.tsam_dali.weights.weight_files import tsam_file, tsm_file, video_network
from tsam_dali.weights import load_weights
from tsam_dali.weights.checkpoint import save_checkpoint

BLOCKS = "shift_temporal.n_insert, m_insert: the shift of the file's training is"


def test_settings_that_differ_are_reported(tmp_path):
    tsm_file(tmp_path / "tsm.pth")
    tsam_file(tmp_path / "tsam.tar")
    save_checkpoint(
        tmp_path / "own", {"model": network().state_dict(), "config": settings("shift_temporal.f_div=2").to_dict()}
    )
    assert load_weights(video_network("shift_temporal.n_insert=2"), tmp_path / "tsm.pth").notes == (
        "model.normalize is 'none', the file was trained with 'backbone'",
        "shift_temporal.f_div is 4, the file was trained with 8",
        "shift_temporal.shift_depth is 2, the file was trained with 1",
        "shift_temporal.edge is 'keep', the file was trained with 'zero'",
        f"{BLOCKS} also in layer1.1, layer2.1, layer3.1, layer4.1",
    )
    assert load_weights(video_network(), tmp_path / "tsam.tar").notes == (
        f"{BLOCKS} not in layer1.1, layer2.1, layer3.1, layer4.1",
    )
    assert load_weights(video_network("shift_temporal.status=false"), tmp_path / "tsam.tar").notes == (
        "shift_temporal.status is false, the file was trained with the shift",
    )
    assert load_weights(video_network(), tmp_path / "own").notes == (
        "shift_temporal.f_div is 4, the file was trained with 2",
    )


@pytest.mark.parametrize(("classes", "trained"), [(1000, "backbone"), (11221, "none"), (7, None)])
def test_pixels_of_plain_weights_are_known_by_their_classes(tmp_path, classes, trained):
    """ImageNet's own weights expect mean and deviation, MIIL's pixels 0..1; of others nothing is known."""
    torch.save(timm.create_model("resnet18", num_classes=classes).state_dict(), tmp_path / "plain.pth")
    for here in ("none", "backbone"):
        report = load_weights(video_network(f"model.normalize={here}"), tmp_path / "plain.pth")
        expected = [f"model.normalize is {here!r}, the file was trained with {trained!r}"]
        assert [note for note in report.notes if "normalize" in note] == (
            expected if trained not in (None, here) else []
        )
        assert report.differs == (trained not in (None, here))


def test_a_tsam_file_without_shift_fits_a_network_without_shift(tmp_path):
    tsam_file(tmp_path / "tsam.tar")
    content = torch.load(tmp_path / "tsam.tar", weights_only=False)
    parts = content["model_state"]
    parts["nn_backbone"] = {key.replace(".layer.", "."): value for key, value in parts["nn_backbone"].items()}
    torch.save(content, tmp_path / "unshifted.tar")
    assert load_weights(video_network("shift_temporal.status=false"), tmp_path / "unshifted.tar").notes == ()
    assert load_weights(video_network(), tmp_path / "unshifted.tar").notes == (
        "shift_temporal.status is true, the file was trained without the shift",
    )


def test_files_older_than_the_causal_shift_looked_both_ways(tmp_path):
    tsam_file(tmp_path / "tsam.tar")
    config = settings().to_dict()
    save_checkpoint(tmp_path / "new", {"model": network().state_dict(), "config": config})
    del config["shift_temporal"]["causal"]
    save_checkpoint(tmp_path / "old", {"model": network().state_dict(), "config": config})
    assert load_weights(video_network(), tmp_path / "old").notes == ()
    for name in ("new", "old", "tsam.tar"):
        notes = load_weights(video_network("shift_temporal.causal=true"), tmp_path / name).notes
        assert "shift_temporal.causal is True, the file was trained with False" in notes


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("here", [True, False])
def test_weights_trained_with_and_without_shift(tmp_path, trained, here):
    config = settings(f"shift_temporal.status={str(trained).lower()}")
    save_checkpoint(tmp_path / "own", {"model": network().state_dict(), "config": config.to_dict()})
    notes = load_weights(video_network(f"shift_temporal.status={str(here).lower()}"), tmp_path / "own").notes
    expected = {
        (True, False): ("shift_temporal.status is false, the file was trained with the shift",),
        (False, True): ("shift_temporal.status is true, the file was trained without the shift",),
    }
    assert notes == expected.get((trained, here), ())
