"""Whether decoders give the same pixels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.baselines.decoders import Job


def compare(decoders: Mapping[str, Callable[[Job], np.ndarray]], jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    """The pixels of every decoder beside those of the first one, by name."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in decoders}
    for job in jobs:
        reference = None
        for name, frames in decoders.items():
            decoded = frames(job)
            reference = decoded if reference is None else reference
            found[name].append(difference(decoded, reference))
    facts = {}
    for name, differences in found.items():
        largest, mean = zip(*differences, strict=True)
        facts[name] = {
            "frames_equal_to_the_last_bit": f"{sum(x == 0 for x in largest)} of {len(jobs)} clips",
            "max_difference": max(largest),
            "mean_difference": round(float(np.mean(mean)), 3),
        }
    return facts


def difference(decoded: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Largest and mean difference in levels; of frames of another size it is that of black and white."""
    if decoded.shape != reference.shape:
        return 255.0, 255.0
    distance = np.maximum(decoded, reference) - np.minimum(decoded, reference)  # stays uint8
    return float(distance.max()), float(distance.mean())
