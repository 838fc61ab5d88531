"""The settings that loading data takes: sections that are declared here, and what it reads of those that are not."""

from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol

from annotated_types import Ge, Interval

from pipelines.audio.log_mel import AudioImage
from pipelines.dataset.clips import Dataset
from pipelines.sampling.batch_order import Sampling
from pipelines.sampling.dense import FrameSampling
from pipelines.sampling.plan import AudioAugmentation, VideoAugmentation, VideoImage


@dataclass(frozen=True, kw_only=True)
class DataAugmentation:
    """How frames and audio are prepared: section `data_augmentation`."""

    video_image_param: VideoImage = field(default_factory=VideoImage)
    video_augmentation: VideoAugmentation = field(default_factory=VideoAugmentation)
    audio_image_param: AudioImage = field(default_factory=AudioImage)
    audio_augmentation: AudioAugmentation = field(default_factory=AudioAugmentation)


@dataclass(frozen=True, kw_only=True)
class PipelineOptions:
    """How clips get from files to batches: section `pipeline`."""

    source: Literal["video", "frames"] = "video"
    """What is read: `video` files, or folders of JPEG `frames` as TSAM extracts them."""
    decode: Literal["auto", "cpu", "gpu", "gpu_whole"] = "auto"
    """Decoder of videos: `cpu` (PyAV in worker processes), `gpu` (NVDEC on the packets that are needed), `gpu_whole`
    (NVDEC on whole files), or `auto`: in a training on a GPU the one that a check at its start finds right and fast
    enough, else `cpu` (docs/gpu.md). Of frames: `cpu` (libjpeg, also for `auto`) or `gpu` (nvJPEG)."""
    workers: Annotated[int, Ge(0)] | None = None
    """Decode processes of each rank. Default: training_param.num_workers shared among the machine's ranks, at most one
    a core. 0: decode in the training process."""
    threads: Annotated[int, Ge(1)] | None = None
    """Threads of each rank in which DALI decodes (frames, `gpu`, `gpu_whole`). Default: as many as decode processes; at
    least 8 where NVDEC decodes, as each thread has a decoder of its own."""
    prefetch: Annotated[int, Ge(1)] = 2
    """Batches prepared ahead."""
    max_bad_fraction: Annotated[float, Interval(ge=0, le=1)] = 0.01
    """Part of the clips that may be unreadable before training stops."""


class ModelConfig(Protocol):
    """What is read of the section `model`."""

    @property
    def video_segments(self) -> int: ...
    @property
    def audio_segments(self) -> int: ...
    @property
    def frame_sampling(self) -> FrameSampling: ...
    @property
    def missing_audio(self) -> Literal["silence", "error", "drop"]: ...


class TrainingConfig(Protocol):
    """What is read of the section `training_param`."""

    @property
    def batch_size(self) -> int: ...
    @property
    def repeats(self) -> int: ...
    @property
    def num_workers(self) -> int: ...
    @property
    def sampling(self) -> Sampling: ...
    @property
    def seed(self) -> int: ...


class LoaderConfig(Protocol):
    """The settings of a run, as far as they decide about its data; `tsam_dali.config` has them all."""

    @property
    def dataset(self) -> Dataset: ...
    @property
    def data_augmentation(self) -> DataAugmentation: ...
    @property
    def model(self) -> ModelConfig: ...
    @property
    def training_param(self) -> TrainingConfig: ...
    @property
    def pipeline(self) -> PipelineOptions: ...
