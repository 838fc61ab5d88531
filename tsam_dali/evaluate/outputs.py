"""The files of an evaluation: a line per video, a summary, a table of the classes, labels or numbers, their plot."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.dataset.list_line import WHOLE
from pipelines.files.atomic import replacing
from pipelines.files.words import counted
from tsam_dali.evaluate.evaluator import SPLIT, Evaluation
from tsam_dali.evaluate.scores import CALIBRATION_BINS, TOP, class_table, top
from tsam_dali.report.number_plot import plot_numbers
from tsam_dali.report.page import write_page
from tsam_dali.report.parts import Section
from tsam_dali.report.plots import plot_confusion
from tsam_dali.report.sections import (
    classes_section,
    confusion_section,
    mistakes_section,
    modalities_section,
    numbers_section,
    outputs_section,
    reasons_section,
    settings_section,
)
from tsam_dali.training.task import ClassTask
from tsam_dali.training.tasks import NumberTask

DECIMALS = 6
"""Of the probabilities in the lines."""


def write_evaluation(
    folder: Path, evaluation: Evaluation, names: Sequence[str], about: dict[str, Any], title: str = "Evaluation"
) -> None:
    """Write predictions.jsonl, summary.json, classes.csv, confusion.png and report.html, replacing earlier ones.

    Of labels the table is labels.csv, and of numbers numbers.csv with the plot numbers.png.

    Each file appears under its name only when it is complete and on disk.

    Args:
        names: of the C outputs.
        about: what else the summary says: checkpoint, views, versions, ...
        title: of the page.
    """
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in prediction_lines(evaluation, names))
    _write(folder / "predictions.jsonl", lines)
    record = summary(evaluation) | {"class_names": list(names)} | about
    _write(folder / "summary.json", json.dumps(record, indent=4, ensure_ascii=False) + "\n")
    task, (outputs, label) = evaluation.task, evaluation.scored_videos()
    if isinstance(task, ClassTask):
        table = class_table(outputs, label, [entry.label for entry in evaluation.entries], names)
    else:
        table = task.table(label, outputs)
    rows = io.StringIO(newline="")
    writer = csv.DictWriter(rows, [*table[0], "audio"])
    writer.writeheader()
    writer.writerows(row | {"audio": evaluation.audio} for row in table)
    _write(folder / f"{task.plural}.csv", rows.getvalue())
    if isinstance(task, ClassTask):
        with replacing(folder / "confusion.png") as temporary, temporary.open("wb") as file:
            plot_confusion(_confusion(evaluation, names), names, file, evaluation.audio_used)
    elif isinstance(task, NumberTask):
        with replacing(folder / "numbers.png") as temporary, temporary.open("wb") as file:
            plot_numbers(label, outputs, task, file, evaluation.audio_used)
    write_page(folder / "report.html", title, _sections(evaluation, names, about))


def _confusion(evaluation: Evaluation, names: Sequence[str]) -> np.ndarray:
    from sklearn.metrics import confusion_matrix  # takes a second: not for training, which writes none of this

    probabilities, label = evaluation.scored_videos()
    return confusion_matrix(label, probabilities.argmax(1), labels=range(len(names)))


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def _sections(evaluation: Evaluation, names: Sequence[str], about: dict[str, Any]) -> Iterator[Section]:
    """The sections of the HTML page."""
    scores, task = evaluation.scores, evaluation.task
    titles = {name: task.shown.get(name, name).replace("_", " ") for name in compared(evaluation)}
    numbers = [(title, task.text(name, scores[name])) for name, title in titles.items()]
    if isinstance(task, ClassTask):
        numbers += [("calibration error", f"{scores['calibration_error']:.1%}")]
    yield numbers_section("Scores", numbers, f"{_videos(scores)}, {evaluation.audio_used}")
    if len(evaluation.after) > 1:
        name, title = next(iter(task.shown.items()))
        clips = [
            (f"{counted(count, 'clip')}, {_videos(after)}", task.text(name, after[name]))
            for count, after in enumerate(evaluation.after, 1)
        ]
        title = title[0].upper() + title[1:]
        yield numbers_section(f"{title} after 1, 2, ... clips", clips, evaluation.audio_used)
    if evaluation.with_audio:
        parts = [
            (f"{title} with audio", task.text(name, evaluation.with_audio[name])) for name, title in titles.items()
        ]
        yield numbers_section("With audio", parts, _videos(evaluation.with_audio))
    if evaluation.modalities:
        yield modalities_section(evaluation.modalities, task, " on the first clip of each video")
    if evaluation.unreadable:
        yield reasons_section("Not scored", evaluation.unreadable, "videos without any view that can be read")
    if evaluation.partly_unreadable:
        what = "videos that are scored, but not from all of their views"
        yield reasons_section("Read in part", evaluation.partly_unreadable, what)
    if isinstance(task, ClassTask):
        matrix = _confusion(evaluation, names)
        yield confusion_section(matrix, names, evaluation.audio_used)
        labels = [entry.label for entry in evaluation.entries]
        outputs = classes_section(matrix, names, np.bincount(labels, minlength=len(names)).tolist())
    else:
        label, found = evaluation.scored_videos()[::-1]
        outputs = outputs_section(task, label, found, evaluation.audio_used)
    yield outputs._replace(note=f"{outputs.note}; {evaluation.audio_used}")
    ids = [clip.id for clip in evaluation.data.clips[SPLIT]]
    which = "wrong" if isinstance(task, ClassTask) else "scored"
    what = f"{which} {evaluation.audio_used} by all views together, largest loss first; frames of the last view"
    yield mistakes_section(evaluation.mistakes, names, ids, task)._replace(note=what)
    yield settings_section(about)


def _videos(scores: dict[str, Any]) -> str:
    return f"{scores['scored']} of {counted(scores['expected'], 'video')}"


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """The scores, those after 1..N clips, what the audio contributes, and the videos that cannot be read, or not all of
    their views."""
    bins = {"calibration_bins": CALIBRATION_BINS} if isinstance(evaluation.task, ClassTask) else {}
    record: dict[str, Any] = {} if bins else {"task": evaluation.task.plural}
    record |= {"scores": evaluation.scores, **bins, "after_clips": evaluation.after}
    if evaluation.with_audio:
        both = {name: (evaluation.with_audio[name], evaluation.scores[name]) for name in compared(evaluation)}
        record["with_audio"] = evaluation.with_audio
        record["audio_contributes"] = {name: None if None in pair else pair[0] - pair[1] for name, pair in both.items()}
    if evaluation.modalities:
        record["modalities"] = evaluation.modalities
    return record | {"unreadable": evaluation.unreadable, "partly_unreadable": evaluation.partly_unreadable}


def compared(evaluation: Evaluation) -> list[str]:
    """Names of the scores that are shown, and compared with and without audio: of classes the shares of videos."""
    others = ("scored", "expected", "calibration_error", "audio", "average_precisions", "thresholds", "numbers")
    return [name for name in evaluation.scores if name not in others]


def prediction_lines(evaluation: Evaluation, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A record for each video of the list, in its order; those that cannot be read say why, and have no prediction.
    A piece of a file has its times, in seconds, beside the id of the file."""
    rows = {clip.id: row for row, clip in enumerate(evaluation.data.clips[SPLIT])}
    task = evaluation.task
    if not isinstance(task, ClassTask):
        for entry in evaluation.entries:
            record = {"id": entry.id, **task.expected(entry.target), "audio": evaluation.audio}
            if entry.id in evaluation.unreadable:
                yield record | {"prediction": None, "unreadable": evaluation.unreadable[entry.id]}
                continue
            row = rows[entry.id]
            found = task.found(evaluation.found.probabilities[row])
            yield record | found | {"views": int(evaluation.found.views[row])}
        return
    best = top(evaluation.found.probabilities, TOP)
    these = f"top{TOP}" if len(names) > TOP else "classes"
    for entry in evaluation.entries:
        record = {"id": entry.id, "label": entry.label, "name": names[entry.label], "audio": evaluation.audio}
        if entry.end != WHOLE:
            record |= {"file": entry.file, "start": entry.start, "end": entry.end}
        if entry.id in evaluation.unreadable:
            yield record | {"prediction": None, "unreadable": evaluation.unreadable[entry.id]}
            continue
        row = rows[entry.id]
        first, *_ = classes = best[row].tolist()
        yield record | {
            "prediction": first,
            "prediction_name": names[first],
            these: [
                {"label": c, "name": names[c], "probability": round(evaluation.found.probabilities[row, c], DECIMALS)}
                for c in classes
            ],
            "views": int(evaluation.found.views[row]),
        }
