"""README.md of an exported network: what it is, its scores, how to load it."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from pipelines.files.words import counted
from tsam_dali.training.tasks import AnyTask, LabelTask, NumberTask, task_of, thresholds_of
from tsam_dali.weights.export_folder import example_name, without_places
from tsam_dali.weights.trained import Trained

PURPOSE = {
    "class": "video classification",
    "label": "video classification with several labels",
    "number": "numbers of videos",
}


def model_card(trained: Trained, about: dict[str, Any], example: Path | None = None, place: str = "this folder") -> str:
    """Markdown text, with what the Hugging Face Hub reads before it.

    Args:
        about: as from `tsam_dali.inference.preprocessing.preprocessing`.
        example: a video to be shown.
        place: from where to load the network.
    """
    model, settings = trained.config.model, without_places(trained.config.to_dict())
    audio = f" and {counted(about['audio']['shape'][1], 'spectrogram')}" if about["audio"] else ", without audio"
    frames = counted(model.video_segments, "frame")
    lists = "".join(f"- List of {split}: {text}\n" for split, text in trained.lists.items())
    training = {name: settings[name] for name in ("optimizer_param", "training_param")}
    task = task_of(trained.config.dataset, trained.config.training_param, len(trained.class_names))
    classes = "\n".join(f"{number}. {text}" for number, text in enumerate(_described(trained, task)))
    kind = task.plural.capitalize()
    title = f"{model.arch} with temporal shift, {counted(len(trained.class_names), task.kind, task.plural)}"
    return f"""---
{_metadata(title, trained, task, example)}
---

# {title}

A network for {PURPOSE[task.kind]} (TSAM), trained with tsam_dali. Its input: {frames}{audio}.

## Data

- Data set: {trained.config.dataset.name or "its settings give it no name (dataset.name)"}
- {kind}: {len(trained.class_names)}
{lists}
## Scores

{_scores(trained, task)}

## Licence

The code of tsam_dali: MIT. The terms of the data set and of the initial weights are not part of it.

## Loading

    import tsam_dali

    print(tsam_dali.load("{place}").predict("a.mp4").classes[0])

or, for any videos, `python -m tsam_dali.predict --checkpoint "{place}" VIDEOS`. The network itself:

    from tsam_dali.weights.trained import build_trained

    network, config, class_names = build_trained("{place}")

`--checkpoint` of tsam_dali.evaluate (with `--data`) and of tsam_dali.export, `--validate` and `--fine_tune` of
tsam_dali.train take "{place}" as well.

## Inputs and shift

    {_indented({key: value for key, value in about.items() if key != "class_names"})}

## Network

    {_indented(settings["model"])}

## Training

    {_indented(training)}

config.json holds all settings.

## {kind}

{classes}
"""


def _metadata(title: str, trained: Trained, task: AnyTask, example: Path | None) -> str:
    """The kind of the network, its last scores and an example, as YAML for the Hub."""
    name = trained.config.dataset.name or "not named"
    last = trained.history[-1]["validation"] if trained.history else {}
    scores = [
        EvalResult(
            task_type="video-classification",
            dataset_type=name,
            dataset_name=name,
            dataset_split="validation",
            metric_type=score,
            metric_name=words,
            metric_value=last[score],
        )
        for score, words in task.shown.items()
        if score in last
    ]
    found: dict[str, Any] = {"model_name": title, "eval_results": scores} if scores else {}
    if example:
        found["widget"] = [{"src": example_name(example), "example_title": example.stem}]
    audio = ["audio"] if trained.config.model.audio_segments else []
    kind = "video-classification"
    tags = [kind, "temporal-shift", *audio]
    return ModelCardData(library_name="tsam_dali", pipeline_tag=kind, tags=tags, **found).to_yaml()


def _described(trained: Trained, task: AnyTask) -> list[str]:
    """Each class, or label with its threshold, or number with its range and unit."""
    if isinstance(task, NumberTask):
        return [
            f"{number.name}, {number.range[0]:g} to {number.range[1]:g} {number.unit}".rstrip()
            for number in task.targets.numbers
        ]
    thresholds = thresholds_of(trained.history) if isinstance(task, LabelTask) else None
    if not thresholds:
        return list(task.names)
    return [f"{name}, found from {threshold:.3f} on" for name, threshold in zip(task.names, thresholds, strict=True)]


def _scores(trained: Trained, task: AnyTask) -> str:
    """Of the last epoch of the checkpoint."""
    if not trained.history:
        return "Not validated."
    last = trained.history[-1]
    scores = last["validation"]
    return (
        f"After {counted(last['epoch'] + 1, 'epoch')}, on {counted(scores['samples'], 'validation video')}: "
        f"{', '.join(f'{title} {task.text(score, scores[score])}' for score, title in task.shown.items())}. "
        "Unreadable videos do not count."
    )


def _indented(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False).replace("\n", "\n    ")
