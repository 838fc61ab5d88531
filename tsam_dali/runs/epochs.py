"""A run: epochs of training and validation; or the evaluation of a checkpoint alone."""

import argparse
import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from pipelines.dali.shared_memory import check_shared_memory
from pipelines.dataset.clips import Clip
from pipelines.files.words import counted
from pipelines.loader import Batch, Loader, build_loader
from tsam_dali import distributed
from tsam_dali.config.load import Config
from tsam_dali.distributed import Job
from tsam_dali.evaluate.evaluator import choose_views
from tsam_dali.evaluate.options import EvaluationOptions
from tsam_dali.evaluate.runner import default_folder, report_evaluation
from tsam_dali.report.mistakes import SHOWN_MISTAKES, Mistake, WorstMistakes
from tsam_dali.report.pace import Pace
from tsam_dali.runs.decode_choice import choose_decode
from tsam_dali.runs.folder import RunFolder
from tsam_dali.runs.initial_network import initial_network, resumed_state, scored_network, weight_file
from tsam_dali.runs.report import keep_inputs, write_run_report
from tsam_dali.runs.resume import fit_epochs
from tsam_dali.runs.run import Run
from tsam_dali.runs.signals import StopRequest
from tsam_dali.runs.step_hook import StepHook
from tsam_dali.training.cautions import cautions
from tsam_dali.training.engine import evaluate, train_one_epoch
from tsam_dali.training.metrics import Sums
from tsam_dali.training.mixup import warn_if_alone
from tsam_dali.training.modalities import BOTH, TITLES, inputs, main_scores, worth_in_words
from tsam_dali.training.progress import Progress
from tsam_dali.training.state import build_train_state
from tsam_dali.training.tasks import loss_weights, task_of, thresholds_of
from tsam_dali.weights.export_folder import read_state

log = logging.getLogger(__name__)


def train(
    args: argparse.Namespace,
    config: Config,
    job: Job,
    clips: Mapping[str, Sequence[Clip]],
    num_class: int,
    weights: str | None,
    folder: RunFolder,
    stop: StopRequest,
) -> None:
    """Train with the parsed arguments of `tsam_dali.train`; `weights` is the file with the initial weights, if any."""
    options = config.training_param
    distributed.check_batch_size(options, job)
    warn_if_alone(options, job)
    state = resumed_state(args, config, clips, folder)
    loading, choice = choose_decode(config, job, clips, num_class, state)
    network = initial_network(weights, config, job, num_class, state)
    training = build_loader(loading, "training", clips["training"], **job.place)
    validation = build_loader(loading, "validation", clips["validation"], **job.place)
    check_shared_memory([training.shared_bytes, validation.shared_bytes], job.local_world)
    if state:
        state = fit_epochs(state, len(training))
    of_outputs = loss_weights(config, clips["training"], num_class)
    train_state = build_train_state(network, config, job, len(training), state, of_outputs)
    if job.is_main:
        for caution in cautions(network, options, job, options.epochs * len(training)):
            log.warning("%s", caution)
    distributed.on_rank_0(lambda: folder.create(config, state, args.dry_run, num_class, choice))
    run = Run(train_state, folder, clips, stop, state, choice)

    with run.reported():
        run.catch_up()
        run.keep_untrained()
        training.seek(train_state.step)
        epochs = range(len(run.history), 1 if args.dry_run else options.epochs)
        begun, pace = time.monotonic(), Pace()
        for done, epoch in enumerate(epochs, 1):
            if run.stalled:
                break
            trained = train_epoch(run, training, epoch, steps=1 if args.dry_run else None)
            metrics, mistakes, worth = validate_epoch(run, validation, epoch, steps=1 if args.dry_run else None)
            record = {"epoch": epoch, **trained, "validation": metrics.result(), **worth}
            last = epoch == epochs[-1]
            run.end_epoch(record, last)
            if job.is_main:
                if last or run.stalled or pace.due:
                    with pace.drawing():
                        run.draw_curves()
                        write_run_report(run, metrics, mistakes)
                if left := len(epochs) - done:
                    seconds = (time.monotonic() - begun) / done * left
                    log.info("%s left, %s", counted(left, "epoch"), tqdm.format_interval(seconds))
        if run.stalled:
            log.info(
                "early stopping after %s: %s has not become better for %d",
                counted(len(run.history), "epoch"),
                options.early_stopping,
                options.patience,
            )
    training.close()
    validation.close()
    if job.is_main:
        summarize(run, args.dry_run)


