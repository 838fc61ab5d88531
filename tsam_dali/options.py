"""The sections of the settings that belong to learning. Those of the data stand next to the code in `pipelines`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval


@dataclass(frozen=True, kw_only=True)
class Model:
    """The network: section `model`."""

    video_segments: Annotated[int, Ge(1)] = 8
    """Frames taken from each clip, S."""
    audio_segments: Annotated[int, Interval(ge=0, le=2)] = 0
    """Sound segments: 0 none, 1 the first channel, 2 left and right (a mono file twice)."""
    arch: str = "resnet50"
    """Backbone: a timm name; `resnet50_timm` means `resnet50`."""
    pretrain: str = "imagenet"
    """First weights of the backbone: `none`, `imagenet` (timm's default for the name) or a timm tag."""
    weights: str = ""
    """File with the first weights; comes before `pretrain`."""
    normalize: Literal["none", "backbone"] = "none"
    """`none`: pixels 0..1 as they are (TSAM); `backbone`: minus the mean, by the deviation, that timm names."""
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    """Dropout before the last layer."""
    missing_audio: Literal["silence", "error", "drop"] = "silence"
    """What becomes of clips without sound: heard as silence, refused at the start, or left out."""


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
    """Clips in a step of the whole job, whatever the number of ranks."""
    num_workers: Annotated[int, Ge(0)] = 8
    """Decode processes of the whole machine; never more than it has cores."""
    amp: Literal["bf16", "fp16", "off"] = "bf16"
    """Number format of convolutions and matrix products. On a CPU without instructions for bf16 it means `off`."""
    channels_last: bool = True
    """Channels-last memory for the network and its input."""
    compile: bool = False
    """Compile the network with torch.compile."""
    accumulate: Annotated[int, Ge(1)] = 1
    """Parts in which a step's clips pass through the network, one after another."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of everything random."""
    label_smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Share of the target that is spread over all classes."""


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
