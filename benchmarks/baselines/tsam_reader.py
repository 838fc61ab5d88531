"""TSAM's way to read clips, as the baseline: JPEG frames and .wav files that were extracted before, Pillow, torchvision
on float tensors and log-mel spectrograms on the fly, in a torch DataLoader.

It does what TSAM's data set does, in its order: every frame is decoded as a whole and made a float tensor as a whole;
the stack of all frames is cropped, resized, mirrored and colored by torchvision
(`benchmarks.baselines.tsam_augmentation`); the audio is read as a whole, cut, and transformed with three windows at its
own rate. What differs: the draws are those of this project, seeded, from the same distributions; torch's own short-time
Fourier transform stands for torchaudio's, which calls it. TSAM makes the mel filters anew for every clip; here they may
be kept, too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torchvision.transforms.functional as transforms
from PIL import Image
from torch import Tensor

from benchmarks.baselines.torch_loader import Clips, endless_batches
from benchmarks.baselines.tsam_audio import kept_mel_filters, log_mel, mel_filters
from benchmarks.baselines.tsam_augmentation import augmented
from pipelines.dataset.list_file import read_list
from pipelines.loader import Batch
from pipelines.sampling.plan import training_plan


class TSAMClips(Clips):
    """Training clips: folders of JPEG frames and .wav files.

    An item is video float32 (S, 3, H, W), 0..1; the spectrogram of the first channel, float32 (1, 3, H, W); label.
    """

    def __init__(self, config: Any, keep_filters: bool):
        self.config = config
        self.filters = kept_mel_filters if keep_filters else mel_filters
        self.clips = read_list(config.dataset.list_file("training"))
        folders = [config.dataset.frames / entry.id for entry in self.clips]
        self.num_frames = [sum(1 for _ in folder.iterdir()) for folder in folders]
        self.sizes = [_size(folder / config.dataset.frames_tmpl.format(1)) for folder in folders]

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, int]:
        """key: epoch and row, which name the draws."""
        epoch, row = key
        entry, images, dataset = self.clips[row], self.config.data_augmentation, self.config.dataset
        shape = (self.num_frames[row], *self.sizes[row], self.config.model.video_segments)
        scores = images.video_augmentation, images.audio_augmentation
        plan = training_plan(*shape, *scores, seed=self.config.training_param.seed, epoch=epoch, row=row)
        folder = dataset.frames / entry.id
        frames = [read_frame(folder / dataset.frames_tmpl.format(frame + 1)) for frame in plan.frames.tolist()]
        video = augmented(torch.stack(frames), plan, images.video_image_param.output_size)
        audio = log_mel(dataset.audios / f"{entry.id}.wav", images.audio_image_param, plan.audio_cut, self.filters)
        return video, audio, entry.label


def read_frame(path: Path) -> Tensor:
    """One JPEG file as a whole: float32 (3, H, W), 0..1."""
    with Image.open(path) as file:
        return transforms.to_tensor(file.convert("RGB"))


def _size(path: Path) -> tuple[int, int]:
    """Height and width."""
    with Image.open(path) as file:
        return file.height, file.width


def tsam_batches(config: Any, device: torch.device, keep_filters: bool) -> Iterator[Batch]:
    """Endless batches, as in `benchmarks.baselines.torch_loader`."""
    return endless_batches(TSAMClips(config, keep_filters), config, device, pin_memory=False)
