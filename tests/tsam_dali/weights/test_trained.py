"""A trained network is read from checkpoints and from exported folders alike."""

import json

import pytest
import torch

from tests.helpers.checkpoints import HISTORY, TINY, checkpoint, pictures
from tests.helpers.networks import one_thread, settings  # noqa: F401 (one_thread: a fixture)
from tsam_dali.config.load import ConfigError
from tsam_dali.model import build_model
from tsam_dali.weights import load_weights
from tsam_dali.weights.checkpoint import CheckpointError, load_checkpoint, sha256
from tsam_dali.weights.export_folder import write_folder
from tsam_dali.weights.formats import WeightsError
from tsam_dali.weights.trained import build_trained, read_trained


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("run") / "latest")


@pytest.fixture
def folder(file, tmp_path):
    state = load_checkpoint(file)
    write_folder(tmp_path / "shared", state["model"], state, {}, "# a network\n")
    return tmp_path / "shared"


def test_a_checkpoint_is_read(file):
    trained = read_trained(file)
    assert trained.config == settings(*TINY)
    assert trained.class_names == ("left low", "left high", "right low", "right high")
    assert (trained.history, trained.best) == (HISTORY, {"balanced": 0.6125, "unbalanced": 0.625})
    assert torch.equal(trained.state["head.weight"], load_checkpoint(file)["model"]["head.weight"])


def test_the_network_is_that_of_the_checkpoint(file):
    network, config, names = build_trained(file)
    again = build_model(settings(*TINY), 4).eval()
    again.load_state_dict(load_checkpoint(file)["model"])
    clips = pictures(config)
    assert not network.training
    assert len(names) == 4
    with torch.no_grad():
        torch.testing.assert_close(network(*clips), again(*clips))


def test_a_folder_is_the_same_as_its_checkpoint(file, folder):
    one, other = read_trained(file), read_trained(folder)
    assert one.config == other.config
    assert (one.class_names, one.history, one.best) == (other.class_names, other.history, other.best)
    assert one.state.keys() == other.state.keys()
    assert all(torch.equal(one.state[name], other.state[name]) for name in one.state)


def test_weights_are_loaded_from_a_folder(file, folder):
    network = build_model(settings(*TINY, "shift_temporal.edge=zero"), 4)
    report = load_weights(network, folder)
    assert report.format == "tsam_dali"
    assert report.new == ()
    assert report.notes == ("shift_temporal.edge is 'zero', the file was trained with 'keep'",)
    assert torch.equal(network.state_dict()["head.weight"], read_trained(file).state["head.weight"])


def test_averaged_weights_come_first(tmp_path):
    network = build_model(settings(*TINY), 4)
    file = checkpoint(tmp_path / "averaged", ema=network.state_dict())
    assert torch.equal(read_trained(file).state["head.weight"], network.head.weight)


def test_classes_without_names_are_called_by_their_numbers(tmp_path):
    assert read_trained(checkpoint(tmp_path / "x", "dataset.class_names=[]", num_class=3)).class_names == (
        "0",
        "1",
        "2",
    )


def test_a_folder_names_no_places(tmp_path):
    file = checkpoint(tmp_path / "x", f"dataset.data_dir={tmp_path}/clips", f"dataset.dir_videos={tmp_path}/copies")
    state = load_checkpoint(file)
    write_folder(tmp_path / "shared", state["model"], state, {}, "")
    dataset = read_trained(tmp_path / "shared").config.dataset
    assert (dataset.data_dir, dataset.dir_videos, dataset.dir_frames) == ("clips", "copies", "frames")
    assert str(tmp_path) not in (tmp_path / "shared/config.json").read_text()


def test_a_folder_without_its_card_is_enough(folder):
    (folder / "README.md").unlink()
    assert build_trained(folder)[2][0] == "left low"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file(folder, name):
    (folder / name).unlink()
    message = rf"shared: has no {name}; expected a folder written by tsam_dali.export"
    with pytest.raises(CheckpointError, match=message):
        read_trained(folder)
    with pytest.raises(WeightsError, match=message):
        load_weights(build_model(settings(*TINY), 4), folder)


def test_a_folder_with_the_digest_of_a_bad_file(folder):
    (folder / "model.safetensors").write_bytes(b"nothing")
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"sha256": sha256(folder / "model.safetensors")}))
    with pytest.raises(CheckpointError, match="model.safetensors: not a safetensors file"):
        read_trained(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "config.json: not a JSON file"),
        ("[]", "config.json: not the settings of a network of tsam_dali"),
        ('{"architectures": ["ResNet"]}', "config.json: not the settings of a network of tsam_dali"),
    ],
)
def test_other_settings_in_a_folder(folder, content, message):
    (folder / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=message):
        read_trained(folder)


def test_settings_unknown_here_are_named_with_the_file(folder):
    about = json.loads((folder / "config.json").read_text())
    about["config"]["model"]["wings"] = 2
    (folder / "config.json").write_text(json.dumps(about))
    with pytest.raises(ConfigError, match=r"shared: unknown key model.wings"):
        read_trained(folder)


def test_class_names_that_do_not_fit(folder):
    about = json.loads((folder / "config.json").read_text())
    about["config"]["dataset"]["class_names"] = ["one"]
    (folder / "config.json").write_text(json.dumps(about))
    with pytest.raises(CheckpointError, match="got 1 class name, expected 4"):
        read_trained(folder)


def test_weights_that_do_not_fit_their_settings(folder):
    about = json.loads((folder / "config.json").read_text())
    about["config"]["model"]["arch"] = "resnet18"
    (folder / "config.json").write_text(json.dumps(about))
    with pytest.raises(CheckpointError, match="its weights do not fit its settings") as caught:
        build_trained(folder)
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("place", [20, -100])
def test_damaged_weights_of_a_folder(folder, place):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[place] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="model.safetensors: damaged, its SHA-256 is not the one in config.json"):
        read_trained(folder)


def test_wrong_paths_and_damaged_checkpoints(tmp_path):
    with pytest.raises(CheckpointError, match="none: no such checkpoint"):
        read_trained(tmp_path / "none")
    file = checkpoint(tmp_path / "headless", model={"weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="has no tensor head.weight"):
        read_trained(file)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="damaged, its SHA-256"):
        read_trained(file)


def test_nothing_is_overwritten(file, folder):
    state, before = load_checkpoint(file), (folder / "config.json").read_bytes()
    with pytest.raises(CheckpointError, match="exists already, expected a new or an empty folder"):
        write_folder(folder, state["model"], state, {}, "another")
    assert (folder / "config.json").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["shared"]
