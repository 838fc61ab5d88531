"""The evaluation as a user runs it: scores as in training, the same lines on any number of ranks, silence."""

import json

import numpy as np
import pytest
import torch

from pipelines.dataset.clips import Clip
from pipelines.dataset.list_file import Entry
from pipelines.dataset.load import Loaded
from tests.helpers.checkpoints import TINY, checkpoint
from tests.helpers.loading import damage_picture
from tests.helpers.media import write_video
from tests.helpers.networks import settings
from tests.helpers.processes import TORCHRUN, called, run
from tsam_dali.evaluate.__main__ import main
from tsam_dali.evaluate.evaluator import SPLIT, Evaluation
from tsam_dali.evaluate.outputs import write_evaluation
from tsam_dali.evaluate.scores import score
from tsam_dali.evaluate.view_average import VideoProbabilities
from tsam_dali.train import main as train

SMALL = (
    *("--set", "training_param.batch_size=8", "--set", "pipeline.workers=0"),
    *("--set", "model.video_segments=4", "--set", "training_param.amp=off", "--set", "training_param.epochs=1"),
)


@pytest.fixture(scope="module")
def trained(example, tmp_path_factory):
    """A run of one epoch."""
    made = run("tools/precompute_audio.py", "--data", example / "data.json")
    assert made.returncode == 0, made.stderr
    results = tmp_path_factory.mktemp("results")
    data = ("--data", example / "data.json", "--set", f"results_folder={results}", "--run_id", "r")
    done = called(train, *data, *SMALL)
    assert done.returncode == 0, done.stderr
    return results / "r"


def evaluate(trained, output, *arguments, ranks=None, fresh=False):
    launch = (*TORCHRUN, ranks, "-m", "tsam_dali.evaluate") if ranks else ("-m", "tsam_dali.evaluate")
    checkpoint = ("--checkpoint", trained / "checkpoints/latest", "--output", output, "--batch_size", 2)
    done = run(*launch, *checkpoint, *arguments, fresh=fresh)
    assert done.returncode == 0, done.stderr
    return json.loads((output / "summary.json").read_text()), (output / "predictions.jsonl").read_bytes()


@pytest.mark.ci
def test_the_centre_protocol_scores_what_training_scored(trained, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one/summary.json").write_text("of an earlier evaluation")
    worker = ("--set", "pipeline.workers=1")
    summary, lines = evaluate(trained, tmp_path / "one", "--protocol", "centre", *worker, fresh=True)
    last = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])["validation"]
    assert summary["scores"]["accuracy"] == last["accuracy"]
    assert summary["scores"]["balanced_accuracy"] == pytest.approx(last["balanced_accuracy"])
    assert (summary["scores"]["scored"], summary["scores"]["expected"]) == (9, 9)
    assert len(lines.splitlines()) == 9
    assert summary["class_names"] == ["left low", "left high", "right low", "right high"]
    files = {"predictions.jsonl", "summary.json", "classes.csv", "confusion.png", "report.html"}
    assert {path.name for path in (tmp_path / "one").iterdir()} == files  # nothing half-written is left
    assert evaluate(trained, tmp_path / "two", "--protocol", "centre", ranks=2)[1] == lines


