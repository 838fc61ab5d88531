"""The draws of `pipelines.sampling.variation`, carried out on a batch in place, on any device."""

from collections.abc import Sequence

from torch import Tensor

from pipelines.dali.rand_augment import rand_augment
from pipelines.sampling.variation import Erased, Variation


def vary(video: Tensor, audio: Tensor | None, variations: Sequence[Variation], silence: float) -> None:
    """Change each clip as drawn: operations, what is erased, masks of spectrograms, and what is silenced, last.

    Args:
        video: float32 (B, S, 3, H, W), 0..1; frames that are silenced are black.
        audio: float32 (B, A, 3, H, W), lowest band in row 0, or None.
        variations: B of them.
        silence: what spectrograms hold where there is no audio.
    """
    for i, varied in enumerate(variations):
        clip = video[i]
        for operation in varied.operations:
            clip.copy_(rand_augment(clip, operation))
        if varied.erased:
            _erase(clip, varied.erased)
        if varied.silenced == "frames":
            clip.zero_()
        if audio is None:
            continue
        if varied.bands or varied.times:
            _mask(audio[i], varied)
        if varied.silenced == "audio":
            audio[i].fill_(silence)


def _erase(clip: Tensor, erased: Erased) -> None:
    """(S, 3, H, W)"""
    rows, columns = erased.rows.pixels(clip.shape[2]), erased.columns.pixels(clip.shape[3])
    for channel, value in enumerate(erased.color):
        clip[:, channel, rows, columns] = value


def _mask(spectrograms: Tensor, varied: Variation) -> None:
    """(A, 3, H, W): what is masked holds the mean of its plane, which is 0 in SpecAugment's normalised spectrograms.

    Source: SpecAugment, https://arxiv.org/abs/1904.08779
    """
    mean = spectrograms.mean((2, 3), keepdim=True)
    for band in varied.bands:
        spectrograms[:, :, band.pixels(spectrograms.shape[2])] = mean
    for time in varied.times:
        spectrograms[..., time.pixels(spectrograms.shape[3])] = mean
