"""The files of an evaluation: a line per video, a summary, a table of the classes, the confusion matrix."""

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
from tsam_dali.evaluation.evaluator import SPLIT, Evaluation
from tsam_dali.evaluation.scores import CALIBRATION_BINS, TOP, class_table, top
from tsam_dali.report.page import write_page
from tsam_dali.report.parts import Section
from tsam_dali.report.plots import plot_confusion
from tsam_dali.report.sections import (
    classes_section,
    confusion_section,
    mistakes_section,
    numbers_section,
    reasons_section,
    settings_section,
)

DECIMALS = 6
"""Of the probabilities in the lines."""


def write_evaluation(
    folder: Path, evaluation: Evaluation, names: Sequence[str], about: dict[str, Any], title: str = "Evaluation"
) -> None:
    """Write predictions.jsonl, summary.json, classes.csv, confusion.png and report.html, replacing earlier ones.

    Each file appears under its name only when it is complete and on disk.

    Args:
        names: C class names.
        about: what else the summary says: checkpoint, views, versions, ...
        title: of the page.
    """
    from sklearn.metrics import confusion_matrix  # takes a second: not for training, which writes none of this

    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in prediction_lines(evaluation, names))
    _write(folder / "predictions.jsonl", lines)
    record = summary(evaluation) | {"class_names": list(names)} | about
    _write(folder / "summary.json", json.dumps(record, indent=4, ensure_ascii=False) + "\n")
    probabilities, label = evaluation.scored_videos()
    table = class_table(probabilities, label, [entry.label for entry in evaluation.entries], names)
    table = [row | {"audio": evaluation.audio} for row in table]
    rows = io.StringIO(newline="")
    writer = csv.DictWriter(rows, table[0].keys())
    writer.writeheader()
    writer.writerows(table)
    _write(folder / "classes.csv", rows.getvalue())
    matrix = confusion_matrix(label, probabilities.argmax(1), labels=range(len(names)))
    with replacing(folder / "confusion.png") as temporary, temporary.open("wb") as file:
        plot_confusion(matrix, names, file, evaluation.audio_used)
    write_page(folder / "report.html", title, _sections(evaluation, matrix, names, about))


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def _sections(
    evaluation: Evaluation, matrix: np.ndarray, names: Sequence[str], about: dict[str, Any]
) -> Iterator[Section]:
    """The sections of the HTML page."""
    scores = evaluation.scores
    numbers = [(name.replace("_", " "), f"{scores[name]:.1%}") for name in accuracies(evaluation)]
    numbers += [("calibration error", f"{scores['calibration_error']:.1%}")]
    yield numbers_section("Scores", numbers, f"{_videos(scores)}, {evaluation.audio_used}")
    if len(evaluation.after) > 1:
        clips = [
            (f"{counted(count, 'clip')}, {_videos(after)}", f"{after['accuracy']:.1%}")
            for count, after in enumerate(evaluation.after, 1)
        ]
        yield numbers_section("Accuracy after 1, 2, ... clips", clips, evaluation.audio_used)
    if evaluation.with_audio:
        parts = (
            (f"{name.replace('_', ' ')} with audio", evaluation.with_audio[name]) for name in accuracies(evaluation)
        )
        yield numbers_section(
            "With audio", [(name, f"{share:.1%}") for name, share in parts], _videos(evaluation.with_audio)
        )
    if evaluation.unreadable:
        yield reasons_section("Not scored", evaluation.unreadable, "videos without any view that can be read")
    if evaluation.partly_unreadable:
        what = "videos that are scored, but not from all of their views"
        yield reasons_section("Read in part", evaluation.partly_unreadable, what)
    yield confusion_section(matrix, names, evaluation.audio_used)
    labels = [entry.label for entry in evaluation.entries]
    classes = classes_section(matrix, names, np.bincount(labels, minlength=len(names)).tolist())
    yield classes._replace(note=f"{classes.note}; {evaluation.audio_used}")
    ids = [clip.id for clip in evaluation.data.clips[SPLIT]]
    what = f"wrong {evaluation.audio_used} by all views together, largest loss first; frames of the last view"
    yield mistakes_section(evaluation.mistakes, names, ids)._replace(note=what)
    yield settings_section(about)


def _videos(scores: dict[str, Any]) -> str:
    return f"{scores['scored']} of {counted(scores['expected'], 'video')}"


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """The scores, those after 1..N clips, what the audio contributes, and the videos that cannot be read, or not all of
    their views."""
    record = {"scores": evaluation.scores, "calibration_bins": CALIBRATION_BINS, "after_clips": evaluation.after}
    if evaluation.with_audio:
        gain = {name: evaluation.with_audio[name] - evaluation.scores[name] for name in accuracies(evaluation)}
        record["with_audio"] = evaluation.with_audio
        record["audio_contributes"] = gain
    return record | {"unreadable": evaluation.unreadable, "partly_unreadable": evaluation.partly_unreadable}


def accuracies(evaluation: Evaluation) -> list[str]:
    """Names of the scores that are shares of videos."""
    return [name for name in evaluation.scores if name not in ("scored", "expected", "calibration_error", "audio")]


def prediction_lines(evaluation: Evaluation, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A record for each video of the list, in its order; those that cannot be read say why, and have no prediction.
    A piece of a file has its times, in seconds, beside the id of the file."""
    rows = {clip.id: row for row, clip in enumerate(evaluation.data.clips[SPLIT])}
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
