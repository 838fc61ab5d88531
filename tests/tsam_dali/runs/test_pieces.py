"""Training on pieces of a long file is training on the files that they would be, and all outputs know their times."""

import csv
import json
from pathlib import Path

import pytest

from pipelines.dataset.list_file import read_list
from tests.helpers.processes import called
from tests.pipelines.audio.long_files import cut, write_long
from tools import precompute_audio
from tsam_dali.evaluate.__main__ import main as evaluate
from tsam_dali.export import main as export
from tsam_dali.predict import main as predict
from tsam_dali.train import main as train

SPANS = {
    "training": [(0, 2), (2, 5), (3, 4), (4, 6)],
    "validation": [(1, 3), (6, 7), (6, 8), (7, 9)],
}
SMALL = (
    *("training_param.batch_size=2", "training_param.num_workers=0", "training_param.amp=off", "model.pretrain=none"),
    *("training_param.epochs=1", "model.video_segments=3", "model.audio_segments=2", "model.arch=test_resnet"),
)


def run(main, *arguments):
    done = called(main, *arguments)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The runs with pieces of a file, and with each piece as a file of its own."""
    folder = tmp_path_factory.mktemp("trained")
    for name in ("pieces", "files"):
        (folder / name / "videos").mkdir(parents=True)
    long = write_long(folder / "pieces/videos/long.mov", 9, bf="2")
    for split, spans in SPANS.items():
        pieces = [f"long {start} {end} {i % 2}\n" for i, (start, end) in enumerate(spans)]
        (folder / f"pieces/{split}.txt").write_text("".join(pieces))
        files = [cut(long, folder / f"files/videos/{split}{i}.mov", *span).stem for i, span in enumerate(spans)]
        lines = [f"{name} {i % 2}\n" for i, name in enumerate(files)]
        (folder / f"files/{split}.txt").write_text("".join(lines))
    for name in ("pieces", "files"):
        data = folder / f"{name}.json"
        data.write_text(json.dumps({"dataset": {"data_dir": str(folder / name)}}))
        changes = [word for change in (*SMALL, f"results_folder={folder}") for word in ("--set", change)]
        run(precompute_audio.main, "--data", data, *changes)
        run(train, "--data", data, *changes, "--run_id", f"run_{name}")
    return folder


def last_record(run: Path) -> dict:
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])


def test_the_same_is_learnt(trained):
    pieces, files = (last_record(trained / f"run_{name}") for name in ("pieces", "files"))
    for part in ("training", "validation"):
        assert pieces[part] == files[part]


def test_outputs_know_the_times(trained, tmp_path):
    folder, pieces = trained / "run_pieces", read_list(trained / "pieces/validation.txt")
    page = (folder / "report.html").read_text()
    assert {piece.id for piece in pieces if piece.id in page}
    assert "could not be drawn" not in page
    checkpoint = ("--checkpoint", folder / "checkpoints/latest")
    run(evaluate, *checkpoint, "--output", tmp_path, "--protocol", "centre")
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [(line["file"], line["start"], line["end"]) for line in lines] == [
        ("long", *map(float, span)) for span in SPANS["validation"]
    ]
    video = trained / "pieces/videos/long.mov"
    (tmp_path / "list.txt").write_text("".join(f"{video} {start} {end}\n" for start, end in SPANS["validation"]))
    run(predict, *checkpoint, tmp_path / "list.txt", "--topk", 1, "--output", tmp_path / "found.csv")
    rows = list(csv.DictReader((tmp_path / "found.csv").open()))
    assert [(float(row["start"]), float(row["end"])) for row in rows] == SPANS["validation"]
    assert [int(row["label"]) for row in rows] == [line["prediction"] for line in lines]
    run(export, *checkpoint, tmp_path / "network.pt2")
