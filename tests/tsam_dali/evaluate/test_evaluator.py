"""What an evaluation makes of the batches that it gets: which videos are scored, and what is said of them."""

import json
import math
import re
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.dataset.clips import Clip
from pipelines.dataset.list_file import Entry
from pipelines.dataset.load import Loaded
from pipelines.loader import Batch
from pipelines.sampling.views import Views
from tests.helpers.networks import settings
from tsam_dali.distributed import Job
from tsam_dali.evaluate import evaluator as module
from tsam_dali.evaluate import runner
from tsam_dali.evaluate.evaluator import SPLIT, describe, evaluate_videos
from tsam_dali.evaluate.options import EvaluationOptions
from tsam_dali.evaluate.outputs import summary, write_evaluation
from tsam_dali.report.plots import plot_confusion

EPS = 1e-6
SILENCE = math.log(EPS)
LOUD = SILENCE + 5
JOB = Job(0, 1, 1, torch.device("cpu"))


class Listener(nn.Module):
    """Two classes, told apart by the audio alone."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(1, 2)

    def forward(self, video, audio):
        loudness = audio.mean((1, 2, 3, 4)) - SILENCE
        return torch.stack([torch.ones_like(loudness), loudness], 1)


class Passes:
    """Stands for a loader: a batch a pass, in which video v is read if `readable[pass][v]`; else its row is bad.

    The audio are those of the videos, the same in all passes, or of each pass.
    """

    def __init__(self, labels, audios, readable):
        self.labels, self.audios, self.readable = map(torch.tensor, (labels, audios, readable))
        self.audios = self.audios.expand(self.readable.shape)
        self.bad = {}
        self.rank_batch = None
        self._pass = 0

    def __len__(self):
        return 1

    def __iter__(self):
        ok, audio = self.readable[self._pass], self.audios[self._pass, :, None, None, None, None]
        self._pass += 1
        self.bad = dict.fromkeys((~ok).nonzero().flatten().tolist(), f"broken at {self._pass}") | self.bad
        videos = len(ok)
        pictures = torch.full((videos, 2, 3, 8, 8), 0.5)
        yield Batch(pictures, audio.expand(videos, 1, 3, 8, 8), self.labels, torch.arange(videos), ok)


@pytest.fixture
def evaluated(monkeypatch):
    """Score videos from their labels, audios and passes; also the loader that was used."""

    def evaluated(labels, audios, readable, changes=(), report=lambda line: None, **options):
        loader = Passes(labels, audios, readable)

        def build(config, *_, rank_batch, **__):
            loader.rank_batch, loader.decode = rank_batch, config.pipeline.decode
            return nullcontext(loader)

        monkeypatch.setattr(module, "build_loader", build)
        clips = [Clip(f"clip{v}", label, "", 9, 9, 9, f"clip{v}") for v, label in enumerate(labels)]
        entries = [Entry(clip.id, clip.label, row + 1) for row, clip in enumerate(clips)]
        data = Loaded(clips={SPLIT: clips}, entries={SPLIT: entries}, left_out={SPLIT: {}})
        views = Views(protocol="tsam", clips=len(readable))
        config = settings("training_param.amp=off", f"data_augmentation.audio_image_param.eps={EPS}", *changes)
        found = evaluate_videos(Listener(), config, JOB, data, views, EvaluationOptions(**options), report=report)
        return SimpleNamespace(found=found, loader=loader)

    return evaluated


def test_batches_are_no_larger_than_the_list(evaluated):
    assert evaluated([0, 1], [SILENCE, LOUD], [[True, True]]).loader.rank_batch == 2
    assert evaluated([0, 1], [SILENCE, LOUD], [[True, True]], batch_size=1).loader.rank_batch == 1


def test_without_a_gpu_the_cpu_decodes(evaluated):
    """Whatever the settings of the run say that trained the network."""
    found = evaluated([0, 1], [SILENCE, LOUD], [[True, True]], changes=["pipeline.decode=gpu"])
    assert found.loader.decode == "cpu"


def test_videos_that_are_read_in_part_are_scored_and_named(evaluated):
    """The first video loses a later view, the second its first one, the third all."""
    passes = [[True, False, False, True], [False, True, False, True]]
    found = evaluated([0, 1, 0, 1], [SILENCE, LOUD, SILENCE, LOUD], passes).found
    assert found.partly_unreadable == {"clip0": "broken at 2", "clip1": "broken at 1"}
    assert found.unreadable == {"clip2": "broken at 1"}
    assert found.found.views.tolist() == [1, 1, 0, 2]
    assert [(scores["scored"], scores["expected"]) for scores in found.after] == [(2, 4), (3, 4)]
    record = summary(found)
    assert record["partly_unreadable"] == found.partly_unreadable
    assert record["unreadable"] == found.unreadable


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_the_worst_mistakes_are_those_of_all_views_together(evaluated, average):
    """The last view of the first video alone is a mistake; that of the second cannot be read."""
    audios = [[LOUD, LOUD, SILENCE, LOUD], [SILENCE, LOUD, SILENCE, LOUD]]
    passes = [[True, True, True, False], [True, False, True, False]]
    found = evaluated([1, 0, 1, 0], audios, passes, average=average).found
    assert [(mistake.row, mistake.label, mistake.prediction) for mistake in found.mistakes] == [(1, 0, 1), (2, 1, 0)]
    for mistake in found.mistakes:
        assert mistake.probability == pytest.approx(found.found.probabilities[mistake.row].max())
        assert mistake.loss == pytest.approx(-math.log(found.found.probabilities[mistake.row].min()), abs=1e-4)
        assert mistake.frames.shape == (2, 3, 8, 8)


@pytest.mark.parametrize("no_audio", [False, True])
def test_all_files_say_whether_they_are_with_audio(evaluated, tmp_path, no_audio):
    said = []
    found = evaluated([0, 1], [SILENCE, LOUD], [[True, True]], no_audio=no_audio, report=said.append).found
    heard = "without audio" if no_audio else "with audio"
    assert said == [f"1 clip, {heard}: {describe(found.scores)}"]
    assert "top-5" not in said[0]
    write_evaluation(tmp_path, found, ["soft", "loud"], {}, "Evaluation of a checkpoint")
    matrix = np.array([[1, 0], [1, 0]] if no_audio else [[1, 0], [0, 1]])  # what is loud is heard as soft in silence
    plot_confusion(matrix, ["soft", "loud"], tmp_path / "expected.png", heard)
    assert (tmp_path / "confusion.png").read_bytes() == (tmp_path / "expected.png").read_bytes()
    written = json.loads((tmp_path / "summary.json").read_text())
    assert [scores["audio"] for scores in (written["scores"], *written["after_clips"])] == [not no_audio] * 2
    assert not no_audio or written["with_audio"]["audio"]
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [line["audio"] for line in lines] == [not no_audio] * 2
    assert [len(line["classes"]) for line in lines] == [2, 2]  # all of them, which are no top 5
    rows = (tmp_path / "classes.csv").read_text().splitlines()
    assert [row.split(",")[-1] for row in rows] == ["audio", str(not no_audio), str(not no_audio)]
    assert "<h1>Evaluation of a checkpoint</h1>" in (tmp_path / "report.html").read_text()


def test_the_page_says_of_how_many_videos_each_score_is(evaluated, tmp_path):
    passes = [[True, False, False, True], [False, True, False, True]]
    audios = [SILENCE, LOUD, SILENCE, SILENCE]
    found = evaluated([0, 1, 0, 1], audios, passes, no_audio=True).found
    write_evaluation(tmp_path, found, ["soft", "<loud>"], {"views": "two"})
    text = (tmp_path / "report.html").read_text()
    sections = {part.split("</h2>")[0]: " ".join(part.split()) for part in text.split("<h2>")[1:]}
    assert list(sections) == [
        "Scores",
        "Accuracy after 1, 2, ... clips",
        "With audio",
        "Modalities",
        "Not scored",
        "Read in part",
        "Confusion",
        "Classes",
        "Worst mistakes",
        "Settings",
    ]
    for title in ("Scores", "With audio"):
        assert "3 of 4 videos" in sections[title]
    for title in ("Scores", "Accuracy after 1, 2, ... clips", "Classes", "Worst mistakes"):
        assert "without audio" in sections[title]
    assert "top5" not in text
    assert "<b>50.0%</b>1 clip, 2 of 4 videos" in sections["Accuracy after 1, 2, ... clips"]
    assert "<b>33.3%</b>2 clips, 3 of 4 videos" in sections["Accuracy after 1, 2, ... clips"]
    assert "<b>clip2</b>: broken at 1" in sections["Not scored"]
    assert "<b>clip0</b>: broken at 2" in sections["Read in part"]
    assert "<b>clip1</b>: broken at 1" in sections["Read in part"]
    assert '<td>soft</td><td class="right">1 of 2</td>' in sections["Classes"]
    assert '<td>&lt;loud&gt;</td><td class="right">2 of 2</td>' in sections["Classes"]
    assert re.findall("<b>(clip.)</b>", sections["Worst mistakes"]) == ["clip1", "clip3"]
    assert "&lt;loud&gt;, predicted soft (73%)" in sections["Worst mistakes"]
    assert re.findall('"views": (\\S+)', sections["Settings"].replace("&#34;", '"')) == ['"two"']


def test_silence_shows_what_the_audio_contributes(evaluated):
    found = evaluated([0, 1, 1, 0], [SILENCE, LOUD, LOUD, LOUD], [[True] * 4], no_audio=True).found
    assert found.scores["accuracy"] == 0.5  # all are taken for the first class
    assert found.with_audio["accuracy"] == 0.75
    assert summary(found)["audio_contributes"]["accuracy"] == 0.25
    assert evaluated([0, 1], [SILENCE, LOUD], [[True] * 2]).found.with_audio is None


@pytest.mark.parametrize("no_audio", [False, True])
def test_every_evaluation_says_what_each_modality_is_worth(evaluated, tmp_path, no_audio, capsys):
    """The network listens only. What counts is the first clip, read once; the scores of all clips are as without."""
    audios = [[SILENCE, LOUD, LOUD, LOUD], [LOUD, SILENCE, SILENCE, SILENCE]]
    found = evaluated([0, 1, 1, 0], audios, [[True] * 4] * 2, no_audio=no_audio).found
    accuracy = {kind: scores["accuracy"] for kind, scores in found.modalities.items()}
    assert accuracy == {"both": 0.75, "frames": 0.5, "audio": 0.75}
    assert found.after[0]["accuracy"] == accuracy["frames" if no_audio else "both"]
    write_evaluation(tmp_path, found, ["soft", "loud"], {})
    assert json.loads((tmp_path / "summary.json").read_text())["modalities"] == found.modalities
    page = " ".join((tmp_path / "report.html").read_text().split("<h2>Modalities</h2>")[1].split("<h2>")[0].split())
    cells = re.findall("<td[^>]*>([^<]*)</td>", page)
    assert cells[::3] == ["frames and audio", "frames alone", "audio alone"]
    assert cells[1::3] == ["75.0%", "50.0%", "75.0%"]
    runner._summarize(found, tmp_path)
    said = capsys.readouterr().out
    assert "first clip of each video, frames alone: accuracy 50.0%, balanced accuracy 50.0%\n" in said


def test_a_network_without_audio_has_one_modality(evaluated, tmp_path):
    found = evaluated([0, 1], [SILENCE, LOUD], [[True] * 2], ["model.audio_segments=0"]).found
    assert found.modalities == {}
    assert "modalities" not in summary(found)


def test_silence_for_a_network_without_audio_is_an_error(evaluated):
    with pytest.raises(ValueError, match=r"no_audio: this model has no audio input \(model.audio_segments is 0\)"):
        evaluated([0, 1], [SILENCE, LOUD], [[True] * 2], ["model.audio_segments=0"], no_audio=True)


def test_a_label_that_the_network_does_not_know_is_an_error(evaluated):
    message = "validation list, line 3: clip2 has label 2, but the network has 2 classes, 0 to 1"
    with pytest.raises(ValueError, match=message):
        evaluated([0, 1, 2], [SILENCE] * 3, [[True] * 3])
