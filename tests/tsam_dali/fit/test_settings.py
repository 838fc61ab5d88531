"""What a fit decides from clips, classes, scores of probes and arguments; how it ends with a command that fails."""

import argparse
import json
import signal
import time
from pathlib import Path

import pytest

from pipelines.dataset.clips import Dataset
from tsam_dali.fit import choice
from tsam_dali.fit.choice import Weights, candidates
from tsam_dali.fit.data import Data, lists_of
from tsam_dali.fit.settings import START, Plan, Settings, base_settings, choose_frames, wanted_epochs, with_plan
from tsam_dali.fit.steps import Steps
from tsam_dali.fit.training import train


def data(clips=100, audio=False, left_out=0.0, **dataset) -> Data:
    parts = {"training": [None] * clips, "validation": [None] * 10}
    return Data(Path("data.json"), parts, 2, Dataset(data_dir="d", **dataset), audio, False, left_out)


def chosen(about: Data, weights: str = "w.pth", probe: bool = False) -> tuple[Settings, list[str]]:
    said: list[str] = []
    return base_settings(about, "resnet18", weights, probe, said.append), said


def test_names_of_sides_forbid_the_mirror():
    mirrored = ("data_augmentation", "video_augmentation", "RandomHorizontalFlip")
    cases = [
        (("swipe left", "wave"), (), False),
        (("a", "b"), (), True),
        (("left", "right"), (("left", "right"),), True),
    ]
    for names, pairs, expected in cases:
        settings, said = chosen(data(class_names=names, flip_labels=pairs))
        value = settings.content
        for key in mirrored:
            value = value[key]
        assert value is expected
        assert any("mirrored clips: none" in line for line in said) is not expected


def test_more_clips_are_augmented_more():
    looks = [chosen(data(clips, audio=True))[0].content for clips in (999, 1000, 10_000)]
    video = [look["data_augmentation"]["video_augmentation"] for look in looks]
    assert [one.get("RandAugment", 0) for one in video] == [0, 2, 2]
    assert [one.get("modality_dropout", 0) for one in video] == [0, 0.1, 0.1]
    assert [look["training_param"].get("mixup", 0) for look in looks] == [0, 0, 0.2]
    assert [look["training_param"]["batch_size"] for look in looks] == [16, 16, 32]
    assert [chosen(data(clips))[0].content["training_param"]["batch_size"] for clips in (5, 9, 63, 64)] == [1, 2, 8, 16]


def test_what_stands_for_the_last_layer():
    frozen = [
        chosen(data(), *kind)[0].content["training_param"]["freeze"] for kind in (("w", False), ("w", True), ("",))
    ]
    assert frozen == [{"backbone": 2}, {}, {}]
    assert chosen(data(), "")[0].content["training_param"]["batch_norm"] == "train"
    assert chosen(data(left_out=0.12))[0].content["pipeline"]["max_bad_fraction"] == 0.12
    numbers = data(task="numbers", numbers=[{"name": "v", "range": (0, 1)}])
    assert chosen(numbers)[0].content["training_param"]["label_smoothing"] == 0


@pytest.mark.parametrize(
    ("audio", "frames", "expected"), [(0.84, 0.26, 2), (0.5, 0.46, 8), (0.2, 0.9, 8), (None, 0.9, 8)]
)
def test_few_frames_where_the_audio_says_far_more(audio, frames, expected):
    settings, _ = chosen(data())
    choose_frames(settings, {"frames": frames} | ({} if audio is None else {"audio": audio}))
    assert settings.content["model"]["video_segments"] == expected


def test_the_plan_sets_pixels_and_a_moving_average_for_so_many_steps():
    settings, _ = chosen(data(100, audio=True))
    decay = []
    for epochs in (1, 3, 40):
        with_plan(settings, Plan(160, epochs, False, 0, 0), data(100, audio=True))
        decay.append(settings.content["training_param"]["ema_decay"])
    assert decay == [0.286, 0.762, 0.98]  # of 7 and 21 steps, and the most
    images = settings.content["data_augmentation"]
    assert images["video_image_param"]["output_size"] == 160
    assert images["audio_image_param"]["spec_size"] == [3, 160, 160]
    assert [wanted_epochs(number, 16, scratch=False) for number in (50, 300, 5000)] == [40, 22, 10]
    assert wanted_epochs(800, 16, scratch=True) == 16


class Noted(Steps):
    """Runs nothing."""

    def __init__(self):
        super().__init__(None)
        self.words: list[str] = []
        self.seconds = None

    def run(self, module, *words, allowed=(0,), seconds=None):
        self.words, self.seconds = [module, *map(str, words)], seconds
        return 0


def lists(tmp_path, *source, **given) -> tuple[Path, list[str]]:
    defaults = dict.fromkeys(("videos", "format", "classes"))
    names = dict(zip(("source", "validation"), (*source, None), strict=False))
    steps = Noted()
    found = lists_of(argparse.Namespace(**{**defaults, "group": "", **names, **given}), tmp_path / "out", steps)
    return found, steps.words


