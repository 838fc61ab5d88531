"""Settings of a training, from what there is to learn from and what time there is; each with its reason."""

import copy
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from pipelines.dataset.flip_labels import names_of_sides
from tsam_dali.fit.data import FEW_CLIPS, Data

STEPS, EPOCHS = 400, (10, 40)
"""Of a fine-tuning: so many steps, within these numbers of epochs. From random weights there is more to learn."""
FEWEST_EPOCHS = 4
EMA_DECAY = 0.98
"""At most; of short trainings less, so that the moving average forgets the network before them."""
SIZES, SMALL = (224, 192, 160, 128), 112
"""Pixels of what a network sees: of one with weights of images the largest for which the time is enough; of one with
random weights always few."""
MAKE_COPY, READ_COPY = 6, 0.05
"""Times of making a training copy and of reading one, as parts of reading the original (docs/benchmarks.md)."""
COPIES_SAVE = 0.2
"""Training copies are made where they save that part of the time."""
START = 25
"""Seconds in which a training starts and writes its last report."""


class Costs(NamedTuple):
    """Seconds for a clip, of frames of SIZES[0] pixels or, from random weights, of SMALL."""

    reading: float
    forward: float
    training: float


class Plan(NamedTuple):
    """What fits into the time."""

    size: int
    epochs: int
    copies: bool
    once: float  # seconds, for copies, the start and the last report
    epoch: float  # seconds

    @property
    def seconds(self) -> float:
        return self.once + self.epochs * self.epoch


class Settings:
    """The content of `config.json`."""

    def __init__(self, base: dict[str, Any], decide: Callable[[str], None]) -> None:
        self.content, self._decide = copy.deepcopy(base), decide

    def set(self, reason: str = "", **changes: Any) -> None:
        """Change settings, `section__key=value`; with a reason, that is a decision."""
        for name, value in changes.items():
            *path, key = name.split("__")
            section = self.content
            for part in path:
                section = section.setdefault(part, {})
            section[key] = value
        if reason:
            self._decide(reason)


def base_settings(data: Data, arch: str, weights: str, probe: bool, decide: Callable[[str], None]) -> Settings:
    """Those that depend on the clips and the network, not on the time.

    Args:
        weights: file, or "": random ones.
        probe: whether they are those of a probe, with a last layer for these classes.
    """
    settings = Settings(json.loads(FEW_CLIPS.read_text(encoding="utf-8")), decide)
    number = len(data.clips["training"])
    settings.set(model__arch=arch, model__pretrain="none", model__weights=weights)
    if probe:
        settings.set(
            "settings: those of config/few_clips_config.json, but no layer waits for the last one: that is the probe",
            training_param__freeze={},
        )
    elif weights:
        settings.set("settings: those of config/few_clips_config.json, for weights that have learnt from images")
    else:
        settings.set(
            "settings: those of config/few_clips_config.json, but nothing frozen and higher rates for random weights",
            training_param__batch_norm="train",
            training_param__freeze={},
            optimizer_param__lr=2e-3,
            model__dropout=0.2,
        )
    if number >= 1000:
        settings.set(
            f"augmentation: RandAugment and RandomErasing, for {number} clips",
            data_augmentation__video_augmentation__RandAugment=2,
            data_augmentation__video_augmentation__RandomErasing=0.25,
        )
    if number >= 10_000:
        settings.set("augmentation: also mixup", training_param__mixup=0.2)
    batch = next(size for size in (32, 16, 8, 4, 2, 1) if size == 1 or size * (4 if size < 32 else 300) <= number)
    settings.set(training_param__batch_size=batch)
    if data.audio:
        _with_audio(settings, number)
    if (sided := names_of_sides(data.dataset.class_names)) and not data.dataset.flip_labels:
        settings.set(
            f"mirrored clips: none, as names of classes hold left or right, such as {sided[0]!r} "
            "(dataset.flip_labels can name the pairs)",
            data_augmentation__video_augmentation__RandomHorizontalFlip=False,
        )
    if data.dataset.task == "numbers":
        settings.set(training_param__label_smoothing=0)
    if data.left_out > 0.01:
        settings.set(
            f"unreadable clips: up to {data.left_out:.0%} of a list are left out",
            pipeline__max_bad_fraction=data.left_out,
        )
    return settings


def _with_audio(settings: Settings, number: int) -> None:
    # As features of a backbone with weights of images: see tsam_dali.probe.network.
    settings.set(model__audio_segments=1, data_augmentation__audio_image_param={"eps": 1.0})
    settings.set(data_augmentation__audio_image_param__num_segments=4)
    settings.set(data_augmentation__audio_image_param__m_segments=2)
    if number >= 1000:
        settings.set(
            "augmentation: SpecAugment, and a tenth of the clips without frames or without audio",
            data_augmentation__audio_augmentation__SpecAugment=2,
            data_augmentation__audio_augmentation__modality_dropout=0.1,
            data_augmentation__video_augmentation__modality_dropout=0.1,
        )


def choose_frames(settings: Settings, accuracy: dict[str, float]) -> None:
    """Fewer frames where the probe on the audio is far better than the one on the frames."""
    if accuracy.get("audio", 0) > accuracy["frames"] + 0.05:
        settings.set(
            f"frames: 2, as audio alone reaches {accuracy['audio']:.1%} and frames alone {accuracy['frames']:.1%}: "
            "more of them would cover up the audio in the mean over all segments",
            model__video_segments=2,
        )


def with_plan(settings: Settings, plan: Plan, data: Data) -> None:
    """Add what the time decides."""
    options = settings.content["training_param"]
    steps = plan.epochs * -(-len(data.clips["training"]) // options["batch_size"])
    settings.set(training_param__ema_decay=round(max(0.0, min(EMA_DECAY, 1 - 5 / steps)), 3))
    settings.set(
        data_augmentation__video_image_param__output_size=plan.size,
        training_param__epochs=plan.epochs,
        training_param__freeze={"backbone": 2} if options["freeze"] else {},
    )
    if data.audio:
        settings.set(data_augmentation__audio_image_param__spec_size=[3, plan.size, plan.size])


def wanted_epochs(training: int, batch: int, scratch: bool) -> int:
    """So many that there are some hundred steps."""
    fewest, most = EPOCHS
    steps = STEPS * (2 if scratch else 1)
    return max(fewest, min(most, -(-steps * batch // training)))


def plan(
    costs: Costs, training: int, validation: int, wanted: int, seconds: float, sizes: tuple[int, ...], copies: bool
) -> Plan:
    """The largest frames of which half of the wanted epochs fit into the time, or the smallest ones; and their epochs.

    Args:
        training, validation: numbers of clips.
        copies: whether training copies may be made.
    """
    for size in sizes:
        once, epoch = _way(costs, training, validation, size / sizes[0], copies=False)
        with_copies = _way(costs, training, validation, size / sizes[0], copies=True)
        use = copies and with_copies[0] + wanted * with_copies[1] < (1 - COPIES_SAVE) * (once + wanted * epoch)
        if use:
            once, epoch = with_copies
        epochs = max(0, min(wanted, int((seconds - once) / epoch)))
        if 2 * epochs >= wanted:
            break
    return Plan(size, epochs, use, once, epoch)


def _way(costs: Costs, training: int, validation: int, scale: float, copies: bool) -> tuple[float, float]:
    """Seconds before the first epoch and after the last one, and of an epoch."""
    reading = costs.reading * (READ_COPY if copies else 1)
    epoch = training * (reading + costs.training * scale**2) + validation * (reading + costs.forward * scale**2)
    return START + (MAKE_COPY * costs.reading * (training + validation) if copies else 0), epoch
