"""The opponent of all trainings: a logistic regression on mean features of the frozen backbone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.real_data.sets import RealSet
from benchmarks.real_data.trainings import empty_config
from benchmarks.real_data.variants import VARIANTS
from pipelines.dataset.load import load_data
from pipelines.loader import build_loader
from tsam_dali.config import load_config
from tsam_dali.model import build_model
from tsam_dali.weights.load import load_weights

PROBE = "frozen features"
FOLDS = 4  # by which the strength of the regularisation is chosen, in the training list


def probe(real_set: RealSet, changes: Sequence[str], weights: Path, work: Path) -> dict[str, Any]:
    """The figure of a set: validation accuracy."""
    settings = [*VARIANTS[0].settings(real_set.kind), *changes, "shift_temporal.status=false", "training_param.amp=off"]
    config = load_config(real_set.data, empty_config(work), settings)
    clips = load_data(config, ("training", "validation")).clips
    network = build_model(config, 2).eval()
    load_weights(network, weights)
    features = {}
    for split, members in clips.items():
        loader = build_loader(config, "validation", members, once=True)
        found = []
        with torch.inference_mode():
            for batch in loader:
                segments = (batch.video - network.mean) / network.std
                if batch.audio is not None:
                    segments = torch.cat([segments, batch.audio], 1)
                of_segments = network.backbone(segments.flatten(0, 1)).unflatten(0, segments.shape[:2])
                parts = of_segments.split(
                    [config.model.video_segments, segments.shape[1] - config.model.video_segments], 1
                )
                found.append(torch.cat([part.mean(1) for part in parts if part.shape[1]], 1)[batch.row >= 0])
        loader.close()
        features[split] = torch.cat(found).numpy(), np.array([clip.label for clip in members])
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model = GridSearchCV(regression, {"logisticregression__C": np.logspace(-5, 1, 7)}, cv=FOLDS)
    model.fit(*features["training"])
    return {
        **{"kind": "probe", "set": real_set.name, "of": real_set.kind, "variant": PROBE, "seed": None},
        "accuracy": float(model.score(*features["validation"])),
    }
