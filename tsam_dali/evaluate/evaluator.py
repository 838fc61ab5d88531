"""Scores of a network on the validation list: each video once, from one or more views.

The batches hold the same videos whatever the number of ranks, so their scores are the same too.
"""

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import torch

from pipelines.dali.resources import without_a_gpu
from pipelines.dataset.list_file import Entries
from pipelines.dataset.load import Loaded
from pipelines.dataset.targets import target_table
from pipelines.files.words import counted
from pipelines.loader import Batch, build_loader
from pipelines.sampling.views import Protocol, Views
from tsam_dali.config.load import Config
from tsam_dali.distributed import Job, merged_over_ranks
from tsam_dali.evaluate.options import EvaluationOptions
from tsam_dali.evaluate.scores import TOP, score
from tsam_dali.evaluate.view_average import VideoProbabilities, VideoScores
from tsam_dali.model.tsam import TSAM
from tsam_dali.report.mistakes import SHOWN_MISTAKES, Mistake, WorstMistakes
from tsam_dali.training.engine import evaluate
from tsam_dali.training.modalities import BOTH, FRAMES, TITLES, inputs, main_scores
from tsam_dali.training.progress import Progress
from tsam_dali.training.task import ClassTask, Task
from tsam_dali.training.tasks import AnyTask, task_of

