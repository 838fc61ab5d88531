"""The parts of a report: curves, throughput, confusion, classes, clips, settings. C classes, S and A segments."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipelines.sampling.plan import Plan
from pipelines.sampling.variation import Variation
from tsam_dali.report.mistakes import Mistake
from tsam_dali.report.number_plot import plot_numbers
from tsam_dali.report.parts import Section, fill, image_source, plot_source, png_source
from tsam_dali.report.plots import plot_confusion, plot_steps
from tsam_dali.training.modalities import TITLES
from tsam_dali.training.task import ClassTask, Task
from tsam_dali.training.tasks import AnyTask, LabelTask, NumberTask

NOT_VARIED = Variation()


class InputClip(NamedTuple):
    """A clip as input of the network."""

    title: str
    frames: np.ndarray  # uint8 (S, 3, h, w)
    spectrograms: np.ndarray | None  # uint8 (A, 3, h, w), lowest band in row 0
    plan: Plan | None = None
    variation: Variation = NOT_VARIED


def numbers_section(title: str, numbers: Sequence[tuple[str, str]], note: str = "") -> Section:
    """A few large figures: pairs of (name, figure)."""
    return Section(title, fill("numbers.html", numbers=numbers), note)


def modalities_section(worth: Mapping[str, Mapping[str, Any]], task: Task, of: str = "") -> Section:
    """A table of the scores with both modalities and with each of them alone; `of` says of which clips."""
    rows = [
        {"name": TITLES[kind], **{title: task.text(name, scores[name]) for name, title in task.shown.items()}}
        for kind, scores in worth.items()
    ]
    note = f"what frames and audio are worth{of}: the other one is black, or silent"
    return Section("Modalities", fill("outputs.html", columns=list(rows[0]), rows=rows), note)


def curves_section(curves: Path) -> Section:
    """Loss, scores and learning rate of every epoch: the curves.png that is drawn already."""
    source = png_source(curves.read_bytes())
    return Section("Curves", fill("plot.html", source=source, alt="loss, scores and learning rate by epoch"))


def steps_section(steps: Sequence[dict[str, Any]], smooth_epochs: float = 0, task: Task | None = None) -> Section:
    """Throughput, data wait, memory, loss, rate and gradient norm over the records of kind steps.

    `smooth_epochs` as of OptimizerParam.
    """
    source = plot_source(lambda file: plot_steps(steps, file, smooth_epochs, task))
    return Section("Throughput", fill("plot.html", source=source, alt="windows of training steps"))


def confusion_section(matrix: np.ndarray, class_names: Sequence[str], of: str = "") -> Section:
    """A confusion matrix (C, C), row = label, as a plot; `of` is added to its title."""
    source = plot_source(lambda file: plot_confusion(matrix, class_names, file, of))
    return Section("Confusion", fill("plot.html", source=source, alt="confusion matrix"))


def classes_section(matrix: np.ndarray, class_names: Sequence[str], expected: Sequence[int] | None = None) -> Section:
    """A table of all classes, the worst first, those without clips last.

    Args:
        matrix: (C, C) numbers of clips; row = label, column = prediction.
        class_names: C names.
        expected: clips of each class in the list, shown next to those in the matrix.
    """
    clips, right = matrix.sum(1), matrix.diagonal()
    wrong = matrix - np.diag(right)
    rows = [
        {
            "number": number,
            "name": class_names[number],
            "clips": int(clips[number]),
            "expected": None if expected is None else int(expected[number]),
            "recall": float(right[number] / max(1, clips[number])),
            "mistaken": class_names[wrong[number].argmax()] if wrong[number].any() else "",
            "times": int(wrong[number].max()),
        }
        for number in range(len(matrix))
    ]
    rows.sort(key=lambda row: (row["clips"] == 0, row["recall"], row["number"]))
    return Section("Classes", fill("classes.html", rows=rows), "recall of each class, lowest first")


def inputs_section(clips: Sequence[InputClip]) -> Section:
    """The inputs of the network: frames and spectrograms of each clip, and its augmentation."""
    shown = [_shown(clip.title, "", *clip[1:]) for clip in clips]
    return Section("Network inputs", fill("clips.html", clips=shown), "spectrograms: low frequencies at the bottom")


def mistakes_section(
    mistakes: Sequence[Mistake], class_names: Sequence[str], ids: Sequence[str], task: AnyTask | None = None
) -> Section:
    """The wrong clips with the largest loss; `ids` of the rows. Of a task for labels or numbers, any clips."""

    def compared(mistake: Mistake) -> str:
        if task and not isinstance(task, ClassTask):
            return task.comparison(mistake.label, mistake.prediction)
        label, prediction = class_names[mistake.label], class_names[mistake.prediction]
        return f"{label}, predicted {prediction} ({mistake.probability:.0%})"

    shown = [
        _shown(ids[mistake.row], f"{compared(mistake)}, loss {mistake.loss:.2f}", mistake.frames, mistake.spectrograms)
        for mistake in mistakes
    ]
    which = "wrong validation clips" if task is None or isinstance(task, ClassTask) else "validation clips"
    return Section("Worst mistakes", fill("clips.html", clips=shown), f"{which}, largest loss first")


def outputs_section(
    task: LabelTask | NumberTask,
    target: np.ndarray,
    output: np.ndarray,
    of: str = "",
    thresholds: Sequence[float] | None = None,
) -> Section:
    """A table of the scores of each label or number; of numbers also a plot.

    Args:
        target, output: float64 (n, K), n > 0.
        of: what the title of the plot says of the predictions.
        thresholds: of the labels; default: those of the task.
    """
    rows = task.table(target, output, thresholds)
    table = fill("outputs.html", columns=list(rows[0]), rows=rows)
    if isinstance(task, NumberTask):
        source = plot_source(lambda file: plot_numbers(target, output, task, file, of))
        table += fill("plot.html", source=source, alt="predicted numbers over those of the list")
    return Section(task.plural.capitalize(), table, f"scores of each {task.kind}")


def reasons_section(title: str, reasons: Mapping[str, str], note: str) -> Section:
    """A list of clips with the reasons why they are unreadable: id -> reason."""
    return Section(title, fill("reasons.html", reasons=reasons), note)


def settings_section(settings: dict[str, Any]) -> Section:
    """The content of args.json."""
    return Section("Settings", fill("settings.html", text=json.dumps(settings, indent=2, ensure_ascii=False)))


def plan_text(plan: Plan, variation: Variation = NOT_VARIED) -> str:
    """The augmentation of a clip, in words."""
    y, x, height, width = plan.crop
    parts = [f"crop {width} x {height} at x {x}, y {y}", "mirrored" if plan.flip else "not mirrored"]
    parts.append("brightness {:.2f}, contrast {:.2f}, saturation {:.2f}, hue {:+.0f}°".format(*plan.color))
    if plan.color.grey:
        parts.append("grey")
    if plan.blur_sigma:
        parts.append(f"blur {plan.blur_sigma:.1f} pixels")
    if plan.stretch:
        parts.append("from {:.2f} to {:.2f} s".format(*plan.stretch))
    if any(plan.audio_cut):
        parts.append("audio cut by {:.2f} s and {:.2f} s".format(*plan.audio_cut))
    parts += [f"{kind} {value:.3g}" for kind, value in variation.operations]
    if variation.erased:
        parts.append("a rectangle erased")
    if variation.bands or variation.times:
        parts.append("spectrograms masked")
    if variation.silenced:
        parts.append({"frames": "frames black", "audio": "audio silent"}[variation.silenced])
    return " · ".join(parts)


def _shown(
    title: str,
    note: str,
    frames: np.ndarray,
    spectrograms: np.ndarray | None,
    plan: Plan | None = None,
    variation: Variation = NOT_VARIED,
) -> dict[str, Any]:
    numbers = [f"frame {frame}" for frame in plan.frames] if plan else [f"segment {s + 1}" for s in range(len(frames))]
    sources = [] if spectrograms is None else [image_source(audio[:, ::-1]) for audio in spectrograms]
    return {
        "title": title,
        "note": note,
        "frames": [
            {"source": image_source(frame), "caption": number} for frame, number in zip(frames, numbers, strict=True)
        ],
        "spectrograms": [{"source": source, "caption": f"audio {a + 1}"} for a, source in enumerate(sources)],
        "plan": plan_text(plan, variation) if plan else "",
    }
