"""What a data set is: its folders and its clips."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from annotated_types import Interval

from pipelines.dataset.list_line import WHOLE, file_of
from pipelines.dataset.targets import AnyTargets, Number, TaskName, targets_of
from pipelines.files.storage import is_remote


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Where a data set lies: TSAM's `dataset` section."""

    data_dir: str
    """Folder of the data set; relative to the working directory, as in TSAM."""
    name: str = ""
    """Free text that names the data set in outputs."""
    dir_videos: str = "videos"
    """Folder of the videos, inside data_dir; or s3://bucket/prefix (extra s3); everything else stays in data_dir."""
    dir_frames: str = "frames"
    """Folder of extracted JPEG frames, inside data_dir."""
    dir_audios: str = "audios"
    """Folder of .wav files, inside data_dir."""
    dir_mels: str = "mels"
    """Folder of the precomputed log-mel store, inside data_dir."""
    file_train_list: str = "training.txt"
    """List of the training clips, inside data_dir: one `ID label` or `ID START END label` (seconds) a line."""
    file_val_list: str = "validation.txt"
    """List of the validation clips, inside data_dir."""
    frames_tmpl: str = "{:05d}.jpg"
    """Name of extracted frame number i, counted from 1."""
    frames_fps: Annotated[float, Interval(ge=0.01, le=1000)] | None = None
    """Extracted frames a second of video, which `model.sampling` dense asks for where it counts in seconds. TSAM and
    `tools/video2frames.py` extract 10; Something-Something v1 has 12."""
    task: TaskName = "classes"
    """What is learnt, and what lists hold behind the id: `classes`, one of each clip (`ID 3`); `labels`, any of each
    clip (`ID 3,17`, none as `-`); `numbers` (`ID 0.73,-0.2`)."""
    class_names: tuple[str, ...] = ()
    """Name of each class or label, in the order of their numbers; empty: the numbers of the classes are their names."""
    flip_labels: tuple[tuple[str | int, str | int], ...] = ()
    """Pairs of classes or labels, as names or numbers, that change places when a training clip is mirrored
    (`RandomHorizontalFlip`), e.g. [["swipe left", "swipe right"]]."""
    numbers: tuple[Number, ...] = ()
    """Of the task `numbers`, in the order of the lists: `{"name": "speed", "range": [0, 90], "unit": "pixels/s"}`."""

    @property
    def targets(self) -> AnyTargets:
        """How the lists write what is learnt."""
        return targets_of(self.task, self.class_names, self.numbers)

    @property
    def root(self) -> Path:
        return Path(self.data_dir)

    @property
    def videos(self) -> Path | str:
        """A folder, or the address of a prefix in an object store."""
        return self.dir_videos.rstrip("/") if is_remote(self.dir_videos) else self.root / self.dir_videos

    @property
    def frames(self) -> Path:
        return self.root / self.dir_frames

    @property
    def audios(self) -> Path:
        return self.root / self.dir_audios

    @property
    def mels(self) -> Path:
        return self.root / self.dir_mels

    def list_file(self, split: str) -> Path:
        """The list of `split`, which is "training" or "validation"."""
        return self.root / {"training": self.file_train_list, "validation": self.file_val_list}[split]


class Clip(NamedTuple):
    """One clip that can be read: a line of a list and what the index knows of its file."""

    id: str  # that of its file; of a piece also its times, such as `abc 12.5 22.5`
    label: int  # its class; -1 in other tasks
    path: str
    frames: int  # that a full decode yields; of a piece
    height: int  # pixels, as shown (turned)
    width: int
    audio: str  # name of its audio in the log-mel store; "": it has none
    pixel_aspect: float = 1.0  # width of a pixel over its height, as shown
    first: int = 0  # number of its first frame in the file
    start: float = 0.0  # seconds on the clock of the file
    end: float = WHOLE
    target: str = ""  # what is learnt where that is no class, see `pipelines.dataset.targets`
    # For dense sampling:
    rate: float = 0.0  # mean number of frames a second; 0: not known
    audio_start: float = 0.0  # when its audio begins, in seconds from the first frame
    times: str = ""  # of the frames where the rate varies, see `pipelines.sampling.dense.packed_times`

    @property
    def file(self) -> str:
        """Id of the file."""
        return file_of(self.id, self.end)
