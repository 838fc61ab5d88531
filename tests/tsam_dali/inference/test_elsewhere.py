"""Predictions where DALI is not installed, without anything that only Linux has: the same as here."""

import json
import os
from pathlib import Path

import pytest

import tsam_dali
from tests.helpers.checkpoints import checkpoint
from tests.helpers.media import write_video
from tests.helpers.networks import one_thread  # noqa: F401 (a fixture)
from tests.helpers.processes import run
from tsam_dali import predict

pytestmark = pytest.mark.ci
ELSEWHERE = Path(__file__).resolve().parents[2] / "helpers/elsewhere"
ANSWERS = """
import json, sys
from itertools import islice
import tsam_dali

def shown(classes):
    return [number for one in classes for number in (one.label, one.probability)]

def answers(checkpoint, causal, folder):
    predictor = tsam_dali.load(checkpoint)
    clips = list(predictor.predict_all([f"{folder}/{name}.mp4" for name in "abc"]))
    first = clips[0]
    yield [getattr(clip, "error", "") for clip in clips]
    yield [clip.video.double().sum().item() for clip in clips[:2]]
    yield first.audio.double().sum().item()
    yield [number for clip in clips[:2] for number in shown(clip.prediction.classes)]
    timeline = predictor.timeline(f"{folder}/a.mp4", window=1.0, stride=0.5)
    yield [number for one in timeline.windows for number in (one.start, one.end, *shown(one.classes))]
    yield predictor.explain(first).video.double().sum().item()
    moments = islice(tsam_dali.load(causal).live(f"{folder}/a.mp4", fps=4), 5)
    yield [number for one in moments for number in (one.time, one.frame, *shown(one.classes))]

if __name__ == "__main__":
    print(json.dumps(list(answers(*sys.argv[1:]))))
    assert not [name for name in sys.modules if name.startswith("nvidia.")]
"""


@pytest.fixture(scope="module")
def files(example, tmp_path_factory):
    """Checkpoint, that of a causal network, and a folder of videos, of which one is broken."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.mp4").write_bytes(sorted((example / "videos").glob("*.mp4"))[0].read_bytes())
    write_video(folder / "b.mp4", 12)
    (folder / "c.mp4").write_bytes((folder / "a.mp4").read_bytes()[:1000])
    causal = checkpoint(folder / "causal", "shift_temporal.causal=true")
    return checkpoint(folder / "latest"), causal, folder


@pytest.fixture(scope="module")
def elsewhere():
    """Run `python ...` as on a system without DALI, that is not Linux."""
    modules = os.pathsep.join([str(ELSEWHERE), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": modules, "OMP_NUM_THREADS": "1"}

    def elsewhere(*command):
        return run(*command, fresh=True, env=environment)

    return elsewhere


def test_all_kinds_of_predictions(files, elsewhere, tmp_path):
    (tmp_path / "answers.py").write_text(ANSWERS)
    done = elsewhere(tmp_path / "answers.py", *files)
    assert done.returncode == 0, done.stderr
    names: dict = {"__name__": "here"}
    exec(ANSWERS, names)
    errors, pictures, *numbers = json.loads(done.stdout)
    expected = list(names["answers"](*files))
    assert (errors, pictures) == (expected[0], expected[1])
    assert [bool(error) for error in errors] == [False, False, True]
    for ours, theirs in zip(numbers, expected[2:], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    assert done.stderr.count("this system does not limit the memory of processes") == 1


def test_the_command(files, elsewhere, tmp_path):
    file, _, folder = files
    command = ("-m", predict.__name__, "--checkpoint", file, folder)
    done = elsewhere(*command, "--output", tmp_path / "p.jsonl", "--pictures", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 videos read" in done.stderr
    assert done.stderr.count("not read: ") == 1
    assert done.stderr.count("this system does not limit the memory of processes") == 1
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    expected = [tsam_dali.load(file).predict(folder / name) for name in ("a.mp4", "b.mp4")]
    for line, prediction in zip(lines, expected, strict=False):
        found = [one["probability"] for one in line["classes"]]
        assert found == pytest.approx([one.probability for one in prediction.classes], abs=1e-5)
    assert len(list(tmp_path.glob("*.png"))) == 2


def test_a_training_says_in_a_line_what_it_needs(elsewhere):
    done = elsewhere("-m", "tsam_dali.train", "--dry_run")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: training, NVDEC and JPEG frames need NVIDIA DALI, which is for Linux")
