"""The model repository for Triton: settings that its own schema takes, the loader's frames, PyTorch's logits."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nvidia.dali import Pipeline

from pipelines.dali.graph import whole_video_graph
from pipelines.sampling import validation_frames
from tests.helpers.checkpoints import checkpoint
from tests.helpers.loading import batches, make_clip
from tests.helpers.media import frame_numbers
from tests.helpers.networks import one_thread  # noqa: F401 (a fixture)
from tests.helpers.processes import called
from tsam_dali import export
from tsam_dali.config.load import change_config
from tsam_dali.inference.export import triton
from tsam_dali.inference.export.triton import CLASSIFIER, FRAMES, NETWORK, write_triton
from tsam_dali.inference.preprocessing import preprocessing
from tsam_dali.weights.trained import build_trained, network_of, read_trained

pytestmark = pytest.mark.ci
NAMES = 'dataset.class_names=["left","line\\nfeed","é","down"]'
VIDEOS = [(33, (96, 128)), (7, (130, 94)), (2, (96, 128))]
"""Number of frames and size. Of three segments, two of the last one show the same frame."""


def model_config() -> Any:
    """Triton's own schema of config.pbtxt, without the client that it comes with."""
    place = Path(importlib.util.find_spec("tritonclient").submodule_search_locations[0], "grpc", "model_config_pb2.py")
    spec = importlib.util.spec_from_file_location("model_config_pb2", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_config(folder: Path) -> Any:
    text_format = pytest.importorskip("google.protobuf.text_format")
    return text_format.Parse((folder / "config.pbtxt").read_text(), model_config().ModelConfig())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A checkpoint with audio, and its repository for a server without a GPU."""
    folder = tmp_path_factory.mktemp("triton")
    path = checkpoint(folder / "checkpoint", NAMES, "model.normalize=backbone")
    trained = read_trained(path)
    network = network_of(trained, path)
    assert write_triton(folder / "models", network, preprocessing(trained, network), on_gpu=False) < 1e-4
    return path, folder / "models"


def test_the_settings_are_those_that_triton_reads(written):
    _, folder = written
    assert {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()} == {
        *(f"{name}/config.pbtxt" for name in (FRAMES, NETWORK, CLASSIFIER)),
        *(f"{FRAMES}/1/model.dali", f"{NETWORK}/1/model.onnx", f"{CLASSIFIER}/labels.txt"),
    }
    assert (folder / CLASSIFIER / "1").is_dir()
    assert (folder / CLASSIFIER / "labels.txt").read_text(encoding="utf-8") == "left\nline feed\né\ndown\n"
    configs = {name: read_config(folder / name) for name in (FRAMES, NETWORK, CLASSIFIER)}
    assert {name: config.name for name, config in configs.items()} == {name: name for name in configs}
    assert len({config.max_batch_size for config in configs.values()}) == 1
    ports = {
        (name, port.name): (port.data_type, list(port.dims))
        for name, config in configs.items()
        for port in (*config.input, *config.output)
    }
    types = model_config()
    encoded, video, audio = (
        (types.TYPE_UINT8, [-1]),
        (types.TYPE_FP32, [3, 3, 32, 32]),
        (types.TYPE_FP32, [1, 3, 32, 32]),
    )
    assert ports == {
        (FRAMES, "encoded"): encoded,
        (FRAMES, "video"): video,
        (NETWORK, "video"): video,
        (NETWORK, "audio"): audio,
        (NETWORK, "logits"): (types.TYPE_FP32, [4]),
        (CLASSIFIER, "encoded"): encoded,
        (CLASSIFIER, "audio"): audio,
        (CLASSIFIER, "logits"): (types.TYPE_FP32, [4]),
    }
    assert configs[CLASSIFIER].output[0].label_filename == "labels.txt"
    known = {port.name for port in configs[CLASSIFIER].input}
    for step in configs[CLASSIFIER].ensemble_scheduling.step:  # each takes what is there before it
        assert set(step.input_map) == {port.name for port in configs[step.model_name].input}
        assert set(step.input_map.values()) <= known
        known |= set(step.output_map.values())
    assert "logits" in known


def test_bytes_of_videos_become_the_frames_of_the_loader_and_logits(written, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path, folder = written
    # DALI's CPU decoder takes neither H.264 nor HEVC
    clips = [make_clip(tmp_path, i, size, "vp9", frames) for i, (frames, size) in enumerate(VIDEOS)]
    pipeline = Pipeline.deserialize(filename=str(folder / FRAMES / "1" / "model.dali"))
    pipeline.build()
    pipeline.feed_input("encoded", [np.fromfile(clip.path, np.uint8) for clip in clips])
    (found,) = pipeline.run()
    frames = np.stack([np.array(found[i]) for i in range(len(clips))])
    assert (frames.shape, frames.dtype) == ((len(clips), 3, 3, 32, 32), np.float32)
    network, config, _ = build_trained(path)
    silent = change_config(config, overrides=["model.audio_segments=0", "pipeline.workers=0"])
    (batch,) = batches(silent, "validation", clips, rank_batch=len(clips), once=True)
    assert (torch.from_numpy(frames) - batch.video).abs().mean((1, 2, 3, 4)).max() * 255 < 2  # colors are rounded
    session = onnxruntime.InferenceSession(folder / NETWORK / "1" / "model.onnx")
    audio = torch.rand(len(clips), 1, 3, 32, 32)
    (logits,) = session.run(["logits"], {"video": frames, "audio": audio.numpy()})
    with torch.no_grad():
        expected = network(torch.from_numpy(frames), audio)
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("segments", [1, 5, 8])
def test_the_frames_are_the_middle_ones(tmp_path, segments):
    """Also where the middle is a whole number, and where there are fewer frames than segments."""
    clips = [make_clip(tmp_path, i, (96, 96), "vp9", frames) for i, frames in enumerate((1, 3, 24, 25, 33))]
    pipeline = Pipeline.deserialize(whole_video_graph(segments, 96, batch_size=len(clips), on_gpu=False))
    pipeline.build()
    pipeline.feed_input("encoded", [np.fromfile(clip.path, np.uint8) for clip in clips])
    (found,) = pipeline.run()
    for i, clip in enumerate(clips):
        frames = (np.array(found[i]).transpose(0, 2, 3, 1) * 255).round().astype(np.uint8)
        assert frame_numbers(frames).tolist() == validation_frames(clip.frames, segments).tolist()


def test_a_server_with_a_gpu_decodes_on_it(written, tmp_path, monkeypatch):
    path, _ = written
    monkeypatch.setattr(triton, "write_network", lambda path, *_: path.parent.mkdir(parents=True) or 0.0)
    done = called(export.main, "--checkpoint", path, "--triton", tmp_path / "models")
    assert done.returncode == 0, done.stderr
    assert f"next: tritonserver --model-repository {tmp_path / 'models'}" in done.stdout
    kinds = {
        group.kind for name in (FRAMES, NETWORK) for group in read_config(tmp_path / "models" / name).instance_group
    }
    assert kinds == {model_config().ModelInstanceGroup.KIND_GPU}
    assert b"mixed" in (tmp_path / "models" / FRAMES / "1" / "model.dali").read_bytes()


def test_what_cannot_be_written_is_a_line(written, tmp_path, monkeypatch):
    path, folder = written
    before = sorted(folder.rglob("*"))
    dense = checkpoint(tmp_path / "dense", "model.sampling=dense", "model.stride=2")
    for ckpt, out, message in (
        (path, folder, "cannot be written (Directory not empty)"),
        (dense, tmp_path / "new", "frames of a stretch (model.sampling dense) cannot be chosen"),
    ):
        done = called(export.main, "--checkpoint", ckpt, "--triton", out)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(folder.rglob("*")) == before
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr("pipelines.dali.installed.find_spec", lambda _: None)
    done = called(export.main, "--checkpoint", path, "--triton", tmp_path / "new")
    assert "--triton needs NVIDIA DALI; install it: pip install -e '.[cuda12]', or [cuda13]" in done.stderr