SPLIT: Final = "validation"
CLASSES = ClassTask()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an evaluation found. Rows are those of `data.clips`."""

    data: Loaded
    task: AnyTask = CLASSES
    audio: bool  # whether the network was given the audio of the videos, or silence
    label: np.ndarray  # int (N,); of labels or numbers float64 (N, K)
    unreadable: dict[str, str]  # id -> why, of the videos without a score, in the order of the list
    partly_unreadable: dict[str, str]  # the same of those that are scored from some of their views only
    found: VideoProbabilities
    after: list[dict[str, Any]]  # scores after 1, 2, ... clips; see `tsam_dali.evaluate.scores.score`
    with_audio: dict[str, Any] | None  # scores with audio after all clips, where `found` is without
    mistakes: list[Mistake]  # the worst of `found`, on rank 0, with the frames of the last view
    modalities: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Main scores of the first view with frames and audio, and with each of them alone; of networks with audio."""

    @property
    def scores(self) -> dict[str, Any]:
        return self.after[-1]

    @property
    def audio_used(self) -> str:
        """`with audio` or `without audio`."""
        return audio_used(self.audio)

    def scored_videos(self) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities, or numbers, (n, C) and labels (n,) or (n, K) of the videos with a score."""
        return _scored(self.found, self.label)

    @property
    def entries(self) -> Entries:
        """All lines of the list."""
        return self.data.entries[SPLIT]


def audio_used(audio: bool) -> str:
    return "with audio" if audio else "without audio"


def choose_views(
    protocol: Protocol | None, config: Config, clips: int | None = None, crops: Literal[1, 3] = 1
) -> Views:
    """The views of a protocol, by default that of the network's sampling; `clips` replaces its own number.

    Raises:
        ValueError: the protocol is for another sampling.
    """
    dense = config.model.sampling == "dense"
    protocol = protocol or ("dense" if dense else "tsam")
    if protocol == ("tsm-dense" if dense else "dense"):
        right = "dense" if dense else "tsm-dense"
        raise ValueError(
            f"protocol {protocol}: not for a network with model.sampling {config.model.sampling}; choose {right}"
        )
    own = {"tsam": config.model_validation, "dense": config.model_validation, "tsm-dense": 10, "centre": 1}
    return Views(protocol=protocol, clips=clips or own[protocol], crops=crops)


def every_video(config: Config) -> Config:
    """The settings with which unreadable videos are listed, however many there are."""
    return dataclasses.replace(config, pipeline=dataclasses.replace(config.pipeline, max_bad_fraction=1.0))


def evaluate_videos(
    network: TSAM,
    config: Config,
    job: Job,
    data: Loaded,
    views: Views,
    options: EvaluationOptions,
    *,
    task: AnyTask | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """Score all videos of the validation list, on all ranks together; every rank must call it.

    Args:
        network: on the job's device.
        data: what `pipelines.dataset.load.load_data` found; videos that turn out unreadable now are listed as well.
        options: silence is log(eps) everywhere, as for a clip without audio.
        task: what is scored; default: that of the settings.
        report: called on rank 0 with a line of text after each clip.

    Raises:
        ValueError: a label that the network does not have, `no_audio` without audio input, or no readable video.
    """
    num_class, no_audio = network.head.out_features, options.no_audio
    task = task or task_of(config.dataset, config.training_param, num_class, device=job.device)
    _check(config, data, num_class, no_audio)
    clips, expected = data.clips[SPLIT], len(data.entries[SPLIT])
    batch_size = min(options.batch_size, len(clips))
    targets = config.dataset.targets
    label = target_table(targets, clips) if targets.size else np.array([clip.label for clip in clips])
    audio = bool(config.model.audio_segments) and not no_audio
    every = [FRAMES, BOTH] if no_audio else [BOTH]
    of_first = [*every, *(kind for kind in TITLES if kind not in every)] if config.model.audio_segments else every
    sums = {kind: VideoScores(len(clips), num_class, options.average, job.device, task) for kind in of_first}
    silence = config.data_augmentation.audio_image_param.silence
    worth: dict[str, dict[str, Any]] = {}
    after: list[dict[str, Any]] = []
    worst = WorstMistakes(SHOWN_MISTAKES, task)
    loading = without_a_gpu(every_video(config), job.device)
    with build_loader(loading, SPLIT, clips, views=views, rank_batch=batch_size, once=True, **job.place) as loader:
        for clip in range(views.clips):
            for crop in range(views.crops):
                title = f"clip {clip + 1} of {views.clips}" + (f", crop {crop + 1}" if views.crops > 1 else "")
                progress = Progress(loader, title, clips_per_step=batch_size * job.world, show=job.is_main)
                kinds = every if clip or crop else of_first
                is_last = (clip + 1, crop + 1) == (views.clips, views.crops)
                add = _adder({kind: sums[kind] for kind in kinds}, task, worst if is_last else None)
                evaluate(network, inputs(progress, kinds, silence), config, job, add)
                if len(kinds) > len(every):
                    results = {kind: sums[kind].result() for kind in TITLES}
                    of_kind = {kind: _scores(one, label, expected, audio, task) for kind, one in results.items()}
                    worth = {kind: main_scores(scores, task) for kind, scores in of_kind.items()}
            found, *other = [sums[kind].result() for kind in every]
            after.append(_scores(found, label, expected, audio, task))
            if job.is_main:
                report(f"{counted(clip + 1, 'clip')}, {audio_used(audio)}: {describe(after[-1], task)}")
        bad = merged_over_ranks(loader.bad)
    reasons = {clips[row].id: bad[row] for row in sorted(bad)}
    scored = {clip.id for clip, views_read in zip(clips, found.views, strict=True) if views_read}
    lost = data.left_out[SPLIT] | {clip_id: reason for clip_id, reason in reasons.items() if clip_id not in scored}
    return Evaluation(
        data=data,
        task=task,
        audio=audio,
        label=label,
        unreadable={entry.id: lost[entry.id] for entry in data.entries[SPLIT] if entry.id in lost},
        partly_unreadable={clip_id: reason for clip_id, reason in reasons.items() if clip_id in scored},
        found=found,
        after=after,
        with_audio=_scores(other[0], label, expected, True, task) if no_audio else None,
        modalities=worth,
        mistakes=worst.gather(),
    )


def describe(scores: dict[str, Any], task: AnyTask = CLASSES) -> str:
    """The main scores and the number of videos, in words."""
    videos = f"on {scores['scored']} of {counted(scores['expected'], 'video')}"
    if not isinstance(task, ClassTask):
        return ", ".join(f"{title} {task.text(key, scores[key])}" for key, title in task.shown.items()) + f" {videos}"
    best = f", top-{TOP} {scores[f'top{TOP}']:.2%}" if f"top{TOP}" in scores else ""
    return f"accuracy {scores['accuracy']:.2%}, balanced {scores['balanced_accuracy']:.2%}{best} {videos}"


def _check(config: Config, data: Loaded, num_class: int, no_audio: bool) -> None:
    for entry in data.entries[SPLIT]:
        if entry.label >= num_class:
            raise ValueError(
                f"validation list, line {entry.line}: {entry.id} has label {entry.label}, but the network has "
                f"{counted(num_class, 'class', 'classes')}, 0 to {num_class - 1}"
            )
    if no_audio and not config.model.audio_segments:
        raise ValueError("no_audio: this model has no audio input (model.audio_segments is 0)")


def _adder(
    sums: dict[str, VideoScores], task: Task, worst: WorstMistakes | None
) -> Callable[[torch.Tensor, Batch], None]:
    """Adds the logits of a view to each of the sums in turn. With `worst` it is the last view: what the first sums then
    get wrong is kept there."""
    first, turn = next(iter(sums)), itertools.cycle(sums)

    def add(logits: torch.Tensor, batch: Batch) -> None:
        kind = next(turn)
        sums[kind].add(logits, batch)
        if worst and kind == first:
            whole, ok = sums[kind].so_far(batch)
            worst.add(whole, task.plain_losses(whole, batch.label), batch._replace(ok=ok))

    return add


def _scored(found: VideoProbabilities, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the videos with a readable view: probabilities (n, C), label (n,)."""
    return found.probabilities[found.views > 0], label[found.views > 0]


def _scores(found: VideoProbabilities, label: np.ndarray, expected: int, audio: bool, task: AnyTask) -> dict[str, Any]:
    if not found.views.any():
        raise ValueError(f"none of the {expected} videos of the validation list can be read")
    outputs, truth = _scored(found, label)
    if isinstance(task, ClassTask):
        return score(outputs, truth, expected) | {"audio": audio}
    return task.evaluate(truth, outputs) | {"scored": len(truth), "expected": expected, "audio": audio}
