"""What is trained: a recipe for each kind of set, and variants, each of which changes some of its settings.

A further variant is one more line of `VARIANTS`, the ablation of a switch one of `ABLATIONS`.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks.real_data.sets import AUDIO, COPIES, FRAMES, ORDER, SHORT_SIDE

Settings = Mapping[str, Any]
VIDEO, SPECTROGRAM = "data_augmentation.video_image_param", "data_augmentation.audio_image_param"
OF_FRAMES, OF_AUDIO = "data_augmentation.video_augmentation", "data_augmentation.audio_augmentation"


def frozen_until(stage: int) -> dict[str, int]:
    """`training_param.freeze` of an EfficientNet's stem and first stages, for good: they take most of the time."""
    return dict.fromkeys(["conv_stem", "bn1", *(f"blocks.{i}" for i in range(stage))], 1000)


SHARED: Settings = {
    "dataset.dir_videos": COPIES,
    f"{OF_FRAMES}.RandomHorizontalFlip": True,
    f"{OF_FRAMES}.scales": [1, 0.875, 0.75],
    "model.arch": "tf_efficientnet_lite0",
    "model.normalize": "backbone",
    "shift_temporal.shift_depth": 1,
    "shift_temporal.n_insert": 1,
    "shift_temporal.edge": "zero",
    "training_param.batch_size": 16,
    "training_param.amp": "off",  # on a CPU, bf16 makes training steps of depthwise convolutions slower
    "training_param.num_workers": 0,
    "training_param.save_every_minutes": 0,
    "training_param.keep_checkpoints": 1,
    "optimizer_param.name": "adamw",
    "optimizer_param.schedule": "cosine",
    "optimizer_param.warmup_epochs": 1,
    "optimizer_param.weight_decay": 0.05,
    "optimizer_param.decay_norm_bias": False,
    "optimizer_param.gd": 5,
}
# BatchNorm is trained: behind a shift that ImageNet's network did not have, its frozen statistics do not fit.
RECIPES: Mapping[str, Settings] = {
    FRAMES: {
        **SHARED,
        f"{VIDEO}.output_size": SHORT_SIDE,
        "model.video_segments": 2,
        "shift_temporal.f_div": 4,
        "training_param.freeze": frozen_until(4),
        "training_param.label_smoothing": 0.1,
        "training_param.ema_decay": 0.9,
        "training_param.epochs": 7,
        "optimizer_param.lr": 1e-3,
    },
    ORDER: {
        **SHARED,
        f"{VIDEO}.output_size": 128,
        "model.video_segments": 2,
        "shift_temporal.f_div": 4,
        "training_param.freeze": frozen_until(4),
        "training_param.ema_decay": 0.9,
        "training_param.epochs": 20,
        "optimizer_param.lr": 2e-3,
    },
    AUDIO: {
        **SHARED,
        f"{OF_FRAMES}.RandomHorizontalFlip": False,
        f"{VIDEO}.output_size": 96,
        f"{SPECTROGRAM}.spec_size": [3, 96, 96],
        f"{SPECTROGRAM}.n_mels": 96,
        f"{OF_AUDIO}.random_shift_waveform": [0.6, 0.6],
        "model.video_segments": 2,
        "model.audio_segments": 1,
        "model.dropout": 0.3,
        "shift_temporal.f_div": 8,
        "training_param.label_smoothing": 0.1,
        "training_param.mixup": 1.0,
        "training_param.ema_decay": 0.9,
        "training_param.epochs": 12,
        "optimizer_param.lr": 2e-3,
    },
}
"""Kind of set -> settings."""


class Variant(NamedTuple):
    """A way to train."""

    name: str
    changes: Settings  # of the recipe
    kinds: tuple[str, ...] = (FRAMES, ORDER, AUDIO)  # sets on which it is trained

    def settings(self, kind: str) -> list[str]:
        """For --set."""
        chosen = {**RECIPES[kind], **self.changes}
        return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in chosen.items()]


WHOLE = "fine-tuned"
VARIANTS = (
    Variant(WHOLE, {}),
    Variant("from the originals", {"dataset.dir_videos": "videos"}),
    Variant("without the shift", {"shift_temporal.status": False}),
    Variant("without the audio", {"model.audio_segments": 0}, (AUDIO,)),
    Variant("not mirrored", {f"{OF_FRAMES}.RandomHorizontalFlip": False}, (FRAMES,)),
)
ABLATIONS = (
    Variant("RandAugment", {f"{OF_FRAMES}.RandAugment": 2}, (FRAMES, AUDIO)),
    Variant("erasing", {f"{OF_FRAMES}.RandomErasing": 0.25}, (FRAMES, AUDIO)),
    Variant("CutMix", {"training_param.cutmix": 1.0, "training_param.mixup": 0}, (FRAMES, AUDIO)),
    Variant("SpecAugment", {f"{OF_AUDIO}.SpecAugment": 2}, (AUDIO,)),
    Variant("frames left out", {f"{OF_FRAMES}.modality_dropout": 0.1}, (AUDIO,)),
    Variant("audio left out", {f"{OF_AUDIO}.modality_dropout": 0.1}, (AUDIO,)),
    Variant("mixup", {"training_param.mixup": 0.2}, (FRAMES,)),
    Variant("no mixup", {"training_param.mixup": 0}, (AUDIO,)),
    Variant("no label smoothing", {"training_param.label_smoothing": 0}, (FRAMES, AUDIO)),
    Variant("no moving average", {"training_param.ema_decay": 0}),
    Variant("head first", {"training_param.freeze": {**frozen_until(4), "backbone": 2}}, (FRAMES,)),
    Variant("frozen BatchNorm", {"training_param.batch_norm": "frozen"}),
    Variant("layer decay", {"optimizer_param.layer_decay": 0.9}, (FRAMES,)),
)
"""Single switches, each changed in the recipe."""
