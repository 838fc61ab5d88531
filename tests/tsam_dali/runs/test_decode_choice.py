"""With what a run decodes: what a check finds, what it has decoded with so far, or the CPU."""

import json
import logging
from functools import partial

import pytest
import torch

from pipelines.check_gpu import kinds
from pipelines.check_gpu.check import check_gpu
from pipelines.check_gpu.choice import Choice, Way
from pipelines.dataset.load import load_clips
from tests.helpers.forks.limited import forked_children as forked_children
from tests.helpers.loading import settings
from tests.helpers.media import write_video
from tests.helpers.processes import called, run
from tsam_dali.distributed import Job
from tsam_dali.runs import epochs, gpu_check
from tsam_dali.runs.decode_choice import choose_decode
from tsam_dali.train import main
from tsam_dali.weights.checkpoint import load_checkpoint

GPU, CPU = (Job(0, 1, 1, torch.device(kind)) for kind in ("cuda", "cpu"))
FOUND = Choice(
    decode="gpu_whole",
    reason="it gives the CPU's frames, 2.0 times as fast",
    checked=["h264 128 x 96"],
    share=1.0,
    network=Way(clips_per_second=300.0),
    ways={"cpu": Way("", 50.0), "gpu": Way("<late>"), "gpu_whole": Way("", 100.0)},
)
TABLE = """\
pipeline.decode: gpu_whole, as it gives the CPU's frames, 2.0 times as fast
frames compared: h264 128 x 96 (100% of the clips)
way              clips/s  frames
cpu                 50.0  the reference
gpu         not measured  <late>
gpu_whole          100.0  as the CPU's
network            300.0  steps of training on synthetic clips"""


@pytest.fixture
def data(tmp_path):
    """A data set of six videos in both lists."""
    (tmp_path / "videos").mkdir()
    for i in range(6):
        write_video(tmp_path / f"videos/{i}.mp4", 12)
    for name in ("training.txt", "validation.txt"):
        (tmp_path / name).write_text("".join(f"{i} {i % 2}\n" for i in range(6)))
    return tmp_path


@pytest.fixture
def checked(monkeypatch):
    """Whether the check was made, which finds FOUND."""
    calls = []
    monkeypatch.setattr(gpu_check, "check", lambda *_: calls.append(1) or FOUND)
    return calls


def chosen(job, decode="auto", state=None, clips=None, folder="none", **pipeline):
    config = settings(folder, pipeline={"decode": decode, **pipeline})
    loading, choice = choose_decode(config, job, clips or {}, 2, state)
    return loading.pipeline.decode, choice


def test_without_a_gpu_nothing_happens(checked):
    assert chosen(CPU) == ("auto", None)  # for the loader: cpu
    assert checked == []
    modules = "import sys, tsam_dali.runs.epochs; print([name for name in sys.modules if '_gpu' in name])"
    assert run("-c", modules).stdout == "[]\n"


@pytest.mark.parametrize("decode", ["gpu", "gpu_whole"])
def test_without_a_gpu_the_cpu_decodes_whatever_the_settings_say(caplog, decode):
    assert chosen(CPU, decode) == ("cpu", None)
    assert caplog.messages == [f"the settings say pipeline.decode {decode}; without a GPU it is cpu"]
    assert chosen(CPU, "gpu", source="frames") == ("gpu", None)  # libjpeg in place of nvJPEG


def test_what_needs_no_check(checked):
    assert chosen(GPU, "cpu") == ("cpu", None)
    assert chosen(GPU, source="frames") == ("auto", None)
    assert checked == []


def test_the_check_decides(checked, caplog):
    caplog.set_level(logging.INFO)
    assert chosen(GPU) == ("gpu_whole", FOUND.to_dict())
    assert checked == [1]
    assert "\n".join(record.getMessage() for record in caplog.records) == TABLE


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"decode": FOUND.to_dict()}, "gpu_whole"),
        ({"config": {"pipeline": {"decode": "auto"}}}, "cpu"),  # began without a GPU
        ({"config": {"pipeline": {"decode": "gpu"}}}, "gpu"),  # the settings said so
        ({"config": {}}, "cpu"),
    ],
)
def test_a_resumed_run_keeps_the_choice(checked, state, expected):
    decode, choice = chosen(GPU, state=state)
    assert decode == choice["decode"] == expected
    assert checked == []


def test_a_run_that_goes_on_without_its_gpu(caplog):
    state = {"decode": FOUND.to_dict()}
    assert chosen(CPU, state=state) == ("auto", FOUND.to_dict())  # kept for when it comes back
    assert "the run has decoded with gpu_whole; without a GPU it goes on with cpu" in caplog.text


def test_clips_that_do_not_belong_on_nvdec(data, caplog):
    assert chosen(GPU, "gpu", clips=load_clips(settings(data)), folder=data)[0] == "gpu"
    write_video(data / "videos/3.mp4", 12, (90, 128))
    decode, choice = chosen(GPU, "gpu", clips=load_clips(settings(data)), folder=data)
    assert decode == "cpu"
    reason = "2 of 12 clips (sides that are no multiples of 16 pixels: 2) do not belong on NVDEC"
    assert choice["reason"].startswith(reason)
    assert "the settings say pipeline.decode gpu, but 2 of 12 clips" in caplog.text