def test_a_file_that_fails_while_it_is_written_leaves_the_earlier_one(tmp_path, monkeypatch):
    (tmp_path / "confusion.png").write_bytes(b"earlier")
    found = VideoProbabilities(np.eye(2), np.ones(2, int))
    entries = [Entry("a", 0, 1), Entry("b", 1, 2)]
    clips = [Clip(entry.id, entry.label, "", 1, 1, 1, "") for entry in entries]
    data = Loaded(clips={SPLIT: clips}, entries={SPLIT: entries}, left_out={SPLIT: {}})
    evaluation = Evaluation(
        data=data,
        audio=False,
        label=np.array([0, 1]),
        unreadable={},
        partly_unreadable={},
        found=found,
        after=[score(np.eye(2), np.arange(2), 2)],
        with_audio=None,
        mistakes=[],
    )

    def half(_matrix, _names, file, _heard):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("tsam_dali.evaluate.outputs.plot_confusion", half)
    with pytest.raises(OSError, match="no space"):
        write_evaluation(tmp_path, evaluation, ["x", "y"], {})
    assert (tmp_path / "confusion.png").read_bytes() == b"earlier"
    assert {path.name for path in tmp_path.iterdir()} == {
        "confusion.png",
        "predictions.jsonl",
        "summary.json",
        "classes.csv",
    }


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """The checkpoint of a network without audio for a validation list, there is no other, of broken videos.

    `tsm-dense` takes frames 0, 21 and 42 in the first of two clips, 36, 57 and 78 in the second.
    """
    folder = tmp_path_factory.mktemp("broken")
    (folder / "videos").mkdir()
    for name, damaged in {"whole": [], "late": [57], "early": [21], "never": [21, 57]}.items():
        path = write_video(folder / f"videos/{name}.mp4", 100, (64, 64), options={"g": "1"})
        for picture in damaged:
            damage_picture(path, picture)
    (folder / "videos/junk.mp4").write_bytes(b"junk")
    (folder / "validation.txt").write_text("junk 0\nwhole 0\nlate 1\nearly 2\nnever 3\n")
    changes = ("model.audio_segments=0", "pipeline.workers=0", f"dataset.data_dir={folder}", "dataset.name=broken")
    dataset = settings(*changes).to_dict()["dataset"]
    (folder / "data.json").write_text(json.dumps({"dataset": dataset}))
    return checkpoint(folder / "latest", *changes)


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def test_broken_videos_are_listed_however_many_there_are(broken, tmp_path):
    options = ("--protocol", "tsm-dense", "--clips", 2, "--device", "cpu")
    done = called(main, "--checkpoint", broken, "--output", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    summary = summary_of(tmp_path)
    assert [(scores["scored"], scores["expected"]) for scores in summary["after_clips"]] == [(2, 5), (3, 5)]
    assert list(summary["unreadable"]) == ["junk", "never"]
    assert list(summary["partly_unreadable"]) == ["late", "early"]
    page = (tmp_path / "report.html").read_text()
    for kind, key in (("not scored", "unreadable"), ("read in part", "partly_unreadable")):
        for clip_id, reason in summary[key].items():
            assert reason
            assert f"{kind}: {clip_id}: {reason}\n" in done.stdout
            assert f"<b>{clip_id}</b>: " in page
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [line.get("views") for line in lines] == [None, 2, 1, 1, None]
    assert "without audio: accuracy" in done.stdout
    assert "on 3 of 5 videos" in done.stdout
    name = "/".join(broken.parts[-3:])
    assert f"<h1>Evaluation of {name} on broken: tsm-dense, 2 clips, without audio</h1>" in page


def test_train_validates_with_the_same_code(broken, tmp_path):
    """The same lines as from the command, in its usual place, without a training list."""
    changes = (*TINY, "model.audio_segments=0", "pipeline.workers=0", "model_validation=2")
    settings_ = [word for change in changes for word in ("--set", change)]
    done = called(train, "--data", broken.parent / "data.json", *settings_, "--validate", broken, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "not scored: junk: " in done.stdout
    assert "mean class accuracy" in done.stdout
    there = broken.parent / "latest_evaluation"
    assert (there / "report.html").is_file()
    again = called(main, "--checkpoint", broken, "--output", tmp_path, "--clips", 2, "--device", "cpu", "--json")
    assert again.returncode == 0
    assert again.stdout == (tmp_path / "summary.json").read_text()
    assert "mean class accuracy" in again.stderr
    assert (there / "predictions.jsonl").read_bytes() == (tmp_path / "predictions.jsonl").read_bytes()
    for key in ("scores", "after_clips", "unreadable", "partly_unreadable", "class_names", "views"):
        assert summary_of(there)[key] == summary_of(tmp_path)[key]


def test_weights_that_cannot_be_validated_are_errors(broken, tmp_path):
    torch.save({"layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "pictures")
    checkpoint(tmp_path / "three", "model.audio_segments=0", num_class=3, config={})
    for name, message in {
        "pictures": "--validate needs a checkpoint with a last layer for clips",
        "three": "has 3 classes, but dataset.class_names names 4",
    }.items():
        done = called(train, "--data", broken.parent / "data.json", "--validate", tmp_path / name, "--device", "cpu")
        assert done.returncode == 2
        assert f"{name}: {message}" in done.stderr


@pytest.mark.parametrize("command", [main, train])
def test_other_class_names_are_an_error(broken, command):
    names = 'dataset.class_names=["left low", "left high", "right", "right high"]'
    data = ("--data", broken.parent / "data.json")
    what = ("--checkpoint", broken) if command is main else (*data, "--validate", broken)
    done = called(command, *what, "--set", names, "--device", "cpu")
    assert done.returncode == 2
    assert "label 2 is 'right' here, but 'right low' in the checkpoint" in done.stderr


def test_a_folder_that_cannot_be_made_is_named_before_the_work(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    options = ["--checkpoint", checkpoint(tmp_path / "latest"), "--output", tmp_path / "file/out", "--device", "cpu"]
    monkeypatch.setattr("sys.argv", ["evaluate", *map(str, options)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "file/out: this folder cannot be made (Not a directory)" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_clips_are_not_worse_than_one(tmp_path):
    """With the example's own training: of a half-trained network, several clips are wrong together as often as one."""
    data = ("--data", tmp_path / "data/data.json")
    for command in (
        ("tools/make_example.py", tmp_path / "data"),
        ("tools/precompute_audio.py", *data),
        ("-m", "tsam_dali.train", *data, "--set", f"results_folder={tmp_path}", "--run_id", "r"),
    ):
        done = run(*command, timeout=1200)
        assert done.returncode == 0, done.stderr
    for seed in range(3):
        drawn = ("--clips", 10, "--set", f"training_param.seed={seed}")
        summary, _ = evaluate(tmp_path / "r", tmp_path / f"out{seed}", *drawn)
        one, *_, ten = [scores["accuracy"] for scores in summary["after_clips"]]
        assert ten >= one > 0.9


@pytest.mark.slow
def test_three_ranks_write_the_same_lines(trained, tmp_path):
    options = ("--protocol", "tsm-dense", "--clips", 2, "--crops", 3, "--average", "probabilities", "--no_audio")
    summary, lines = evaluate(trained, tmp_path / "one", *options)
    assert summary["with_audio"]["scored"] == 9
    assert {json.loads(line)["views"] for line in lines.splitlines()} == {6}
    for ranks in (2, 3):
        assert evaluate(trained, tmp_path / str(ranks), *options, ranks=ranks)[1] == lines
