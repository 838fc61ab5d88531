"""A data set with audio of several kinds."""

import pytest
import soundfile

from pipelines.dataset.clips import Dataset
from tests.helpers.audio_media import noise, tone, write_clip


@pytest.fixture
def dataset(tmp_path):
    """Clips "video" and "sub/wav" (with a .wav too), and "silent"."""
    dataset = Dataset(data_dir=str(tmp_path))
    (tmp_path / "videos" / "sub").mkdir(parents=True)
    (tmp_path / "audios" / "sub").mkdir(parents=True)
    for clip_id in ("video", "sub/wav"):
        write_clip(dataset.videos / f"{clip_id}.mp4", tone(500, 0.3, 16000))
    soundfile.write(dataset.audios / "sub/wav.wav", noise(0.3, 8000, 2).T, 8000)
    write_clip(dataset.videos / "silent.mp4", None)
    return dataset
