"""A causal network frame by frame: what a shift takes from earlier frames is kept, so each frame runs through once.

As MIT's online TSM (https://arxiv.org/abs/1811.08383), here for every distance. S video segments, A audio segments.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from pipelines.files.words import counted
from tsam_dali.model.backbone import ModelError, shifts
from tsam_dali.model.shift import TemporalShift
from tsam_dali.model.tsam import TSAM

Ring = deque[Tensor]
"""What a shift keeps of the latest frames."""
Override = Callable[[TemporalShift, Ring], Callable[[Tensor], Tensor]]


class Stream:
    """Logits after each frame of one video.

    After the first S frames they equal those of the clip made of these frames. Later ones are the mean over the last S
    frames (and the audio), whose shifts still look back beyond the window, where a clip would follow the edge rule.
    Before, the mean is over the frames so far.

    Args:
        network: as made by `tsam_dali.model.build_model`, in evaluation mode; it stays as it is.
        audio: spectrograms (1, A, 3, H, W), used until `set_audio` replaces them; None where A = 0.

    Raises:
        ModelError: the shift takes channels from later frames, or another number of audio segments.
    """

    def __init__(self, network: TSAM, audio: Tensor | None = None) -> None:
        if network.shift_temporal.status and not network.shift_temporal.causal:
            raise ModelError(
                "shift_temporal.causal: got false, expected true; the network needs later frames and cannot run frame "
                "by frame, train one with --set shift_temporal.causal=true"
            )
        self._network = network
        self._rings: list[tuple[TemporalShift, Ring]] = [
            (shift, deque(maxlen=shift.spec.depth)) for _, shift in shifts(network.backbone)
        ]
        self._frames: deque[Tensor] = deque(maxlen=network.video_segments)  # features (1, F) of each
        self.set_audio(audio)

    @torch.no_grad()
    def set_audio(self, audio: Tensor | None) -> None:
        """Replace the spectrograms; this runs A images through the backbone.

        Raises:
            ModelError: another number of audio segments.
        """
        got, expected = 0 if audio is None else audio.shape[1], self._network.audio_segments
        if got != expected:
            raise ModelError(f"audio: got {counted(got, 'segment')}, expected {expected} (model.audio_segments)")
        self._audio = [] if audio is None else [self._features(audio[0], lambda shift, ring: _unchanged)]

    @torch.no_grad()
    def push(self, frame: Tensor) -> Tensor:
        """The next frame (3, H, W), 0..1 -> logits (num_class,)."""
        network = self._network
        if network.normalize == "backbone":
            frame = (frame - network.mean) / network.std
        self._frames.append(self._features(frame[None], lambda shift, ring: partial(_shifted, shift, ring)))
        return network.head(torch.cat([*self._frames, *self._audio]).mean(0))

    @torch.no_grad()
    def _features(self, images: Tensor, override: Override) -> Tensor:
        """(N, 3, H, W) -> (N, F), with `override(shift, ring)` in place of each shift."""
        try:
            for shift, ring in self._rings:
                shift.override = override(shift, ring)
            return self._network.backbone(images)
        finally:
            for shift, _ in self._rings:
                shift.override = None


def _shifted(shift: TemporalShift, ring: deque[Tensor], x: Tensor) -> Tensor:
    """One frame (1, C, H, W) with channels of the frames in `ring`, the latest one last; `ring` takes it in."""
    spec, g = shift.spec, shift.spec.group(shift.channels)
    out = x.clone()
    groups = x[:, : 2 * spec.depth * g].unflatten(1, (spec.depth, 2, g))[:, :, 1]  # (1, D, g, H, W)
    target = out[:, : 2 * spec.depth * g].unflatten(1, (spec.depth, 2, g))
    for d in range(1, spec.depth + 1):
        if d <= len(ring) and d < spec.video_segments:
            target[:, d - 1, 1] = ring[-d][:, d - 1]
        elif spec.edge == "zero":
            target[:, d - 1, 1] = 0
    ring.append(groups.clone())
    return out


def _unchanged(x: Tensor) -> Tensor:
    return x
