"""Predictions of pieces of files: those of an evaluation of the same pieces, to the last bit; lists of them."""

import csv
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import tsam_dali
from pipelines.audio import from_video
from pipelines.audio.from_video import FileAudio
from pipelines.audio.log_mel import AudioImage
from pipelines.audio.mel_pieces import pieces_writer, store_pieces
from pipelines.audio.read import AudioError
from pipelines.dataset.load import load_data
from pipelines.files.errors import InputError
from pipelines.sampling.views import Views
from tests.helpers.checkpoints import checkpoint
from tests.helpers.networks import one_thread  # noqa: F401 (a fixture)
from tests.helpers.processes import called
from tests.pipelines.audio.long_files import delayed, write_long
from tsam_dali.config.load import change_config
from tsam_dali.distributed import Job
from tsam_dali.evaluate.evaluator import evaluate_videos
from tsam_dali.evaluate.options import EvaluationOptions
from tsam_dali.inference.inputs import find_inputs
from tsam_dali.inference.results import Piece, Prediction, Unreadable
from tsam_dali.predict import main

SPANS = ((4.0, 7.0), (0.0, 2.5), (7.02, 9.5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set of a file whose tracks begin late, and a checkpoint."""
    folder = tmp_path_factory.mktemp("pieces")
    (folder / "videos").mkdir()
    delayed(write_long(folder / "plain.mov", 9), folder / "videos/late.mov", 0.52, 0.7)
    checkpoint(folder / "ckpt", f"dataset.data_dir={folder}", "pipeline.workers=0", "model.audio_segments=2")
    return folder


@pytest.fixture
def video(folder):
    return str(folder / "videos/late.mov")


def test_predictions_of_pieces_are_those_of_the_evaluation(folder, video):
    predictor = tsam_dali.load(folder / "ckpt")
    for name in ("training", "validation"):
        (folder / f"{name}.txt").write_text(
            "".join(f"late {start} {end} {i}\n" for i, (start, end) in enumerate(SPANS))
        )
    options = predictor.config.data_augmentation.audio_image_param
    with pieces_writer(folder / "mels") as write:
        write(store_pieces(folder / "mels", "late", video, options, 2, SPANS))
    config = change_config(predictor.config, overrides=["training_param.batch_size=3"])
    data, job = load_data(config, ["validation"]), Job(0, 1, 1, torch.device("cpu"))
    options = EvaluationOptions()
    expected = evaluate_videos(predictor.network, config, job, data, Views(), options).found.probabilities
    found = list(predictor.predict_all([Piece(video, *span) for span in SPANS], topk=2))
    assert [(seen.prediction.start, seen.prediction.end) for seen in found] == list(SPANS)
    assert [seen.probabilities.tolist() for seen in found] == expected.tolist()
    assert all(seen.audio.std() > 0.1 for seen in found)
    assert not torch.equal(found[0].probabilities, found[2].probabilities)


def test_a_piece_without_an_end_ends_with_its_file(folder, video, caplog):
    predictor = tsam_dali.load(folder / "ckpt")
    prediction = predictor.predict(video, start=8)
    assert (prediction.start, prediction.end) == (8, pytest.approx(9.52))
    assert not caplog.text
    pieces = [Piece(video, 8, prediction.end), Piece(video, 8, 11), Piece(video, 0, 0.5)]
    same, beyond, outside = predictor.predict_all(pieces)
    assert [one.name for one in same.prediction.classes] == [one.name for one in prediction.classes]
    assert beyond.prediction.end == 11
    assert "late.mov: ends at 11 s; the frames of the file are shown from 0.520 to 9.520 s" in caplog.text
    assert "late.mov: no frame begins from 0 to 0.5 s; the frames of the file are shown" in outside.error
    with pytest.raises(ValueError, match="expected 0 <= start < end"):
        predictor.predict(video, start=3, end=3)


def test_audio_is_read_once_for_pieces_in_their_order(folder, video, monkeypatch):
    made, reader, audio = [], from_video.PieceReader, FileAudio(AudioImage(n_mels=16))
    monkeypatch.setattr(from_video, "PieceReader", lambda path: made.append(path) or reader(path))
    parts = [(start, start + 0.5) for start in (1, 2, 2, 3, 5, 4)]
    from_video._reader.cache_clear()
    together = [audio.spectrogram(video, 2, part=part) for part in parts]
    assert len(made) == 2  # the last one goes back
    for part, seen in zip(parts, together, strict=True):
        from_video._reader.cache_clear()
        assert np.array_equal(audio.spectrogram(video, 2, part=part), seen)


def test_pieces_that_are_read_side_by_side_get_their_own_audio(video):
    audio, parts = FileAudio(AudioImage(n_mels=16)), [(i / 4, i / 4 + 1) for i in range(2, 32)]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda part: audio.spectrogram(video, 2, part=part), parts))
    for part, seen in zip(parts, together, strict=True):
        assert np.array_equal(audio.spectrogram(video, 2, part=part), seen)


def test_audio_that_breaks_off_is_an_error_in_every_piece(video, monkeypatch):
    from_video._reader.cache_clear()

    def broken(path, of_original):
        raise AudioError("damaged")
        yield

    monkeypatch.setattr("pipelines.audio.piece_samples.audio_pieces", broken)
    for _ in range(2):
        with pytest.raises(AudioError):
            from_video._piece_samples(video, (1.0, 2.0))


def test_lists_hold_pieces_and_whole_files(tmp_path):
    (tmp_path / "list.txt").write_text("a.mp4 1 2.5\na.mp4\nsub dir/b c.MKV  0\t10\n# end\na.mp4 1 2.50\n")
    found = find_inputs([str(tmp_path / "list.txt")])
    a = str(tmp_path / "a.mp4")
    assert found == [Piece(a, 1, 2.5), a, Piece(str(tmp_path / "sub dir/b c.MKV"), 0, 10)]


def test_mistakes_in_lists_of_pieces_are_named(tmp_path):
    lines = ["a.mp4 2 1", "a.mp4 x 1", "a.mp4 -1 1", "a.mp4 1 nan", "a.mp4 0:10 0:20", "a.mp4 5"]
    (tmp_path / "list.txt").write_text("a.mp4 0 1\n" + "\n".join(lines))
    with pytest.raises(InputError) as error:
        find_inputs([str(tmp_path / "list.txt")])
    assert [problem.split("list.txt:")[1] for problem in error.value.problems] == [
        "2: the end, 1 s, must lie behind the start, 2 s",
        "3: the start must be in seconds from 0, such as 12.5, got 'x'",
        "4: the start must be in seconds from 0, such as 12.5, got '-1'",
        "5: the end must be in seconds from 0, such as 12.5, got 'nan'",
        "6: the start must be in seconds from 0, such as 12.5, got '0:10'",
        "7: expected `PATH` or `PATH START END`, got 'a.mp4 5'",
    ]


def test_times_of_a_list_and_of_the_command_exclude_each_other(tmp_path, video):
    (tmp_path / "list.txt").write_text("a.mp4 0 1\n")
    with pytest.raises(InputError, match="the list has times of its own: leave out --start and --end"):
        find_inputs([video, str(tmp_path / "list.txt")], 1.0)
    assert find_inputs([video], 1.0, 2.0) == [Piece(video, 1, 2)]


def test_the_command(folder, video, tmp_path):
    (tmp_path / "list.txt").write_text(f"{video} 4 7\n{video}\n{video} 20 30\n")
    done = called(main, "--checkpoint", folder / "ckpt", tmp_path / "list.txt", "--topk", 1)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line.get("start"), line.get("end"), "error" in line) for line in lines] == [
        (4, 7, False),
        (None, None, False),
        (20, 30, True),
    ]
    assert "2 of 3 pieces read" in done.stderr
    output = ("--output", tmp_path / "p.csv", "--pictures", tmp_path)
    done = called(main, "--checkpoint", folder / "ckpt", video, "--start", 4, "--end", 7, "--topk", 1, *output)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "p.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["start"], row["end"], row["name"]) == ("4.0", "7.0", lines[0]["classes"][0]["name"])
    assert (tmp_path / "0001_late.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--start", 5, "--end", 5], "--end 5 must lie behind --start 5"),
        (["--start", -1], "expected seconds from 0, got -1"),
        (
            ["--start", 5, "--window", 2],
            "--window divides whole files: leave out --start, --end and the times in lists",
        ),
    ],
)
def test_times_that_make_no_sense(folder, video, arguments, message):
    done = called(main, "--checkpoint", folder / "ckpt", video, *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_titles_name_the_times():
    prediction = Prediction(path="a/b.mp4", start=1.5, end=20.0, classes=(), has_audio=True)
    assert prediction.title == "b.mp4, 1.5 to 20 s"
    assert Unreadable(path="a", error="b").start is None
