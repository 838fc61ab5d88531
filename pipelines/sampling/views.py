"""The views of a video in an evaluation: pure arithmetic, numpy only.

A view is one pass of a video through the network: one choice of frames (a clip) and one crop of them. View number v
shows crop v % crops of clip v // crops, so that all crops of a clip follow each other.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.sampling.dense import DenseClip
from pipelines.sampling.plan import Crop, Plan, centre_crop, evaluation_plan

DENSE_WINDOW = 64
"""Frames of the piece of a video that a clip of `tsm-dense` covers."""

Protocol = Literal["tsam", "dense", "tsm-dense", "centre"]


@dataclass(frozen=True, kw_only=True)
class Views:
    """Which views an evaluation takes. Without arguments: the middle frames and the center crop, as in training."""

    protocol: Protocol = "centre"
    """`tsam` and `centre` (which differ in their number of clips): clip 1 takes the middle frames and the center crop,
    further clips draw frames and crop; TSAM draws those of clip 1, too, and may mirror and blur. `tsm-dense`: TSM's
    test on Kinetics, pieces of 64 frames from evenly spaced starting points. `dense`: evenly spaced stretches of
    `model.sampling` dense."""
    clips: int = 1
    crops: Literal[1, 3] = 1
    """1: the crop of the protocol. 3: squares of the whole short side at the left, in the middle and at the right (of
    upright videos at the top, in the middle and at the bottom), in place of the protocol's crop."""

    def __len__(self) -> int:
        return self.clips * self.crops

    def plan(
        self,
        num_frames: int,
        height: int,
        width: int,
        num_segments: int,
        *,
        seed: int,
        row: int,
        view: int,
        dense: DenseClip | None = None,
    ) -> Plan:
        """Frames and crop of one view; a function of (seed, row, view) and of the video's length and size.

        dense: its stretches, with `model.sampling` dense.
        """
        clip, crop = divmod(view, self.crops)
        if self.protocol == "dense":
            assert dense is not None
            frames, stretch = dense.view(clip, self.clips)
            plan = Plan(frames=frames, crop=centre_crop(height, width), stretch=stretch)
        elif self.protocol == "tsm-dense":
            frames = dense_frames(num_frames, num_segments, clip, self.clips)
            plan = Plan(frames=frames, crop=centre_crop(height, width))
        else:
            plan = evaluation_plan(num_frames, height, width, num_segments, seed=seed, row=row, view=clip, dense=dense)
        return plan if self.crops == 1 else plan._replace(crop=three_crops(height, width)[crop])


def dense_frames(num_frames: int, num_segments: int, clip: int, clips: int) -> np.ndarray:
    """The frames of clip number `clip`, int64 (S,), counted from 0: TSM's rule for tests with `--dense_sample`.

    The clips start at evenly spaced frames, from the first to the last from which 64 frames follow; segments are
    64 // S frames apart. A video of fewer than 64 frames has one starting point and starts over at its end. Example:
    100 frames, 8 segments, 10 clips: clip 1 takes 0, 8, ... 56; clip 2 starts at 4, the last one at 36.
    """
    last_start = max(0, num_frames - DENSE_WINDOW)
    start = np.linspace(0, last_start, num=clips, dtype=np.int64)[clip]
    stride = max(1, DENSE_WINDOW // num_segments)
    return (start + stride * np.arange(num_segments)) % num_frames


def three_crops(height: int, width: int) -> tuple[Crop, Crop, Crop]:
    """The m x m squares at both ends and in the middle of the longer side, m being the short side.

    The literature resizes the short side to that of the network's input and cuts three squares of that side; to cut
    first and resize then gives the same images, and leaves less to resize.
    """
    middle, short = centre_crop(height, width), min(height, width)
    return Crop(0, 0, short, short), middle, Crop(height - short, width - short, short, short)
