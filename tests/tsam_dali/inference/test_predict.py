"""Predictions: those of the evaluation for the same checkpoint; files, folders and lists; broken ones; pictures."""

import csv
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from PIL import Image

import tsam_dali
from pipelines import loader
from pipelines.dataset.load import load_data
from pipelines.decode.probe import probe_video
from pipelines.files.errors import InputError
from pipelines.sampling.views import Views
from tests.helpers.checkpoints import TINY, checkpoint
from tests.helpers.media import write_video
from tests.helpers.networks import one_thread  # noqa: F401 (a fixture)
from tests.helpers.probes import ReadByName
from tests.helpers.processes import called, run
from tsam_dali.cli.common import friendly_errors
from tsam_dali.distributed import Job
from tsam_dali.evaluate.evaluator import evaluate_videos
from tsam_dali.evaluate.options import EvaluationOptions
from tsam_dali.inference.file_clips import probe_files
from tsam_dali.inference.inputs import find_inputs
from tsam_dali.inference.outputs import FILE, JsonLines
from tsam_dali.inference.plots import draw_prediction
from tsam_dali.inference.predictor import PredictedClip
from tsam_dali.inference.results import ClassProbability, Prediction, PredictionError, Unreadable
from tsam_dali.predict import main, open_output
from tsam_dali.training.task import ClassTask

CAT = ClassTask(["cat"])

MELS = "dataset.dir_mels=mels_tiny"


@pytest.fixture(scope="module")
def file(example, tmp_path_factory):
    """A checkpoint beside the example's data."""
    changes = (f"dataset.data_dir={example}", MELS, "pipeline.workers=0")
    return checkpoint(tmp_path_factory.mktemp("run") / "latest", *changes)


@pytest.fixture(scope="module")
def folder(example, tmp_path_factory):
    """A folder with a video of the example, one without audio and two that are broken."""
    folder = tmp_path_factory.mktemp("videos")
    shutil.copy(sorted((example / "videos").glob("*.mp4"))[0], folder / "a.mp4")
    write_video(folder / "b.mp4", 12)
    (folder / "sub").mkdir()
    (folder / "sub/cut.mp4").write_bytes((folder / "a.mp4").read_bytes()[:1000])
    (folder / "sub/empty.webm").touch()
    return folder


def test_predictions_are_those_of_the_evaluation(file, example):
    changes = [part for change in (*TINY, MELS) for part in ("--set", change)]
    made = run("tools/precompute_audio.py", "--data", example / "data.json", *changes)
    assert made.returncode == 0, made.stderr
    predictor = tsam_dali.load(file)
    data = load_data(predictor.config, ["validation"])
    job = Job(0, 1, 1, torch.device("cpu"))
    expected = evaluate_videos(
        predictor.network, predictor.config, job, data, Views(), EvaluationOptions()
    ).found.probabilities
    paths = [clip.path for clip in data.clips["validation"]]
    for row, seen in enumerate(predictor.predict_all(paths)):
        prediction = seen.prediction
        assert prediction.path == paths[row]
        assert prediction.has_audio
        assert [one.name for one in prediction.classes] == [
            predictor.class_names[one.label] for one in prediction.classes
        ]
        for one in prediction.classes:
            assert one.probability == pytest.approx(expected[row, one.label], abs=1e-3)
        assert len(prediction.classes) == 4


def test_topk_and_silence(file, folder):
    prediction = tsam_dali.load(file).predict(folder / "b.mp4", topk=2)
    assert len(prediction.classes) == 2
    assert prediction.classes[0].probability >= prediction.classes[1].probability
    assert not prediction.has_audio


def test_a_missing_file_is_an_error(file, folder):
    with pytest.raises(PredictionError, match=r"none\.mp4: no such file"):
        tsam_dali.load(file).predict(folder / "none.mp4")


