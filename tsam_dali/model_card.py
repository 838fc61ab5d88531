"""README.md of a trained network that is handed on: what it is, what it scored, how it is loaded."""

import json
from typing import Any

from tsam_dali.trained import Trained


def model_card(trained: Trained, about: dict[str, Any]) -> str:
    """Markdown text.

    Args:
        about: as from `tsam_dali.preprocessing.preprocessing`.
    """
    model = trained.config.model
    sound = f" and {about['audio']['shape'][1]} pictures of the sound" if about["audio"] else ", without sound"
    data = trained.config.dataset.name or "without a name"
    classes = "\n".join(f"{label}. {name}" for label, name in enumerate(trained.class_names))
    return f"""# {model.arch} with temporal shift, {len(trained.class_names)} classes

A network for video classification (TSAM), trained with tsam_dali. It looks at {model.video_segments} frames{sound}.

- Data set: {data}
- Licence of the code: MIT. The terms of the data set and of the first weights are not part of it.

## Scores

{_scores(trained)}

## Loading

    from tsam_dali.trained import build_trained

    network, config, class_names = build_trained("this folder")

`--checkpoint` of tsam_dali.evaluate and tsam_dali.export and `--fine_tune` of tsam_dali.train take the folder as well.

## Inputs and shift

    {_indented({key: value for key, value in about.items() if key != "class_names"})}

## Network

    {_indented(trained.config.to_dict()["model"])}

config.json holds all settings.

## Classes

{classes}
"""


def _scores(trained: Trained) -> str:
    """Of the last epoch; an export of the best one holds that epoch as its last."""
    if not trained.history:
        return "Not validated."
    last = trained.history[-1]
    scores = last["validation"]
    return (
        f"After {last['epoch'] + 1} epochs, on {scores['samples']} videos of validation: accuracy "
        f"{scores['accuracy']:.1%}, balanced accuracy {scores['balanced_accuracy']:.1%}."
    )


def _indented(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False).replace("\n", "\n    ")
