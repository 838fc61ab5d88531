"""What `tsam_dali.evaluate` and `train --validate` share: score a network, write the files, print a summary."""

import dataclasses
from pathlib import Path

from pipelines.dataset.load import load_data
from pipelines.files.words import counted
from pipelines.sampling.views import Views
from tsam_dali import distributed
from tsam_dali.cli.common import make_folder
from tsam_dali.cli.provenance import provenance
from tsam_dali.config.load import Config
from tsam_dali.distributed import Job
from tsam_dali.evaluate.evaluator import SPLIT, Evaluation, describe, evaluate_videos, every_video
from tsam_dali.evaluate.options import EvaluationOptions
from tsam_dali.evaluate.outputs import write_evaluation
from tsam_dali.model.tsam import TSAM
from tsam_dali.training.modalities import worth_in_words
from tsam_dali.training.task import ClassTask
from tsam_dali.training.tasks import AnyTask

PARTS = 3
"""Names at the end of a checkpoint's path that a title shows: RUN/checkpoints/NAME."""


def default_folder(checkpoint: str) -> Path:
    """Where the results of a checkpoint are written by default."""
    name = checkpoint.rpartition("/")[2] if checkpoint.startswith("hf://") else checkpoint.rstrip("/")
    return Path(f"{name}_evaluation")


def report_evaluation(
    network: TSAM,
    config: Config,
    job: Job,
    views: Views,
    folder: Path,
    task: AnyTask,
    checkpoint: str | Path,
    options: EvaluationOptions,
) -> None:
    """Score the videos of the validation list; rank 0 writes the results into `folder` and prints them.

    Every rank must call it. `checkpoint` is the path of the weights, for the title.

    Raises:
        ValueError: the folder cannot be made, something is wrong with the list, or as `evaluate_videos`.
    """
    distributed.on_rank_0(lambda: make_folder(folder))  # before the work, not after it
    data = distributed.on_rank_0(lambda: load_data(every_video(config), [SPLIT]))
    data = data._replace(clips={SPLIT: distributed.on_every_machine(data.clips[SPLIT])})
    evaluation = evaluate_videos(network, config, job, data, views, options, task=task, report=print)
    if job.is_main:
        title = f"Evaluation of {_short(checkpoint)} {_protocol(config, views, evaluation)}"
        about = {"title": title, "views": dataclasses.asdict(views), **dataclasses.asdict(options)}
        about |= {"config": config.to_dict()}
        write_evaluation(folder, evaluation, task.names, about | provenance(), title)
        _summarize(evaluation, folder)


def _short(checkpoint: str | Path) -> str:
    """The end of a checkpoint's path: the run's name is in it."""
    return "/".join(Path(checkpoint).parts[-PARTS:])


def _protocol(config: Config, views: Views, evaluation: Evaluation) -> str:
    """On which data, and how, the scores were found."""
    data = config.dataset.name or config.dataset.root.name
    crops = f" x {counted(views.crops, 'crop')}" if views.crops > 1 else ""
    return f"on {data}: {views.protocol}, {counted(views.clips, 'clip')}{crops}, {evaluation.audio_used}"


def _summarize(evaluation: Evaluation, folder: Path) -> None:
    """Print the scores and where the files are."""
    scores = evaluation.scores
    task, first = evaluation.task, next(iter(evaluation.task.shown))
    print(f"{evaluation.audio_used}: {describe(scores, task)}")
    if isinstance(task, ClassTask):
        print(
            f"mean class accuracy {scores['mean_class_accuracy']:.2%}, "
            f"calibration error (ECE) {scores['calibration_error']:.2%}, on the same videos {evaluation.audio_used}"
        )
    if evaluation.with_audio:
        described = describe(evaluation.with_audio, task)
        if isinstance(task, ClassTask):
            gain = evaluation.with_audio[first] - scores[first]
            described += f"; the audio contributes {100 * gain:+.2f} points"
        print(f"with audio: {described}")
    for line in worth_in_words(evaluation.modalities, task):
        print(f"first clip of each video, {line}")
    for clip_id, reason in evaluation.unreadable.items():
        print(f"not scored: {clip_id}: {reason}")
    for clip_id, reason in evaluation.partly_unreadable.items():
        print(f"read in part: {clip_id}: {reason}")
    print(f"predictions, tables and plots: {folder}")