def test_lists_from_what_is_given(tmp_path):
    data, folder = tmp_path / "out/data/data.json", tmp_path / "videos"
    ending = ["--out", str(data.parent), "--name"]
    assert lists(tmp_path, folder) == (data, ["cli.tools.make_lists", str(folder), *ending, "videos"])
    csv = Path("train.csv"), Path("val.csv")
    given = lists(tmp_path, *csv, videos=folder, format="vggsound", classes="names.txt")[1]
    assert given[1:9] == [*map(str, csv), "--videos", str(folder), "--format", "vggsound", "--classes", "names.txt"]
    found, words = lists(tmp_path, folder, group="person[0-9]+")
    assert found == data.parent / "fold_1" / "data.json"
    assert words[2:6] == ["--folds", "5", "--group", "person[0-9]+"]


def test_lists_that_are_there(tmp_path):
    own, lists_of_tsam = tmp_path / "own.json", tmp_path / "tsam"
    own.write_text(json.dumps({"dataset": {"data_dir": "d"}}))
    assert lists(tmp_path, own) == (own, [])
    (tmp_path / "anet.json").write_text(json.dumps({"database": {}}))
    assert lists(tmp_path, tmp_path / "anet.json")[1][1] == str(tmp_path / "anet.json")
    lists_of_tsam.mkdir()
    for split in ("training", "validation"):
        (lists_of_tsam / f"{split}.txt").touch()
    given = [str(lists_of_tsam / name) for name in ("training.txt", "validation.txt", "videos")]
    assert lists(tmp_path, lists_of_tsam)[1][1:5] == [*given[:2], "--videos", given[2]]
    first = tmp_path / "out/data/data.json"
    first.parent.mkdir(parents=True)
    first.touch()
    assert lists(tmp_path, tmp_path / "videos") == (first, [])


@pytest.mark.parametrize(("code", "status", "said"), [(-signal.SIGKILL, 137, "killed by SIGKILL; perhaps"), (2, 2, "")])
def test_a_command_that_fails_ends_the_fit(monkeypatch, capsys, code, status, said):
    steps = Steps(None)
    monkeypatch.setattr(steps._child, "run", lambda *_: code)
    with pytest.raises(SystemExit) as ended:
        steps.run("embed")
    assert ended.value.code == status
    assert said in capsys.readouterr().err
    assert steps.run("embed", allowed=(0, code)) == code


def test_a_training_goes_on_as_long_as_time_is_left(tmp_path, capsys):
    (tmp_path / "fine_tuned/checkpoints").mkdir(parents=True)
    (tmp_path / "fine_tuned/checkpoints/latest").touch()
    weights, steps = Weights("resnet18", "w.pth"), Noted()
    train(argparse.Namespace(), weights, {}, data(), tmp_path, time.monotonic() - 1, steps)
    assert steps.words == []
    assert "no time is left" in capsys.readouterr().out
    train(argparse.Namespace(), weights, {}, data(), tmp_path, time.monotonic() + 100 + START, steps)
    assert steps.words[0] == "train"
    assert "--run_id fine_tuned --resume auto" in " ".join(steps.words)
    assert 90 < steps.seconds <= 100
    (tmp_path / "fine_tuned/status.json").write_text('{"state": "finished"}')
    train(argparse.Namespace(), weights, {}, data(), tmp_path, time.monotonic() + 100, again := Noted())
    assert again.words == []


def test_the_best_of_the_networks_that_are_there_is_kept(tmp_path, monkeypatch, capsys):
    """A probe counts with what a network can be made of; a training with a score, if its best checkpoint is there."""
    assert candidates(tmp_path) == []
    (tmp_path / "probe").mkdir()
    (tmp_path / "probe/report.html").touch()
    scores = [("linear", "both", 0.9), ("linear", "frames", 0.5), ("linear", "average", 0.7), ("k-NN", "frames", 0.95)]
    records = [
        {"probe": kind, "input": of, "mean": {"accuracy": value, "balanced_accuracy": value - 0.1}}
        for kind, of, value in scores
    ]
    (tmp_path / "probe/scores.json").write_text(json.dumps(records))
    for name in ("scratch", "fine_tuned"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "result.json").write_text(json.dumps({"best_score": {"balanced": 0.8, "unbalanced": 0.9}}))
    (tmp_path / "fine_tuned/checkpoints/balanced_best").touch()
    found = candidates(tmp_path)
    copied = []
    monkeypatch.setattr(choice, "copy_checkpoint", lambda source, target: copied.append((source, target)))
    for balanced in (0.8, 0.5):
        scores = {"best_score": {"balanced": balanced, "unbalanced": 0.9}}
        (tmp_path / "fine_tuned/result.json").write_text(json.dumps(scores))
        choice.keep_best(tmp_path, data(), Noted())
    kept = [tmp_path / "fine_tuned/checkpoints/balanced_best", tmp_path / "probe/checkpoint"]
    assert copied == [(source, tmp_path / "model") for source in kept]
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith("kept")]
    assert [line.split()[0] for line in lines] == ["fine-tuned", "probe"]
    assert [(one.name, one.scores["balanced"]) for one in found] == [("probe", pytest.approx(0.6)), ("fine-tuned", 0.8)]
    assert found[1].checkpoint == tmp_path / "fine_tuned/checkpoints/balanced_best"