def train_epoch(run: Run, training: Loader, epoch: int, steps: int | None) -> dict[str, Any]:
    """The remaining steps of an epoch: {"training": loss and accuracies over all ranks, "lr", throughput}."""
    train_state = run.train_state
    train_state.start_epoch(epoch)
    left = steps or (epoch + 1) * len(training) - train_state.step  # none if the run was stopped during validation
    progress = progress_bar(training, f"epoch {epoch} training", train_state.config, train_state.job, left)
    first_step = train_state.step
    step_hook = StepHook(run, training, progress, epoch)
    if not train_one_epoch(train_state, progress, step_hook):
        run.save_and_stop()
    train_state.nan_guard.flush()
    step_hook.record()
    if progress.first_batch and train_state.job.is_main:
        keep_inputs(run, training, first_step, progress.first_batch)
    result = {"training": train_state.metrics.reduced().result(), "lr": train_state.rate}
    return result | {"clips_per_second": progress.clips_per_second, "data_wait": progress.data_wait}


def validate_epoch(
    run: Run, validation: Loader, epoch: int, steps: int | None
) -> tuple[Sums, list[Mistake], dict[str, Any]]:
    """Sums over all ranks of one pass over the validation clips, and its worst mistakes. After an epoch that can be the
    last also {"modalities": scores with both, frames alone, audio alone} of a network with audio.
    """
    train_state, task = run.train_state, run.train_state.task
    config = train_state.config
    kinds = list(TITLES) if config.model.audio_segments and run.may_end_with(epoch) else [BOTH]
    network = train_state.averaged_network
    distributed.same_buffers(network)
    progress = progress_bar(validation, f"epoch {epoch} validation", config, train_state.job, steps)
    sums = {kind: task.validation_sums(run.clips["validation"], train_state.job.device) for kind in kinds}
    mistakes, turn = WorstMistakes(SHOWN_MISTAKES, task), itertools.cycle(kinds)

    def use(logits: Tensor, batch: Batch) -> None:
        kind, losses = next(turn), task.plain_losses(logits, batch.label)
        sums[kind].add(losses, logits, batch)
        if kind == BOTH:
            mistakes.add(logits, losses, batch)
            run.stop_if_asked(validation)

    silence = config.data_augmentation.audio_image_param.silence
    evaluate(network, inputs(progress, kinds, silence), config, train_state.job, use)
    total = {kind: sums[kind].reduced() for kind in kinds}
    worth = {kind: main_scores(of_kind.result(), task) for kind, of_kind in total.items()}
    return total[BOTH], mistakes.gather(), {"modalities": worth} if len(worth) > 1 else {}


def progress_bar(batches: Loader, title: str, config: Config, job: Job, steps: int | None = None) -> Progress:
    clips_per_step = config.training_param.batch_size
    return Progress(batches, title, clips_per_step=clips_per_step, show=job.is_main, steps=steps)


def summarize(run: Run, dry_run: bool) -> None:
    folder, history = run.folder, run.history
    if dry_run:
        print(f"dry run: one step of training and of validation and one checkpoint worked, see {folder.path}")
        print("next: the same without --dry_run, and with a --run_id")
        return
    last, expected = history[-1]["validation"], len(run.clips["validation"])
    clips = f"on {last['samples']} of {counted(expected, 'clip')}"
    name, score = list(run.scores.items())[-1]
    task = run.train_state.task
    print(f"validation {score} {task.text(score, last[score])} {clips}, best {task.text(score, run.best.get(name))}")
    for line in worth_in_words(history[-1].get("modalities", {}), task):
        print(line)
    print(f"report: {folder.report}\ncurves: {folder.curves}\nnetwork inputs: {folder.inputs}")
    print(f"checkpoints: {folder.checkpoints.path}")
    print(f"next: evaluate, predict or export with --checkpoint {folder.checkpoints.path / f'{name}_best'}")


def validate(args: argparse.Namespace, config: Config, job: Job, folder: RunFolder) -> None:
    """Score a checkpoint with the default protocol of `tsam_dali.evaluate`."""
    weights = distributed.on_rank_0(lambda: weight_file(args, config, folder))
    assert weights is not None  # args.validate names them
    network = scored_network(weights, config, job)
    views, folder_of_results = choose_views(None, config), default_folder(weights)
    thresholds = thresholds_of(read_state(Path(weights))["history"]) if config.dataset.task == "labels" else None
    task = task_of(
        config.dataset, config.training_param, network.head.out_features, thresholds=thresholds, device=job.device
    )
    report_evaluation(network, config, job, views, folder_of_results, task, weights, EvaluationOptions())
