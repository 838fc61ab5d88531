"""The linear probe as a network: its checkpoint is one as any other.

A network of TSAM gives the mean over its segments of the features to one linear layer. The mean of what a linear layer
makes of each segment is what it makes of their mean: so the probe on mean features is exactly such a layer. Of frames
and audio together that is the probe on the mean over all segments, one layer for both; a probe with weights of its own
for each, on both side by side, is no such network.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file

from tsam_dali.model import build_model
from tsam_dali.probe.classifiers import Linear
from tsam_dali.probe.network import without_audio
from tsam_dali.probe.run import Probes
from tsam_dali.probe.store import BACKBONE, EmbeddingError
from tsam_dali.weights.checkpoint import save_checkpoint, sha256


def save_probe(path: Path, probes: Probes, inputs: str, linear: Linear) -> None:
    """Write the checkpoint of a linear probe.

    Args:
        inputs: `frames` (a network without audio segments) or `average` (one with all segments).
        linear: the probe on these.

    Raises:
        EmbeddingError: the weights of the backbone are missing, or others.
    """
    features = probes.features
    config = without_audio(features.config) if inputs == "frames" else features.config
    weights = features.folder / BACKBONE
    if not weights.is_file() or sha256(weights) != features.about["weights"]:
        raise EmbeddingError(f"{weights}: missing, or not the weights that the features were computed with")
    network = build_model(config, len(linear.bias))
    network.backbone.load_state_dict(load_file(weights))
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(linear.weight))
        network.head.bias.copy_(torch.from_numpy(linear.bias))
    best = probes.best_network
    state = {
        "model": network.state_dict(),
        "config": config.to_dict(),
        "history": [],
        "best": {"balanced": best.mean("balanced_accuracy"), "unbalanced": best.mean("accuracy")},
        "lists": features.about["lists"],
    }
    save_checkpoint(path, state)
