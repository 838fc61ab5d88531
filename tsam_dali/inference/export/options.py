"""Options of an export in eight bits."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge


@dataclass(frozen=True, kw_only=True)
class Int8Options:
    """Arguments of `python -m tsam_dali.export`."""

    int8: bool = False
    """Also write OUT.int8.xml, which computes in eight bits, if it is as accurate on the validation list."""
    calibration_clips: Annotated[int, Ge(1)] = 128
    """Of --int8: clips of the training list, evenly spaced, from which the ranges of the values are taken."""