def test_importing_the_package_imports_no_torch():
    code = "import sys, tsam_dali; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_folder_with_broken_files_is_finished(file, folder, tmp_path):
    command = ("-m", "tsam_dali.predict", "--checkpoint", file, folder)
    done = run(*command, "--output", tmp_path / "p.csv", "--pictures", tmp_path, "--topk", 3)
    assert done.returncode == 0, done.stderr
    assert "2 of 4 videos read, 1 of them without audio: treated as silent" in done.stderr
    assert done.stderr.count("not read: ") == 2
    with (tmp_path / "p.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = [row["path"].removeprefix(f"{folder}/") for row in rows]
    assert names == ["a.mp4"] * 3 + ["b.mp4"] * 3 + ["sub/cut.mp4", "sub/empty.webm"]
    assert [row["rank"] for row in rows] == ["1", "2", "3", "1", "2", "3", "", ""]
    assert [bool(row["error"]) for row in rows] == [False] * 6 + [True] * 2
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    assert pictures == ["0001_a.png", "0002_b.png"]
    assert Image.open(tmp_path / "0001_a.png").width == 1440


def test_classes_that_are_called_by_numbers_are_named_beside_their_bars(tmp_path, caplog):
    caplog.set_level("INFO")
    classes = [ClassProbability(label=label, name=f"{label}", probability=label / 10) for label in (7, 2, 1)]
    prediction = Prediction(path="a.mp4", classes=tuple(classes), has_audio=False)
    seen = PredictedClip(prediction, torch.rand(3, 3, 8, 8), None, torch.rand(8))
    bars = draw_prediction(seen, tmp_path / "a.png").axes[-1]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["1", "2", "7"]
    assert [round(bar.get_width()) for bar in bars.patches] == [10, 20, 70]
    assert not caplog.records


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_names_that_are_no_utf_8_and_names_with_dollars(tmp_path, ending):
    path = os.fsdecode(b"caf\xe9_$a_b_c$.mp4")
    one = ClassProbability(label=0, name="$l_l_h$", probability=0.5)
    prediction = Prediction(path=path, classes=(one,), has_audio=False)
    with open_output(tmp_path / f"p.{ending}", FILE, CAT) as output:
        output.write(prediction)
        output.write(Unreadable(path=path, error=f"{path}: odd"))
    text = (tmp_path / f"p.{ending}").read_text(encoding="utf-8")
    assert text.count("caf\\udce9_$a_b_c$.mp4") == 3
    with (tmp_path / "terminal").open("w", encoding="utf-8") as terminal:
        JsonLines(terminal, FILE).write(prediction)
    assert json.loads((tmp_path / "terminal").read_text())["path"] == path
    draw_prediction(PredictedClip(prediction, torch.rand(3, 3, 8, 8), None, torch.rand(8)), tmp_path / "a.png")


def test_a_file_that_crashes_its_decoder_costs_itself_alone(file, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "choose_input", lambda *_, **__: ReadByName())
    for name in ("a", "SIGSEGV", "z"):
        (tmp_path / f"{name}.mp4").write_bytes((folder / "b.mp4").read_bytes())
    crashing = str(tmp_path / "SIGSEGV.mp4")
    done = called(main, "--checkpoint", file, tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"2 of 3 videos read, 2 of them without audio: treated as silent\nnot read: {crashing}: ended" in done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [bool(line.get("error")) for line in lines] == [True, False, False]
    assert lines[1]["classes"] == lines[2]["classes"]
    predictor = tsam_dali.load(file)
    with pytest.raises(PredictionError, match=f"{crashing}: ended the process that read it by SIGSEGV"):
        predictor.predict(crashing)
    assert len(predictor.predict(tmp_path / "a.mp4").classes) == 4
    with pytest.raises(PredictionError, match="SIGSEGV"):
        predictor.timeline(crashing, window=1, stride=1)


def test_nothing_that_can_be_read_exits_with_1(file, folder):
    done = called(main, "--checkpoint", file, folder / "sub")
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["path"] for line in lines] == [str(folder / "sub/cut.mp4"), str(folder / "sub/empty.webm")]
    assert all(line["error"] for line in lines)


def test_unknown_files_are_named(file, folder):
    done = called(main, "--checkpoint", file, folder / "none.mp4", folder / "nowhere")
    assert done.returncode == 2
    assert done.stderr.count("no such file or folder") == 2


def test_inputs_are_files_folders_and_lists(folder, tmp_path):
    (tmp_path / "list.txt").write_text(f"# mine\n{folder}/b.mp4\nbeside.mp4\n\n")
    found = find_inputs([str(folder / "b.mp4"), str(folder), str(tmp_path / "list.txt")])
    names = ("b.mp4", "a.mp4", "sub/cut.mp4", "sub/empty.webm")
    assert found == [*(str(folder / name) for name in names), str(tmp_path / "beside.mp4")]


def test_what_is_no_video_in_a_folder_is_passed_over_and_counted(tmp_path, caplog):
    caplog.set_level("INFO")
    for name in ("dir.mp4", "deep/sub.MKV"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("a.mp4", "._a.mp4", "dir.mp4/b.AVI", "notes.txt", "deep/c.srt", "deep/link.mp4"):
        (tmp_path / name).touch() if "link" not in name else (tmp_path / name).symlink_to("gone.mp4")
    found = find_inputs([str(tmp_path)])
    assert found == [str(tmp_path / name) for name in ("a.mp4", "deep/link.mp4", "dir.mp4/b.AVI")]
    (record,) = caplog.records
    assert "3 videos, 2 other files skipped (video endings: .mp4 " in record.getMessage()


def test_several_processes_are_refused(file, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    done = called(main, "--checkpoint", file, folder, "--output", tmp_path / "p.csv")
    assert done.returncode == 2
    assert "error: started as 2 processes, but this command is one; leave out torchrun" in done.stderr
    assert not (tmp_path / "p.csv").exists()


def test_a_reader_that_has_seen_enough_ends_the_command_quietly(monkeypatch):
    read, write = os.pipe()
    os.close(read)

    @friendly_errors
    def command():
        with open_output(None, FILE, CAT) as output:
            output.write(Unreadable(path="a.mp4", error="none"))

    with os.fdopen(write, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(SystemExit) as end:
            command()
    assert end.value.code == 141


@pytest.mark.parametrize("terminal", [True, False])
def test_many_files_are_looked_at_with_a_bar_on_a_terminal(tmp_path, monkeypatch, capsys, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    paths = [str(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    records, errors = probe_files(probe_video, paths)
    assert (records, list(errors)) == ({}, paths)
    told = capsys.readouterr().err
    assert ("probing videos" in told and "2/2" in told) == terminal == bool(told)


def test_places_that_cannot_be_written_are_named(file, folder, tmp_path, monkeypatch, capsys):
    for option, place, message in (
        ("--output", folder / "a.mp4/x.csv", "cannot be made"),
        ("--explain", folder / "a.mp4", "cannot be made"),
        ("--output", tmp_path / "d.csv", "cannot be written"),
    ):
        (tmp_path / "d.csv").mkdir(exist_ok=True)
        arguments = ["predict", "--checkpoint", file, folder / "a.mp4", option, place, "--device", "cpu"]
        monkeypatch.setattr("sys.argv", list(map(str, arguments)))
        with pytest.raises(SystemExit, match="2"):
            main()
        assert message in capsys.readouterr().err


def test_a_fifo_is_no_list(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match="streams are read with --live"):
        find_inputs([str(tmp_path / "fifo")])


def test_a_training_list_is_no_list_of_paths(tmp_path):
    (tmp_path / "training.txt").write_text("a/b 0\nc 12\n")
    with pytest.raises(InputError, match="its lines are `ID label`, as for training; expected one path a line"):
        find_inputs([str(tmp_path / "training.txt")])


def test_inputs_that_are_none(folder, tmp_path):
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "list.txt").write_text("\n")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError) as error:
        find_inputs([str(tmp_path / name) for name in ("picture.jpg", "list.txt", "nothing")])
    assert [problem.split(": ")[1][:15] for problem in error.value.problems] == [
        "neither a known",
        "the list is emp",
        "no video in thi",
    ]
