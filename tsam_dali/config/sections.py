"""The sections of the settings that belong to learning. Those of the data stand next to the code in `pipelines`."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval

EVALUATION_BATCH_SIZE = 16
"""Clips in a step of each rank, in an evaluation."""
PUBLISHED = {  # as in TSAM's code, https://github.com/aav-antonov/TSAM; no checksums are published
    "miil_21k": "resnet50_miil_21k.pth",
    "kinetics400": "resnet50_kinetics400.ckpt.pth.tar",
    "something_v1": "resnet50_something_v1.tar",
}


@dataclass(frozen=True, kw_only=True)
class Model:
    """The network: section `model`."""

    video_segments: Annotated[int, Ge(1)] = 8
    """Frames taken from each clip, S."""
    audio_segments: Annotated[int, Interval(ge=0, le=2)] = 0
    """Audio segments: 0 none, 1 the first channel, 2 left and right (a mono file twice)."""
    arch: str = "resnet50"
    """Backbone: a timm name; `resnet50_timm` means `resnet50`, with TSAM's first weights."""
    pretrain: str = "imagenet"
    """First weights of the backbone: `none`, `imagenet`, a timm tag, or one of TSAM's published files: `miil_21k`,
    `kinetics400`, `something_v1`. `imagenet` is timm's default for the name, but for `resnet50_timm` what TSAM loads
    there, MIIL's ImageNet-21k ResNet-50 (`miil_21k`). All are fetched with --download alone."""
    weights: str = ""
    """File with the first weights, or the name of a published one; comes before `pretrain`."""
    normalize: Literal["none", "backbone"] = "none"
    """`none`: pixels 0..1 as they are, as TSAM and MIIL's weights have them; `backbone`: minus the mean, by the
    deviation, that timm names, as most of timm's weights expect. Others than the weights were trained with are a
    warning."""
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    """Dropout of each segment's features, before their mean."""
    missing_audio: Literal["silence", "error", "drop"] = "silence"
    """What becomes of clips without audio: heard as silence, refused at the start, or left out."""


@dataclass(frozen=True, kw_only=True)
class ShiftTemporal:
    """The temporal shift: section `shift_temporal`."""

    status: bool = True
    """Whether channels are shifted at all."""
    f_div: Annotated[int, Ge(2)] = 4
    """1 / f_div of the channels come from earlier frames, and as many from later ones."""
    shift_depth: Annotated[int, Ge(1)] = 4
    """Longest distance in segments."""
    n_insert: Annotated[int, Ge(1)] = 2
    """Of n_insert consecutive blocks of a stage, one is shifted."""
    m_insert: Annotated[int, Ge(0)] = 0
    """Which one, counted from 0."""
    edge: Literal["keep", "zero"] = "keep"
    """Where the other frame does not exist: `keep` the frame's own values (TSAM) or `zero` (TSM)."""
    causal: bool = False
    """Take channels from earlier frames alone, at every distance; those that would come from later ones stay."""


