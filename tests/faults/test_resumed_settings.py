"""Which settings and lists may differ when a run is resumed."""

import logging

import pytest
import torch

from pipelines.dataset.clips import Clip
from tests.helpers.checkpoints import TINY, checkpoint
from tests.helpers.networks import settings
from tsam_dali.config.load import Config
from tsam_dali.distributed import Job
from tsam_dali.runs.initial_network import initial_network
from tsam_dali.runs.resume import FREE, ResumeError, check_resume, fingerprints, fit_epochs
from tsam_dali.weights.checkpoint import CheckpointError, load_checkpoint

CLIPS = {
    split: [Clip(f"{split}{i}", i % 2, f"{i}.mp4", 8, 48, 64, "") for i in range(4)]
    for split in ("training", "validation")
}


def resume_problems(before: Config, now: Config, clips=CLIPS) -> str:
    """What is said of going on with other settings or lists; nothing if it is allowed."""
    try:
        check_resume({"config": before.to_dict(), "lists": fingerprints(CLIPS)}, now, clips)
    except ResumeError as error:
        return str(error)
    return ""


def leaves(section: dict, name: str = ""):
    for key, value in section.items():
        where = f"{name}.{key}".lstrip(".")
        if isinstance(value, dict) and value:
            yield from leaves(value, where)
        else:
            yield where, value


def is_free(name: str) -> bool:
    return any(name == free or name.startswith(f"{free}.") for free in FREE)


class Changed:
    """Settings as a dictionary in which one value is another."""

    def __init__(self, config: Config, name: str):
        self._content = config.to_dict()
        *sections, key = name.split(".")
        place = self._content
        for section in sections:
            place = place[section]
        place[key] = "something else"

    def to_dict(self) -> dict:
        return self._content


def test_every_setting_that_decides_what_is_learned_is_compared():
    config = settings()
    names = [name for name, _ in leaves(config.to_dict())]
    assert len(names) > 40
    assert resume_problems(config, config) == ""
    for name in names:
        said = resume_problems(config, Changed(config, name))
        assert said == "" if is_free(name) else f"  {name}: " in said and "--force" in said, name


def test_a_setting_that_an_earlier_version_did_not_have_is_at_its_default():
    config = settings("training_param.freeze={}")
    before = config.to_dict()
    del before["training_param"]["sampling"], before["dataset"]["flip_labels"], before["pipeline"]
    before["training_param"]["freeze"] = {"layer1": 5}
    state = {"config": before, "lists": fingerprints(CLIPS)}
    frozen = 'training_param.freeze={"layer1": 5}'
    check_resume(state, settings(frozen), CLIPS)
    for change in ("training_param.sampling=balanced", "dataset.flip_labels=[[0, 1]]", "pipeline.source=frames"):
        with pytest.raises(ResumeError, match=rf"\n  {change.partition('=')[0]}: .* -> .*\nrestore them"):
            check_resume(state, settings(frozen, change), CLIPS)


def test_the_number_of_epochs_is_free_where_no_rate_depends_on_it(caplog):
    caplog.set_level(logging.INFO)
    for schedule, said in (
        ("step", ""),
        ("cosine", "training_param.epochs: 2 -> 3, which makes the learning rate jump"),
    ):
        two, three = (
            settings(f"optimizer_param.schedule={schedule}", f"training_param.epochs={epochs}") for epochs in (2, 3)
        )
        found = resume_problems(two, three)
        assert said in found
        assert bool(said) == bool(found)
    assert caplog.messages == ["training_param.epochs: 2 -> 3; everything else is unchanged"]


def test_of_the_pipeline_only_what_is_about_the_machine_may_differ():
    config = settings()
    names = [f"pipeline.{key}" for key in config.to_dict()["pipeline"]]
    refused = [name for name in names if resume_problems(config, Changed(config, name))]
    assert refused == ["pipeline.source", "pipeline.max_bad_fraction"]


@pytest.mark.parametrize(("now", "step"), [(1, 1), (2, 2), (4, 6), (8, 8)])
def test_epochs_of_another_length_begin_anew(caplog, now, step):
    """Step 6 of epochs of 4 is in the middle of epoch 1."""
    sums = {"confusion": torch.ones(2, 2, dtype=torch.int64), "loss_sum": torch.tensor(3.0)}
    state = {"step": 6, "steps_per_epoch": 4, "history": [{"epoch": 0}], "epoch_sums": sums}
    found = fit_epochs(state, now)
    assert (found["step"], found["steps_per_epoch"]) == (step, now)
    assert found["epoch_sums"]["loss_sum"] == (3 if now == 4 else 0)
    assert ("start of epoch 1" in caplog.text) == (now != 4)


def test_another_head_is_refused_with_the_tensors_named(tmp_path):
    state = load_checkpoint(checkpoint(tmp_path / "four"))
    config = settings(*TINY)
    arguments = (None, config, Job(0, 1, 1, torch.device("cpu")))
    initial_network(*arguments, 4, state)
    with pytest.raises(CheckpointError, match=r"head.weight \(4, 512\) -> \(3, 512\), 2 tensors .* --fine_tune"):
        initial_network(*arguments, 3, state)


@pytest.mark.parametrize("split", ["training", "validation"])
def test_a_list_that_changed_is_refused(split):
    first, *rest = CLIPS[split]
    for members in (rest, [*rest, first], [first._replace(label=1), *rest], [first._replace(id="x"), *rest]):
        said = resume_problems(settings(), settings(), CLIPS | {split: members})
        assert f"  {split} list: 4 clips, SHA-256 " in said
    moved = [clip._replace(path=f"elsewhere/{clip.path}") for clip in CLIPS[split]]
    assert resume_problems(settings(), settings(), CLIPS | {split: moved}) == ""
