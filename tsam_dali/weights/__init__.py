"""Weights: of a run, of an exported folder, and of other projects."""

from typing import Any


def __getattr__(name: str) -> Any:
    """`load_weights`, imported lazily, as PyTorch takes seconds."""
    if name == "load_weights":
        from tsam_dali.weights.load import load_weights

        return load_weights
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
