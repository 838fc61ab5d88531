"""What a temporal shift is made of; `tsam_dali.model.shift` explains it."""

from typing import NamedTuple


class ShiftSpec(NamedTuple):
    """Which channels of a clip's frames come from which other frames."""

    segments: int
    """T, all segments of a clip."""
    video_segments: int
    """S, the first segments of a clip, which exchange channels; the others (audio) stay as they are."""
    f_div: int
    """C // f_div channels come from earlier frames and as many from later ones; at least 2."""
    depth: int
    """D, the longest distance. A distance of S or more has no partner frame: its groups follow the edge rule."""
    edge: str
    """`keep` or `zero`, for frames without a partner."""
    causal: bool = False
    """Nothing comes from later frames."""

    def group(self, channels: int) -> int:
        """g, the number of channels that move from one frame to another at one distance, of `channels`."""
        return channels // self.f_div // self.depth
