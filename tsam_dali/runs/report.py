"""The report of a run: report.html at the end of each epoch, and inputs.png once."""

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np

from pipelines.loader import Batch, Loader
from tsam_dali.report import sections as parts
from tsam_dali.report.contact_sheet import plot_contact_sheet
from tsam_dali.report.mistakes import Mistake, stretched, thumbnails
from tsam_dali.report.page import write_page
from tsam_dali.report.parts import drawn
from tsam_dali.report.sections import InputClip
from tsam_dali.runs.metrics_log import read_records
from tsam_dali.runs.run import Run
from tsam_dali.training.metrics import ClipOutputs, Metrics, Sums
from tsam_dali.training.task import ClassTask, Task
from tsam_dali.training.tasks import AnyTask, LabelTask, NumberTask

log = logging.getLogger(__name__)

SHOWN_CLIPS = 6


def keep_inputs(run: Run, training: Loader, step: int, batch: Batch) -> None:
    """Draw inputs.png from the first batch that this process trained on, that of global step `step`, and keep it for
    the report; later batches are ignored. A failure is a warning."""
    if run.inputs:
        return
    task = run.train_state.task
    rows, targets = (of_clips[:SHOWN_CLIPS] for of_clips in (batch.row, batch.label))
    shown = [
        (run.clips["training"][row], target_text(task, target))
        for row, target in zip(rows.tolist(), targets.cpu().numpy(), strict=True)
    ]
    frames = thumbnails(batch.video[:SHOWN_CLIPS]).cpu().numpy()
    audio = None if batch.audio is None else batch.audio[:SHOWN_CLIPS]
    spectrograms = None if audio is None else thumbnails(stretched(audio)).cpu().numpy()
    source = training.source
    positions = [source.order.position(step, place) for place in range(len(shown))]
    run.inputs = [
        InputClip(
            f"{clip.id} ({learnt})",
            frames[place],
            None if spectrograms is None else spectrograms[place],
            source.plan(positions[place]),
            source.variation(positions[place]),
        )
        for place, (clip, learnt) in enumerate(shown)
    ]
    titles = [f"{learnt}\n{clip.id}" for clip, learnt in shown]
    video = batch.video[:SHOWN_CLIPS].cpu().numpy()
    try:
        plot_contact_sheet(video, None if audio is None else audio.cpu().numpy(), titles, run.folder.inputs)
    except Exception as error:  # it must not end the run
        log.warning("%s could not be written (%s: %s)", run.folder.inputs, type(error).__name__, error)
        return
    run.show("inputs", run.folder.inputs)


def write_run_report(run: Run, validated: Sums, mistakes: list[Mistake]) -> None:
    """Write report.html after an epoch; a failure is a warning."""
    write_report(
        run.folder.path,
        class_names=run.class_names,
        confusion=np.asarray(validated.confusion.cpu()) if isinstance(validated, Metrics) else None,
        task=run.train_state.task,
        validated=validated,
        mistakes=mistakes,
        clip_ids=[clip.id for clip in run.clips["validation"]],
        inputs=run.inputs,
        smooth_epochs=run.train_state.config.optimizer_param.smooth_epochs,
    )


def write_report(
    folder: Path,
    *,
    class_names: Sequence[str],
    confusion: np.ndarray | None,
    mistakes: Sequence[Mistake],
    clip_ids: Sequence[str],
    inputs: Sequence[parts.InputClip],
    smooth_epochs: float = 0,
    task: AnyTask | None = None,
    validated: Sums | None = None,
) -> None:
    """Write folder/report.html from metrics.jsonl, curves.png, args.json and the arguments. A failure is a warning.

    Args:
        folder: of the run.
        class_names: C names.
        confusion: of the last validation, (C, C), row = label; None: labels or numbers were learnt.
        mistakes: its worst, from `WorstMistakes.gather`.
        clip_ids: the id of each row of the validation list.
        inputs: clips of a training batch.
        smooth_epochs: of OptimizerParam, for the learning rate.
        task: what is learnt; default: classes.
        validated: of labels or numbers, what the last validation found.
    """
    try:
        records = read_records(folder / "metrics.jsonl")
        epochs = [record for record in records if record["kind"] == "epoch"]
        steps = [record for record in records if record["kind"] == "steps"]
        decode = None
        with suppress(OSError, ValueError):  # then the section with the settings says what is wrong
            decode = json.loads((folder / "args.json").read_text()).get("decode")
        makers = {
            "Last epoch": lambda: parts.numbers_section("Last epoch", _numbers(epochs[-1], task or ClassTask())),
            **(
                {"Modalities": lambda: parts.modalities_section(epochs[-1]["modalities"], task or ClassTask())}
                if epochs and "modalities" in epochs[-1]
                else {}
            ),
            "Curves": lambda: parts.curves_section(folder / "curves.png"),
            **({"Throughput": lambda: parts.steps_section(steps, smooth_epochs, task)} if steps else {}),
            **_outputs(confusion, class_names, task, validated),
            "Network inputs": lambda: parts.inputs_section(inputs),
            "Worst mistakes": lambda: parts.mistakes_section(mistakes, class_names, clip_ids, task),
            **({"Decoding": lambda: _decoding(decode)} if decode else {}),
            "Settings": lambda: parts.settings_section(json.loads((folder / "args.json").read_text())),
        }
        write_page(folder / "report.html", folder.name, [drawn(title, make) for title, make in makers.items()])
    except Exception as error:  # it must not end the run
        log.warning("%s could not be written (%s: %s)", folder / "report.html", type(error).__name__, error)


def _decoding(values: dict[str, Any]) -> parts.Section:
    """With what clips are decoded, and why."""
    from pipelines.check_gpu.choice import Choice  # a run without a GPU has none

    choice = Choice.from_dict(values)
    rows = {way: f"{speed} ({frames})" for way, speed, frames in choice.rows}
    note = f"pipeline.decode: {choice.decode}, as {choice.reason}; clips/s of each way, and its frames"
    return parts.reasons_section("Decoding", rows, note)


def _outputs(
    confusion: np.ndarray | None, class_names: Sequence[str], task: AnyTask | None, validated: Sums | None
) -> dict[str, Callable[[], parts.Section]]:
    """The sections about each class, label or number."""
    if isinstance(task, LabelTask | NumberTask) and isinstance(validated, ClipOutputs):
        thresholds = validated.result().get("thresholds")
        return {task.plural: lambda: parts.outputs_section(task, *validated.read, thresholds=thresholds)}
    matrix = cast(np.ndarray, confusion)
    return {
        "Confusion": lambda: parts.confusion_section(matrix, class_names),
        "Classes": lambda: parts.classes_section(matrix, class_names),
    }


def target_text(task: AnyTask, target: np.ndarray) -> str:
    """What is learnt of a sample, in words; target: its item of `Batch.label`."""
    if isinstance(task, LabelTask):
        return ", ".join(name for name, there in zip(task.names, target, strict=True) if there) or "no label"
    if isinstance(task, NumberTask):
        values = target.tolist()
        return ", ".join(f"{name} {task.output_text(k, values[k])}" for k, name in enumerate(task.names))
    return task.names[target]


def _numbers(epoch: dict[str, Any], task: Task) -> list[tuple[str, str]]:
    scores = [
        (f"{split} {title}", task.text(score, epoch[split][score]))
        for split in ("training", "validation")
        for score, title in task.shown.items()
        if score in epoch[split]
    ]
    throughput = [("clips/s", f"{epoch['clips_per_second']:.1f}"), ("data wait", f"{epoch['data_wait']:.1%}")]
    return [("epoch", str(epoch["epoch"])), *scores, *throughput]
