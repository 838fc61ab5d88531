"""From a folder of videos to a network by one command, stopped and continued; what cannot be learnt from."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch

from tests.helpers.forks.popen import Forked
from tests.helpers.media import write_video
from tests.helpers.networks import one_thread as one_thread
from tests.helpers.processes import called
from tsam_dali import predict
from tsam_dali.config import load_config
from tsam_dali.fit import __main__ as fit
from tsam_dali.fit import settings, training
from tsam_dali.runs import folds
from tsam_dali.weights.read import WeightsError

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def videos(tmp_path) -> Path:
    """Seven clips of each of two classes."""
    for name, first in (("dark", 0), ("light", 4000)):
        (tmp_path / "videos" / name).mkdir(parents=True)
        for i in range(7):
            write_video(tmp_path / "videos" / name / f"{i}.mp4", 8, (48, 64), first_number=first + i)
    return tmp_path / "videos"


@pytest.fixture
def weights(tmp_path) -> Path:
    torch.manual_seed(0)
    torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


@pytest.fixture
def small(monkeypatch) -> None:
    """An epoch of small frames."""
    monkeypatch.setattr(settings, "EPOCHS", (1, 1))
    monkeypatch.setattr(training, "SIZES", (32,))
    monkeypatch.setattr(training, "SMALL", 32)
    monkeypatch.setattr(training, "SMALL_ARCH", "test_resnet")


class Commands(list[str]):
    """What was started; Ctrl-C arrives while the command `last` starts."""

    last = ""

    def start(self, words: list[str], **options: object) -> Forked:
        self.append(words[3].removeprefix("tsam_dali."))
        process = Forked([words[0], *words[2:]], **(options | {"preexec_fn": None}))
        if self[-1] == self.last:
            os.kill(os.getpid(), signal.SIGINT)
        return process


@pytest.fixture
def commands(monkeypatch) -> Commands:
    found = Commands()
    monkeypatch.setattr(folds, "subprocess", SimpleNamespace(Popen=found.start, PIPE=subprocess.PIPE))
    return found


@pytest.mark.ci
def test_a_folder_becomes_a_network_though_it_is_stopped(videos, weights, small, commands, tmp_path, monkeypatch):
    (videos / "dark" / "broken.mp4").write_bytes(b"nothing")
    out = tmp_path / "out"
    words = (videos, "--out", out, "--arch", "test_resnet", "--weights", weights, "--device", "cpu")
    seen = []
    for last, minutes in (("probe", 5), ("", 0), ("train", 5), ("", 5)):
        commands.last = last
        commands.clear()
        done = called(fit.main, *words, "--minutes", minutes)
        assert done.returncode == (folds.EXIT_CODE if last else 0), done.stderr
        assert ("the same command goes on" in done.stderr) == bool(last)
        assert "Traceback" not in done.stdout + done.stderr
        seen.append(list(commands))
        if not minutes:
            assert re.search(
                r"fit: no fine-tuning: .* are left, .*; start again with --minutes \d+ for 4 epochs, ", done.stdout
            )
            assert re.search(r"\nprobe .*  kept\n", done.stdout)
            assert load_config(out / "data.json", out / "config.json").training_param.epochs == 1
    before, index = "cli.tools.make_lists", "cli.tools.index_videos"
    assert seen[0] == [before, index, "embed", "probe"]
    assert seen[1:] == [[index, "embed", "probe"], [index, "train"], [index, "train"]]
    assert "broken" in done.stdout + done.stderr
    assert re.search(r"fit: clips: \d+ for training, \d for validation, 1 clip left out", done.stdout)

    scores = {
        row.split()[0]: row.split() for row in done.stdout.splitlines() if row.startswith(("probe ", "fine-tuned "))
    }
    assert scores.keys() == {"probe", "fine-tuned"}
    best = max(scores, key=lambda name: float(scores[name][2].rstrip("%")))  # of equal ones the first
    assert [name for name, cells in scores.items() if cells[-1] == "kept"] == [best]
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("predict: "))
    assert line == f"predict: python -m tsam_dali.predict --checkpoint {out / 'model'} VIDEOS"
    predicted = called(predict.main, "--checkpoint", out / "model", videos / "light" / "0.mp4")
    assert json.loads(predicted.stdout)["classes"][0]["name"] in ("dark", "light")

    config = load_config(out / "data.json", out / "config.json")  # with which the long way goes on
    assert config.model.audio_segments == 0
    assert config.pipeline.max_bad_fraction > 0.01
    assert any(text.startswith("fine-tuning: ") for text in json.loads((out / "config.json").read_text())["help"])

    commands.clear()
    again = called(fit.main, *words)
    assert "fine-tuning: finished before" in again.stdout
    assert commands == [index]
    other = called(fit.main, videos / "dark", *words[1:])
    assert other.returncode == 2
    assert re.fullmatch(r"error: \S+: begun with other arguments \(source .*\); choose another --out\n", other.stderr)


@pytest.mark.ci
def test_without_weights_a_small_network_is_trained_and_those_to_fetch_are_named(
    videos, small, commands, tmp_path, monkeypatch
):
    def missing(name: str, download: bool) -> str:
        raise WeightsError(f"{name}: cannot be fetched")

    monkeypatch.setattr(training, "timm_file", missing)
    for path in videos.rglob("*.mp4"):
        write_video(path, 8, (48, 64), audio=True, first_number=400 * int(path.stem))
    words = (videos, "--out", tmp_path / "out", "--device", "cpu")
    done = called(fit.main, *words)
    assert done.returncode == 0, done.stderr
    assert "--download fetches timm's (https://huggingface.co/timm/tf_efficientnet_lite0" in done.stdout
    assert re.search(r"\nscratch +\d+\.\d% +\d+\.\d%  kept\n", done.stdout)
    assert commands[2:] == ["cli.tools.precompute_audio", "train"]
    assert load_config(tmp_path / "out/data.json", tmp_path / "out/scratch.json").model.audio_segments == 1
    refused = called(fit.main, *words, "--download")
    assert refused.returncode == 2
    assert refused.stderr.endswith("error: tf_efficientnet_lite0: cannot be fetched\n")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([], "holds no clip; expected a folder of videos for each class"),
        (["cat/1", "cat/2", "cat/3"], "all training clips are of one class (cat): there is nothing to learn"),
        (["cat/1", "cat/2", "dog/1x", "dog/2x", "dog/3x"], "more than half of the clips of a list cannot be read"),
    ],
)
def test_what_cannot_be_learnt_from(made, said, commands, tmp_path, capfd):
    (tmp_path / "videos").mkdir()
    for name in made:
        path = tmp_path / "videos" / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True)
        if name.endswith("x"):
            path.write_bytes(b"nothing")
        else:
            write_video(path, 8)
    done = called(fit.main, tmp_path / "videos", "--out", tmp_path / "out")
    assert done.returncode == 2
    errors = [line for line in (done.stderr + capfd.readouterr().err).splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("none",), "error: none: does not exist"),
        (("none", "--weights", "w.pth"), "--weights needs --arch"),
        (("none", "--arch", "resnet18", "--weights", "w.pth"), "w.pth: no such checkpoint"),
        (("none", "--arch", "resnet_18"), "error: --arch: 'resnet_18' is not a known network"),
        (("none", "--arch", "torch_hub:a:b"), "torch_hub:a:b is for tsam_dali.train"),
        (("none", "--minutes", "soon"), "--minutes: invalid minutes value: 'soon'"),
    ],
)
def test_arguments(words, said, commands, own_folder, capfd):
    done = called(fit.main, *words)
    assert done.returncode == 2
    assert said in done.stderr + capfd.readouterr().err
    assert not [*own_folder.iterdir()]


def test_the_time_decides_on_pixels_epochs_and_copies():
    costs = settings.Costs(reading=0.01, forward=0.1, training=0.3)

    def plan(seconds: float, costs: settings.Costs = costs, copies: bool = True) -> settings.Plan:
        return settings.plan(costs, 100, 20, 20, seconds, settings.SIZES, copies)

    assert plan(10_000)[:3] == (224, 20, False)
    assert plan(10_000).seconds == pytest.approx(settings.START + 20 * (100 * 0.31 + 20 * 0.11))
    assert plan(400)[:3] == (224, 11, False)
    assert plan(300)[:3] == (192, 11, False)
    assert plan(100)[0] == 128
    assert plan(100).epochs < 10
    assert plan(0).epochs == 0
    slow = costs._replace(reading=0.5)
    assert plan(10_000, slow)[:3] == (224, 20, True)
    assert plan(10_000, slow, copies=False)[:3] == (224, 20, False)
