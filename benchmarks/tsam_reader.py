"""TSAM's way to read clips, as the baseline: JPEG frames and .wav files that were extracted before, Pillow, torchvision
and log-mel pictures on the fly, in a torch DataLoader.

It gives what this project's loader gives - the same batches, sampling and augmentation, drawn from the same
distributions (`pipelines.sampling`) - and is as fast as its parts allow: pictures are cropped before they are resized,
every worker has one thread. TSAM makes the mel filters anew for every clip; here they may be kept, too.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
import torchvision.transforms.functional as transforms
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipelines.list_file import read_list
from pipelines.mel import N_FFT, SHORTEST_CUT, AudioImage
from pipelines.sampling import Colour, Plan, training_plan

Filters = Callable[[int, int, int], Tensor]


class TSAMClips(Dataset):
    """Training clips: folders of JPEG frames and .wav files.

    An item is video float32 (S, 3, H, W), 0..1; the log-mel picture of the first channel, float32 (1, 3, H, W); label.
    """

    def __init__(self, config: Any, keep_filters: bool):
        self.config = config
        self.filters = kept_mel_filters if keep_filters else mel_filters
        self.entries = read_list(config.dataset.list_file("training"))
        folders = [config.dataset.frames / entry.id for entry in self.entries]
        self.num_frames = [sum(1 for _ in folder.iterdir()) for folder in folders]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor, int]:
        """key: epoch and row, which name the draws."""
        epoch, row = key
        entry, images, dataset = self.entries[row], self.config.data_augmentation, self.config.dataset
        folder, name = dataset.frames / entry.id, dataset.frames_tmpl
        with Image.open(folder / name.format(1)) as first:
            width, height = first.size
        shape = (self.num_frames[row], height, width, self.config.model.video_segments)
        looks = images.video_augmentation, images.audio_augmentation
        plan = training_plan(*shape, *looks, seed=self.config.training_param.seed, epoch=epoch, row=row)
        size = images.video_image_param.output_size
        pictures = [augmented(folder / name.format(frame + 1), plan, size) for frame in plan.frames.tolist()]
        sound = log_mel(dataset.audios / f"{entry.id}.wav", images.audio_image_param, plan.sound_cut, self.filters)
        return torch.stack(pictures), sound, entry.label


def augmented(path: Path, plan: Plan, size: int) -> Tensor:
    """One JPEG file, cropped, resized, mirrored and coloured by Pillow: float32 (3, size, size), 0..1."""
    with Image.open(path) as file:
        picture = file.convert("RGB")
    y, x, height, width = plan.crop
    # As GroupMultiScaleCrop does. Resizing with a box would need no copy, but looks at pixels outside of the crop.
    picture = picture.crop((x, y, x + width, y + height)).resize((size, size), Image.Resampling.BILINEAR)
    if plan.flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return transforms.to_tensor(coloured(picture, plan.colour))


def coloured(picture: Image.Image, colour: Colour) -> Image.Image:
    """ColorJitter and RandomGrayscale with the factors drawn."""
    if colour == Colour():
        return picture
    picture = transforms.adjust_brightness(picture, colour.brightness)
    picture = transforms.adjust_contrast(picture, colour.contrast)
    if colour.saturation == 0:
        return transforms.to_grayscale(picture, num_output_channels=3)
    picture = transforms.adjust_saturation(picture, colour.saturation)
    return transforms.adjust_hue(picture, colour.hue / 360)


def log_mel(path: Path, options: AudioImage, cut: tuple[float, float], filters: Filters) -> Tensor:
    """The log-mel picture of the first channel of a .wav file, cut before it is transformed: float32 (1, 3, H, W).

    torchaudio's MelSpectrogram, written with torch: see `pipelines.mel.log_mel_columns`.
    """
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    first, last = round(cut[0] * rate), len(sound) - round(cut[1] * rate)
    if last - first > SHORTEST_CUT:
        sound = sound[first:last]
    channel = torch.from_numpy(np.ascontiguousarray(sound[:, 0]))
    planes = []
    for window_ms, hop_ms in zip(options.window_sizes, options.hop_sizes, strict=True):
        window, hop = round(window_ms * rate / 1000), round(hop_ms * rate / 1000)
        n_fft = max(N_FFT, window)
        spectrum = torch.stft(channel, n_fft, hop, window, hann(window), pad_mode="reflect", return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()  # (bins, columns)
        plane = torch.log(filters(rate, n_fft, options.n_mels) @ power + options.eps)
        size = options.spec_size[1:]
        planes.append(F.interpolate(plane[None, None], size, mode="bilinear", antialias=True)[0, 0])
    return torch.stack(planes)[None]


@lru_cache
def hann(length: int) -> Tensor:
    return torch.hann_window(length)


def mel_filters(rate: int, n_fft: int, n_mels: int) -> Tensor:
    """Triangles of the mel bands (HTK's scale, no normalisation) over the bins of a transform: (n_mels, bins)."""
    highest = 2595 * math.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (torch.linspace(0, highest, n_mels + 2) / 2595) - 1)  # Hz
    slopes = corners[:, None] - torch.linspace(0, rate / 2, n_fft // 2 + 1)  # (n_mels + 2, bins)
    width = corners.diff()[:, None]
    return torch.minimum(-slopes[:-2] / width[:-1], slopes[2:] / width[1:]).clamp_(min=0)


@lru_cache
def kept_mel_filters(rate: int, n_fft: int, n_mels: int) -> Tensor:
    return mel_filters(rate, n_fft, n_mels)


class EndlessOrder(Sampler[tuple[int, int]]):
    """(epoch, row): one permutation after another, so that the workers never run dry at the end of an epoch."""

    def __init__(self, clips: Sequence[Any], seed: int):
        self.count, self.seed = len(clips), seed

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = 0
        while True:
            for row in np.random.default_rng((self.seed, epoch)).permutation(self.count).tolist():
                yield epoch, row
            epoch += 1


def tsam_batches(config: Any, workers: int, keep_filters: bool) -> Iterator[list[Tensor]]:
    """Endless batches of video (B, S, 3, H, W), audio (B, 1, 3, H, W) and label (B,)."""
    clips = TSAMClips(config, keep_filters)
    order = EndlessOrder(clips, config.training_param.seed)
    size = config.training_param.batch_size
    return iter(DataLoader(clips, batch_size=size, sampler=order, num_workers=workers, prefetch_factor=2))
