"""Frames alone, audio alone, both: what is silenced, and the words of each task."""

import pytest
import torch

from pipelines.dataset.targets import Labels, Number, Numbers
from pipelines.loader import Batch
from tsam_dali.report.sections import modalities_section
from tsam_dali.training.modalities import BOTH, TITLES, inputs, main_scores, worth_in_words
from tsam_dali.training.task import ClassTask
from tsam_dali.training.tasks import LabelTask, NumberTask

TASKS = [
    ClassTask(["a", "b"]),
    LabelTask(Labels(("a", "b"))),
    NumberTask(Numbers((Number(name="speed", range=(0, 90), unit="km/h"),))),
]


def test_one_of_both_is_silenced():
    batch = Batch(torch.rand(2, 3, 3, 4, 4), torch.rand(2, 1, 3, 4, 4), torch.zeros(2), torch.arange(2), torch.ones(2))
    both, frames, audio = inputs([batch], list(TITLES), silence=-7.0)
    assert both is batch
    assert torch.equal(frames.video, batch.video)
    assert (frames.audio == -7).all()
    assert torch.equal(audio.audio, batch.audio)
    assert (audio.video == 0).all()
    assert frames[2:] == audio[2:] == batch[2:]
    assert list(inputs([batch, batch], [BOTH], silence=-7.0)) == [batch, batch]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.plural)
def test_every_task_says_it_in_its_own_scores(task):
    scores = dict.fromkeys([*task.shown, "loss", "thresholds"], 0.25)
    worth = {kind: main_scores(scores, task) for kind in TITLES}
    lines = worth_in_words(worth, task)
    assert [line.partition(":")[0] for line in lines] == ["frames and audio", "frames alone", "audio alone"]
    first, title = next(iter(task.shown.items()))
    assert f": {title} {task.text(first, 0.25)}" in lines[0]
    section = modalities_section(worth, task)
    for text in (*task.shown.values(), task.text(first, 0.25), *TITLES.values()):
        assert text in section.body