@dataclass(frozen=True, kw_only=True)
class TrainingParam:
    """The training loop: section `training_param`."""

    epochs: Annotated[int, Ge(1)] = 50
    """Passes over the training list."""
    batch_size: Annotated[int, Ge(1)] = 64
    """Samples in a step of the whole job, whatever the number of ranks."""
    repeats: Annotated[int, Ge(1)] = 1
    """Samples of each video in a batch, with frames, crop and colors of their own, for which it is decoded once
    (repeated augmentation): of raw clips on a CPU, 2 give nearly twice as many samples a second. A step then has
    batch_size / repeats videos, an epoch `repeats` times as many steps. NVDEC (`gpu`, `gpu_whole`) and `frames` decode
    each sample all the same."""
    num_workers: Annotated[int, Ge(0)] = 8
    """Decode processes of the whole machine, shared by its ranks; never more than it has cores. Training and validation
    each have as many; those of the other wait. 0: decode in the training processes."""
    amp: Literal["bf16", "fp16", "off"] = "bf16"
    """Number format of convolutions and matrix products. On a CPU without instructions for bf16, or where
    ONEDNN_MAX_CPU_ISA leaves them out, bf16 means `off`."""
    channels_last: bool = True
    """Channels-last memory for the network, which turns what it is fed into it."""
    compile: bool = False
    """Compile the network with torch.compile."""
    accumulate: Annotated[int, Ge(1)] = 1
    """Parts in which a step's clips pass through the network, one after another."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of everything random."""
    label_smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Share of the target that is spread over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: clips of rare classes count more in the loss, clips / (classes * clips of the class)."""
    mixup: Annotated[float, Ge(0)] = 0.0
    """Blend pairs of clips, audio and labels alike; alpha of the Beta distribution of the share. 0: no mixup. Pairs are
    made within a rank's part of the batch: they change with the number of ranks, and one clip a rank has no partner."""
    ema_decay: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Validate, and keep beside the weights, their moving average with this decay per step, e.g. 0.9998. 0: none."""
    batch_norm: Literal["train", "partial", "frozen", "sync"] = "train"
    """BatchNorm: `train`; `frozen`: statistics and weights stay; `partial`: all but the first (TSM); `sync`: statistics
    over all ranks (GPUs only)."""
    freeze: dict[str, Annotated[int, Ge(0)]] = field(default_factory=dict)
    """Parts that stay as they are until an epoch, e.g. {"layer1": 5}: the backbone's names, as the network's picture
    prints them, or `head`."""
    save_every_steps: Annotated[int, Ge(0)] = 0
    """Checkpoints inside an epoch, in steps; 0: by time alone."""
    save_every_minutes: Annotated[float, Ge(0)] = 10.0
    """Checkpoints inside an epoch, in minutes; 0: none."""
    keep_checkpoints: Annotated[int, Ge(1)] = 2
    """How many of the newest checkpoints are kept to go on from; the one before serves if the newest is damaged."""
    log_steps: Annotated[int, Ge(1)] = 50
    """Steps of each window of which metrics.jsonl says loss, rate, clips/s, data wait, gradient norm and memory. The
    last window of an epoch ends with it."""
    trackers: tuple[Literal["wandb", "mlflow"], ...] = ()
    """Experiment trackers that are told as well as TensorBoard (extras `wandb`, `mlflow`); they cannot stop a run."""


@dataclass(frozen=True, kw_only=True)
class OptimizerParam:
    """The optimizer and its rate: section `optimizer_param`."""

    lr: Annotated[float, Gt(0)] = 5e-2
    """Learning rate."""
    lr_decay: tuple[float, ...] = ()
    """`[factor, epoch, factor, epoch, ...]`: from that epoch on the rate is factor * lr (schedule `step`)."""
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.9
    """Momentum."""
    weight_decay: Annotated[float, Ge(0)] = 1e-4
    """Weight decay."""
    gd: Annotated[float, Ge(0)] = 20.0
    """Largest norm of the gradient; longer ones are scaled down to it. 0: no limit."""
    name: str = "sgd"
    """Optimizer, a timm name."""
    schedule: Literal["step", "cosine"] = "step"
    """How the rate falls: in the steps of lr_decay, or along a half cosine to zero."""
    warmup_epochs: Annotated[float, Ge(0)] = 0.0
    """Epochs over which the rate rises to lr."""
    lr_batch_size: Annotated[int, Ge(0)] = 0
    """Batch size that lr was chosen for; with another one the rate is scaled linearly. 0: lr as it is."""
    decay_norm_bias: bool = True
    """Weight decay also on norms and biases, as TSAM has it."""
    multipliers: Literal["none", "tsm"] = "none"
    """`tsm`: biases learn at 2 times the rate, the last layer at 5, its bias at 10; biases and norms do not decay."""

    @property
    def smooth_epochs(self) -> float:
        """Until this epoch the rate changes with every step, from then on between epochs alone."""
        return math.inf if self.schedule == "cosine" else self.warmup_epochs
