"""Videos read by another library in a torch DataLoader, as a careful user of that library would write it.

The frames are cropped before they become float tensors, and torchvision's newer functions (v2) resize and color them,
both of which is faster than TSAM's way; the audio comes from the same log-mel store as ours. So a row differs from ours
in decoder, augmentation and loader.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from benchmarks.baselines.decoders import DECODERS, Frames
from benchmarks.baselines.torch_loader import Clips, endless_batches
from benchmarks.baselines.tsam_augmentation import augmented
from pipelines.audio.mel_store import MelStore
from pipelines.dataset.load import load_clips
from pipelines.loader import Batch
from pipelines.sampling.plan import Crop, training_plan


class PeerClips(Clips):
    """Training clips: videos.

    An item is video float32 (S, 3, H, W), 0..1; the log-mel spectrogram, float32 (A, 3, H, W); label.
    """

    def __init__(self, config: Any, decoder: str):
        self.config, self.decoder = config, decoder
        self.clips = load_clips(config)["training"]
        self.mels = MelStore(config.dataset.mels, config.data_augmentation.audio_image_param)
        # Made in the worker: libraries that bring threads along do not survive a fork.
        self._decode: Callable[[str, Frames], np.ndarray] | None = None

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, int]:
        """key: epoch and row, which name the draws."""
        epoch, row = key
        if self._decode is None:
            self._decode = DECODERS[self.decoder]().decode
        clip, model, images = self.clips[row], self.config.model, self.config.data_augmentation
        size, scores = images.video_image_param.output_size, (images.video_augmentation, images.audio_augmentation)
        shape = (clip.frames, clip.height, clip.width, model.video_segments)
        plan = training_plan(*shape, *scores, seed=self.config.training_param.seed, epoch=epoch, row=row)
        frames = self._decode(clip.path, tuple(plan.frames.tolist()))  # uint8 (S, H, W, 3)
        y, x, height, width = plan.crop
        cropped = torch.from_numpy(frames)[:, y : y + height, x : x + width].permute(0, 3, 1, 2)
        video = cropped.contiguous().float() / 255
        video = augmented(video, plan._replace(crop=Crop(0, 0, height, width)), size, functional)
        audio = torch.from_numpy(self.mels.spectrogram(clip.audio or clip.id, model.audio_segments, plan.audio_cut))
        return video, audio, clip.label


def peer_batches(config: Any, device: torch.device, decoder: str) -> Iterator[Batch]:
    """Endless batches, as in `benchmarks.baselines.torch_loader`.

    Args:
        config: the settings.
        device: where the tensors end up.
        decoder: name in `benchmarks.baselines.decoders.DECODERS`.

    Raises:
        benchmarks.harness.measure.MissingVariantError: the library is not installed.
    """
    DECODERS[decoder]()
    return endless_batches(PeerClips(config, decoder), config, device, pin_memory=True)
