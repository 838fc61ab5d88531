"""Reading samples of one clip, a piece or a whole file, as a decode worker does: in a process of its own."""

import hashlib
import time
from pathlib import Path

from benchmarks.harness.material import CONFIG
from pipelines.audio.mel_store import MelStore
from pipelines.dali.inputs import choose_input
from pipelines.dali.source import ClipSource, Sample
from pipelines.dataset.load import load_clips
from pipelines.sampling.batch_order import TrainingOrder
from tsam_dali.config import load_config


class Reading:
    """Reads samples of one clip as a decode worker does."""

    def __init__(self, data: Path, split: str, row: int, segments: int, draws: int) -> None:
        config = load_config(data, CONFIG, [f"model.video_segments={segments}"])
        clips, images = [load_clips(config)[split][row]], config.data_augmentation
        self._draws = draws
        self._source = ClipSource(
            clips=clips,
            order=TrainingOrder(num_clips=1, batch_size=1, seed=0),
            training=True,
            seed=0,
            video_input=choose_input(config, clips, on_gpu=False),
            num_segments=segments,
            video=images.video_augmentation,
            audio=images.audio_augmentation,
            audio_segments=config.model.audio_segments,
            mels=MelStore(config.dataset.mels, images.audio_image_param),
        )

    def frames(self) -> list[str]:
        """A checksum of the frames of each sample."""
        return [hashlib.sha256(self._sample(draw).video.tobytes()).hexdigest() for draw in range(self._draws)]

    def read(self) -> tuple[float, int]:
        """CPU seconds and bytes of all samples."""
        cpu, before = time.process_time(), _bytes_read()
        for draw in range(self._draws):
            self._sample(draw)
        return time.process_time() - cpu, _bytes_read() - before

    def _sample(self, draw: int) -> Sample:
        sample = self._source.sample(draw, 0)
        if not sample.meta[2]:
            raise RuntimeError(bytes(sample.reason).decode().rstrip("\0"))
        return sample


def _bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])
