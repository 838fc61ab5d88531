"""Networks for OpenVINO: float ones give PyTorch's logits, those in eight bits its scores, or are refused."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.checkpoints import checkpoint
from tests.helpers.loading import batches, make_clip
from tests.helpers.networks import one_thread  # noqa: F401 (a fixture)
from tests.helpers.processes import called, start
from tsam_dali import export
from tsam_dali.config.load import change_config
from tsam_dali.inference.export import int8
from tsam_dali.inference.export.formats import ExportError, read_preprocessing, write_network
from tsam_dali.inference.export.openvino_file import EXACT, core
from tsam_dali.inference.export.options import Int8Options
from tsam_dali.inference.preprocessing import preprocessing
from tsam_dali.training.tasks import task_of
from tsam_dali.weights.trained import build_trained, network_of, read_trained

openvino = pytest.importorskip("openvino")  # after the module that keeps its telemetry out
pytestmark = pytest.mark.ci
NAMES = 'dataset.class_names=["\\"<&>","left, right","é","down"]'


def test_a_float_network_gives_the_logits_and_the_preprocessing(tmp_path):
    path = checkpoint(tmp_path / "checkpoint", NAMES, "model.normalize=backbone")
    trained = read_trained(path)
    network = network_of(trained, path)
    about = preprocessing(trained, network)
    out = tmp_path / "out" / "network.xml"
    out.parent.mkdir()
    out.with_suffix(".bin").write_bytes(b"of an earlier network")
    assert write_network(out, network, about) < 1e-4
    assert read_preprocessing(out) == about
    assert sorted(file.name for file in out.parent.iterdir()) == ["network.bin", "network.xml"]
    pictures = {name: torch.rand(5, *about[name]["shape"][1:]) for name in ("video", "audio")}
    program = core().compile_model(out, "CPU", EXACT)
    assert [sorted(port.get_names()) for port in program.inputs] == [["video"], ["audio"]]
    logits = program({name: picture.numpy() for name, picture in pictures.items()})["logits"]
    with torch.no_grad():
        expected = network(*pictures.values())
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-4, atol=1e-4)
    assert not [name for name in sys.modules if name.startswith("openvino_telemetry.")]


SIGNAL = """
import signal, sys
from tsam_dali.inference.export.openvino_file import load
first = load(sys.argv[1])
second = load(sys.argv[1])
del first
third = load(sys.argv[1])
del second, third
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    sys.exit(7)
"""


def test_a_signal_is_handled_after_networks_are_gone(tmp_path):
    one = openvino.opset13.parameter([1], name="video")
    openvino.save_model(openvino.Model([openvino.opset13.relu(one)], [one]), tmp_path / "network.xml")
    assert start("-c", SIGNAL, tmp_path / "network.xml").wait(60) == 7


@pytest.fixture(scope="module", autouse=True)
def all_instructions():
    """OpenVINO lays tensors out for all that the CPU can; with its oneDNN limited to less, some layers cannot run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
        yield


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A checkpoint, and a data set whose validation labels are its own answers."""
    folder = tmp_path_factory.mktemp("answered")
    path = checkpoint(folder / "checkpoint", "model.audio_segments=0", "pipeline.workers=0")
    (folder / "videos").mkdir()
    clips = [make_clip(folder / "videos", i, (64, 64), frames=6) for i in range(9)]
    network, config, _ = build_trained(path)
    with torch.no_grad():
        (batch,) = batches(config, "validation", clips, rank_batch=len(clips), once=True)
        labels = network(batch.video, None).argmax(1).tolist()
    (folder / "training.txt").write_text("".join(f"{clip.id} {row % 4}\n" for row, clip in enumerate(clips)))
    answers = zip(clips, labels, strict=True)
    (folder / "validation.txt").write_text("".join(f"{clip.id} {label}\n" for clip, label in answers))
    (folder / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder)}}))
    return path, folder / "data.json"


@pytest.fixture(scope="module")
def exported(answered, tmp_path_factory):
    """The command, and the network that it wrote."""
    path, data = answered
    out = tmp_path_factory.mktemp("exported") / "network.xml"
    options = ("--data", data, "--int8", "--calibration_clips", 6)
    return called(export.main, "--checkpoint", path, out, *options), out


def test_eight_bits_are_kept_where_they_score_the_same(exported):
    done, out = exported
    assert done.returncode == 0, done.stderr
    small = out.with_name("network.int8.xml")
    assert f"{small}: accuracy 100.0% on 9 validation clips, as float's\n" in done.stdout
    files = {f"network{kind}.{ending}" for kind in ("", ".int8") for ending in ("xml", "bin")}
    assert {file.name for file in out.parent.iterdir()} == files
    assert "FakeQuantize" in small.read_text()
    assert small.with_suffix(".bin").stat().st_size < 0.3 * out.with_suffix(".bin").stat().st_size
    about = read_preprocessing(small)
    assert about == read_preprocessing(out)
    video = {"video": np.random.default_rng(0).random((1, *about["video"]["shape"][1:]), np.float32)}
    logits = [core().compile_model(one, "CPU", EXACT)(video)["logits"] for one in (out, small)]
    assert np.abs(logits[0] - logits[1]).max() > 0


def test_eight_bits_that_lose_accuracy_are_refused_and_the_float_network_is_kept(
    exported, answered, tmp_path, monkeypatch
):
    def turned(path: Path, *_):
        model = core().read_model(path)
        logits = model.output(0).get_node().input_value(0)
        worse = openvino.opset13.negative(logits)  # the least probable class wins
        worse.output(0).set_names({"logits"})
        return openvino.Model([worse], model.get_parameters())

    for file in exported[1].parent.glob("network.[bx]*"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(int8, "_quantized", turned)
    network, trained, names = build_trained(answered[0])
    config = change_config(trained, answered[1])
    task = task_of(config.dataset, config.training_param, len(names))
    with pytest.raises(ExportError) as refused:
        int8.write_int8(tmp_path / "network.xml", network, config, task, Int8Options(int8=True, calibration_clips=4))
    message = str(refused.value)
    assert "network.int8.xml: not written, accuracy 0.0% on 9 validation clips, 100.0 points below float's" in message
    assert message.endswith("network.xml is kept; try more --calibration_clips (these were 4)")
    assert {file.name for file in tmp_path.iterdir()} == {"network.xml", "network.bin"}


def test_a_missing_package_and_wrong_arguments_are_a_line(answered, tmp_path, monkeypatch):
    out = tmp_path / "network.xml"
    folder = ("--checkpoint", tmp_path, tmp_path / "network.xml", "--int8")
    cases = {
        "--int8 is for OpenVINO: give OUT.xml": ("--checkpoint", answered[0], tmp_path / "a.onnx", "--int8"),
        "does not say where the data are: give --data": folder,
        "--calibration_clips: ": ("--checkpoint", answered[0], out, "--int8", "--calibration_clips", 0),
    }
    for message, arguments in cases.items():
        done = called(export.main, *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    for package, command in (("nncf", ("--int8",)), ("openvino", ())):
        monkeypatch.setitem(sys.modules, package, None)
        done = called(export.main, "--checkpoint", answered[0], out, *command)
        assert done.returncode == 2
        assert f"needs the package {package}; install the extra: pip install -e '.[openvino]'" in done.stderr
    assert list(tmp_path.iterdir()) == []