@pytest.mark.usefixtures("forked_children")
def test_the_check_of_a_data_set(data):
    """DALI's CPU decoder, in place of NVDEC, does not take H.264."""
    config = settings(data, batch_size=2)
    found = gpu_check.check(config, CPU, load_clips(config), 2)
    assert found.decode == "cpu"
    assert found.checked == ["h264 128 x 96"]
    assert found.share == 1
    assert found.ways["gpu"].differs.startswith("h264 128 x 96, clip 0, alone: RuntimeError")


@pytest.mark.usefixtures("forked_children")
def test_a_whole_check(tmp_path, monkeypatch):
    """Everything but a GPU is real; VP9, which DALI decodes on the CPU as well, stands for what NVDEC takes."""
    monkeypatch.setattr(kinds, "why_not_nvdec", lambda info: "")
    monkeypatch.setattr(gpu_check, "SECONDS", 300)
    monkeypatch.setattr(gpu_check, "check_gpu", partial(check_gpu, seconds_each=150))  # on a busy machine
    (tmp_path / "videos").mkdir()
    for i in range(6):
        write_video(tmp_path / f"videos/{i}.mp4", 12, [(96, 128), (112, 96), (96, 144)][i % 3], codec="vp9")
    for name in ("training.txt", "validation.txt"):
        (tmp_path / name).write_text("".join(f"{i} {i % 2}\n" for i in range(6)))
    model = {"arch": "test_resnet", "video_segments": 2, "audio_segments": 0, "pretrain": "none"}
    config = settings(tmp_path, model=model, batch_size=2, workers=1)
    found = gpu_check.check(config, CPU, load_clips(config), 2)
    assert found.checked == ["vp9 128 x 96", "vp9 96 x 112", "vp9 144 x 96"]
    assert list(found.ways) == ["cpu", "gpu", "gpu_whole"]
    for row in (found.network, *found.ways.values()):
        assert row.differs == ""
        assert row.clips_per_second > 0


def test_a_check_that_fails(data, monkeypatch):
    monkeypatch.setattr(gpu_check, "check_gpu", lambda *_: [][0])
    config = settings(data, batch_size=2)
    found = gpu_check.check(config, CPU, load_clips(config), 2)
    assert (found.decode, found.reason) == ("cpu", "the check failed (IndexError: list index out of range)")


@pytest.mark.parametrize(
    "dataset",
    [
        {},
        {"task": "labels", "class_names": ["a", "b", "c"]},
        {"task": "numbers", "numbers": [{"name": name, "range": [0, 1]} for name in "abc"]},
    ],
    ids=["classes", "labels", "numbers"],
)
def test_speed_of_a_network(monkeypatch, dataset):
    monkeypatch.setattr(gpu_check, "STEP_SECONDS", 0.2)
    model = {"arch": "test_resnet", "video_segments": 2, "audio_segments": 1, "pretrain": "none"}
    config = settings(model=model, dataset={"data_dir": "none"} | dataset)
    announced = []
    rate = gpu_check.network_rate(config, 3, torch.device("cpu"), 4, announced.append)
    assert 0 < rate < 1e5
    assert announced == ["training the network"]


def test_the_choice_is_kept(data, monkeypatch):
    """In args.json, the report and checkpoints, from which a run goes on with it."""
    small = ["model.video_segments=2", "model.arch=test_resnet", "model.pretrain=none", "training_param.batch_size=2"]
    small += [
        "model.audio_segments=0",
        "pipeline.workers=0",
        "training_param.epochs=1",
        f"results_folder={data}/results",
    ]
    (data / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(data)}}))
    words = ["--data", data / "data.json", *(word for change in small for word in ("--set", change))]
    monkeypatch.setattr(epochs, "choose_decode", lambda config, *_: (config, FOUND.to_dict()))
    done = called(main, *words, "--run_id", "first")
    assert done.returncode == 0, done.stderr
    monkeypatch.undo()
    assert json.loads((data / "results/first/args.json").read_text())["decode"] == FOUND.to_dict()
    assert "<b>gpu</b>: not measured (&lt;late&gt;)" in (data / "results/first/report.html").read_text()
    checkpoint = data / "results/first/checkpoints/latest"
    assert load_checkpoint(checkpoint)["decode"] == FOUND.to_dict()
    again = called(
        main, *words, "--run_id", "second", "--resume", checkpoint, "--force", "--set", "training_param.epochs=2"
    )
    assert again.returncode == 0, again.stderr
    assert "the run has decoded with gpu_whole" in again.stderr
    assert load_checkpoint(data / "results/second/checkpoints/latest")["decode"] == FOUND.to_dict()


def test_check_without_a_gpu():
    done = called(main, "--check_gpu", "--device", "cpu")
    assert done.returncode == 1
    assert done.stdout == "nothing to check: there is no GPU, so pipeline.decode auto means cpu\n"
