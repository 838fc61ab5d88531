"""How training copies are made: the options, and the profiles, which are sets of them with a name.

Few frames of a copy depend on each other, so that a wanted frame needs few others, and what costs a decoder time (loop
filter, arithmetic coding) is left out.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Interval

MULTIPLE = 16  # of both sides, in pixels
LARGEST = 16384  # side that x264 encodes

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]


@dataclass(frozen=True, kw_only=True)
class CopyOptions:
    """How copies are made. The defaults are the profile `fast`; docs/decisions.md says how it was chosen."""

    short_side: int = 256
    """Length of the short side in pixels, a multiple of 16."""
    fps: Annotated[float, Interval(ge=0, le=1e6)] = 10.0
    """Frames per second that are kept; 0: all frames."""
    crf: Annotated[float, Interval(ge=0, le=51)] = 32.5
    """x264's constant rate factor: lower is better and larger."""
    preset: Preset = "superfast"
    """x264's preset: slower is smaller."""
    tune: Literal["fastdecode", "film", "animation", "grain", "psnr", "ssim"] = "fastdecode"
    """x264's tuning: `fastdecode` leaves out the loop filter and arithmetic coding."""
    group: Annotated[int, Ge(1)] = 2
    """Frames from one random access point to the next."""
    b_frames: Annotated[int, Interval(ge=0, le=16)] = 0
    """Frames between two reference frames, on which no other depends."""
    adaptive: bool = False
    """Spend more bits on even areas and on simple videos, as x264 does for the eye; else all get the same quality."""

    def __post_init__(self):
        if not MULTIPLE <= self.short_side <= LARGEST or self.short_side % MULTIPLE:
            raise ValueError(
                f"--short_side: expected a multiple of {MULTIPLE} pixels, up to {LARGEST}, got {self.short_side}"
            )

    def encoder(self) -> dict[str, str]:
        """The options for libx264."""
        groups = f"keyint={self.group}:min-keyint={self.group}:scenecut=0:open-gop=0:ref=1"
        non_reference = f"bframes={self.b_frames}:b-adapt=0:b-pyramid=none"
        quality = "" if self.adaptive else "aq-mode=0:qcomp=1:"
        params = f"{groups}:{non_reference}:{quality}psy=0:threads=1"
        return {"preset": self.preset, "tune": self.tune, "crf": f"{self.crf:g}", "x264-params": params}


FAST = "fast"
PROFILES = {
    FAST: (CopyOptions(), "least CPU time to make and to read together"),
    "small": (CopyOptions(preset="medium", crf=30, group=16, b_frames=3), "fewest bytes"),
    "every_frame": (CopyOptions(fps=0, crf=30, group=8, b_frames=3), "frame i of a copy is frame i of the original"),
}
"""Name -> options, and what they are chosen for."""
