"""The sections of the settings for network and training. Those for the data are next to the code in `pipelines`."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Interval

from pipelines.sampling.batch_order import Sampling
from pipelines.sampling.dense import FrameSampling

PUBLISHED = {  # as in TSAM's code, https://github.com/aav-antonov/TSAM; no checksums are published
    "miil_21k": "resnet50_miil_21k.pth",
    "kinetics400": "resnet50_kinetics400.ckpt.pth.tar",
    "something_v1": "resnet50_something_v1.tar",
}


@dataclass(frozen=True, kw_only=True)
class Model(FrameSampling):
    """The network and the frames that it sees: section `model`."""

    video_segments: Annotated[int, Ge(1)] = 8
    """Frames taken from each clip, S."""
    audio_segments: Annotated[int, Interval(ge=0, le=2)] = 0
    """Audio segments: 0 none, 1 the first channel, 2 left and right (a mono file twice)."""
    arch: str = "resnet50"
    """Backbone: a timm name; `resnet50_timm` means `resnet50`, with TSAM's initial weights. `hf_hub:OWNER/NAME` is a
    network of timm on the Hugging Face Hub, with its weights, `torch_hub:FOLDER:ENTRY` one that a checkout of a
    repository makes (with --run_code); what is kept is timm's name for it."""
    pretrain: str = "imagenet"
    """Initial weights of the backbone: `none`, `imagenet`, a timm tag, or one of TSAM's published files: `miil_21k`,
    `kinetics400`, `something_v1`. `imagenet` is timm's default for the name, but for `resnet50_timm` MIIL's
    ImageNet-21k ResNet-50 (`miil_21k`), as in TSAM. They are downloaded only with --download."""
    weights: str = ""
    """File with the initial weights, or the name of a published one; replaces `pretrain`."""
    normalize: Literal["none", "backbone"] = "none"
    """`none`: pixels 0..1, as for TSAM's and MIIL's weights; `backbone`: minus timm's mean, divided by its standard
    deviation, as most of timm's weights expect. A normalisation that does not match the weights is a warning."""
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.5
    """Dropout of each segment's features, before they are averaged."""
    drop_path: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Stochastic depth: residual branches are left out at random, of each segment separately; the probability rises
    from 0 in the first block to this value in the last."""
    missing_audio: Literal["silence", "error", "drop"] = "silence"
    """Clips without audio: used with silence, an error at the start, or left out."""


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
    """Take channels from earlier frames only; those that would come from later frames are not shifted."""
    tokens: Literal["class", "all"] = "class"
    """Transformers: the tokens whose channels are shifted, the `class` token alone or `all` except register tokens.
    Networks without a class token, such as SigLIP's, need `all`. TokShift is `class` with shift_depth 1, n_insert 1,
    edge `zero`."""


@dataclass(frozen=True, kw_only=True)
class TrainingParam:
    """The training loop: section `training_param`."""

    epochs: Annotated[int, Ge(1)] = 50
    """Passes over the training list."""
    batch_size: Annotated[int, Ge(1)] = 64
    """Samples in a step of the whole job, whatever the number of ranks."""
    repeats: Annotated[int, Ge(1)] = 1
    """Samples of each video in a batch, each with its own frames, crop and colors, from one decoding (repeated
    augmentation): for raw clips on a CPU, 2 give nearly twice as many samples per second. A step then has batch_size /
    repeats videos, an epoch `repeats` times as many steps. NVDEC (`gpu`, `gpu_whole`) and `frames` decode each sample
    separately."""
    sampling: Sampling = "all"
    """The clips of an epoch: `all` once each, as far as they fill batches; `balanced`: every class as often; or
    `square_root`: in proportion to the square root of its number of clips. An epoch has as many steps in each case:
    clips of rare classes come several times, each time with other frames, crop and colors, and of common classes other
    clips in each epoch. Choose it or `class_weights`: both together favour rare classes twice."""
    num_workers: Annotated[int, Ge(0)] = 8
    """Decode processes of the whole machine, shared by its ranks; at most one per core. Training and validation each
    have as many, and use them in turn. 0: decode in the training processes."""
    amp: Literal["bf16", "fp16", "off"] = "bf16"
    """Number format of convolutions and matrix products. `off`: float32, on a GPU TF32; `fp16`: the program waits
    for the GPU once in each step. On a CPU without instructions for bf16, or where ONEDNN_MAX_CPU_ISA leaves them out,
    bf16 means `off`."""
    channels_last: bool = True
    """Channels-last memory format of the network and its activations."""
    compile: Literal["auto"] | bool = "auto"
    """Compile the network with torch.compile. `auto`: on a GPU, where the first batch shows that it is faster and the
    training is longer than ten minutes; never on a CPU."""
    accumulate: Annotated[int, Ge(1)] = 1
    """Gradient accumulation: parts into which the clips of a step are split."""
    seed: Annotated[int, Ge(0)] = 0
    """Seed of all random numbers."""
    label_smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Share of the target that is distributed over all classes; labels: between having one and not. Not for numbers."""
    loss: Literal["auto", "cross_entropy", "bce", "focal", "mse", "huber", "ccc"] = "auto"
    """`auto`: the first one of the task. Classes: `cross_entropy`. Labels: `bce` (binary cross-entropy) or `focal`.
    Numbers, with their ranges as -1..1: `mse`, `huber` (a line from a tenth of the range on) or `ccc` (1 - concordance
    correlation of the clips of a step; with `accumulate`, of a part)."""
    focal_gamma: Annotated[float, Gt(0)] = 2.0
    """Of the loss `focal`: how much less labels count that are right already."""
    best_scores: tuple[str, ...] = ()
    """Validation scores, e.g. `loss`, `f1` or `mae`, of which the best checkpoint is kept as SCORE_best, beside those
    of the task: balanced_best and unbalanced_best, mAP_best, or ccc_best."""
    early_stopping: str = ""
    """A validation score, e.g. `loss` or `accuracy`: the training ends when it has not become better for `patience`
    epochs; the best checkpoint by it is kept as by `best_scores`. Empty: all epochs are trained."""
    patience: Annotated[int, Ge(1)] = 10
    """Epochs without a better score after which `early_stopping` ends the training."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: clips of rare classes count more in the loss, by clips / (classes * clips of the class); with labels,
    the clips that have a label by clips without it / clips with it."""
    mixup: Annotated[float, Ge(0)] = 0.0
    """Blend pairs of clips (frames, audio, and what is learnt); alpha of the Beta distribution of the share. 0: no
    mixup. Pairs are made within a rank's part of the batch: they change with the number of ranks, and need two clips
    per rank."""
    cutmix: Annotated[float, Ge(0)] = 0.0
    """Paste a rectangle of all frames of another clip, and as large a part of the time of its audio; what is learnt is
    blended by that part. Alpha of the Beta distribution of the share; 0: no CutMix. Pairs are those of mixup; with
    both, each step draws one of the two."""
    ema_decay: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Decay per step of a moving average of the weights, e.g. 0.9998, which is validated and saved as well. 0: none."""
    batch_norm: Literal["train", "partial", "frozen", "sync"] = "train"
    """BatchNorm: `train`; `frozen`: fixed statistics and weights; `partial`: frozen except the first (TSM); `sync`:
    statistics over all ranks (GPUs only; PyTorch waits for the GPU once in each layer)."""
    freeze: dict[str, Annotated[int, Ge(0)]] = field(default_factory=dict)
    """Parts that are frozen until an epoch, e.g. {"layer1": 5}: names of the backbone, as `python -m tsam_dali.model`
    prints them, `head`, or all of the `backbone`: {"backbone": 2} trains the head first, for two epochs."""
    trained: Literal["all", "norms", "head"] = "all"
    """Weights that are trained: `all`; `norms`: those of the norms and the head, on a frozen backbone; `head`: the head
    alone, on features that stay the same."""
    grad_checkpointing: bool = False
    """Compute the activations of each block again for the gradient instead of keeping them: about a third more
    computing, and much less memory for transformers. For networks whose BatchNorm is not trained."""
    save_every_steps: Annotated[int, Ge(0)] = 0
    """Steps between checkpoints within an epoch; 0: by time only."""
    save_every_minutes: Annotated[float, Ge(0)] = 10.0
    """Minutes between checkpoints within an epoch; 0: none."""
    keep_checkpoints: Annotated[int, Ge(1)] = 2
    """How many of the newest checkpoints are kept; if the newest is damaged, the one before is resumed."""
    log_steps: Annotated[int, Ge(1)] = 50
    """Steps between records in metrics.jsonl of loss, rate, clips/s, data wait, gradient norm and memory. The last
    record of an epoch may cover fewer."""
    trackers: tuple[Literal["wandb", "mlflow"], ...] = ()
    """Experiment trackers besides TensorBoard (extras `wandb`, `mlflow`); their errors do not stop a run."""


@dataclass(frozen=True, kw_only=True)
class OptimizerParam:
    """The optimizer and its rate: section `optimizer_param`."""

    lr: Annotated[float, Gt(0)] = 5e-2
    """Learning rate."""
    lr_decay: tuple[float, ...] = ()
    """`[factor, epoch, factor, epoch, ...]`: from each epoch on the rate is factor * lr (schedule `step`)."""
    momentum: Annotated[float, Interval(ge=0, lt=1)] = 0.9
    """Momentum."""
    weight_decay: Annotated[float, Ge(0)] = 1e-4
    """Weight decay."""
    gd: Annotated[float, Ge(0)] = 20.0
    """Gradient clipping: the largest norm of the gradient. 0: no limit."""
    name: str = "sgd"
    """Optimizer, a timm name."""
    schedule: Literal["step", "cosine"] = "step"
    """Learning rate schedule: the steps of lr_decay, or a half cosine to zero."""
    warmup_epochs: Annotated[float, Ge(0)] = 0.0
    """Epochs over which the rate rises to lr."""
    lr_batch_size: Annotated[int, Ge(0)] = 0
    """Batch size that lr was chosen for; the rate is scaled linearly to another one. 0: lr is not scaled."""
    decay_norm_bias: bool = True
    """Weight decay also for norms and biases, as in TSAM."""
    layer_decay: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Layer-wise decay of the rate: each layer of the backbone, by timm's grouping, has this part of the rate of the
    layer after it, and the head the full rate; for fine-tuning transformers e.g. 0.75. 1: all the same."""
    multipliers: Literal["none", "tsm"] = "none"
    """`tsm`: 2 times the rate for biases, 5 times for the last layer, 10 times for its bias; no weight decay for biases
    and norms."""

    @property
    def smooth_epochs(self) -> float:
        """Until this epoch the rate changes with every step, later only between epochs."""
        return math.inf if self.schedule == "cosine" else self.warmup_epochs
