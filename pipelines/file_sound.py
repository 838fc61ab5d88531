"""The sound of videos straight from their files, in place of the log-mel store."""

from dataclasses import dataclass

import numpy as np

from pipelines.mel import AudioImage, log_mel_columns, picture, silent_picture
from pipelines.sound import NoSoundError, read_sound


@dataclass(frozen=True)
class FileSound:
    """Stands where `pipelines.mel_store.MelStore` does, for clips whose id is the path of their file. Plain data: it
    travels to the decode workers."""

    options: AudioImage

    def picture(self, path: str, audio_segments: int, cut: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
        """The picture of a video's own sound, float32 (A, 3, H, W); silence where it has none.

        Args:
            path: the file.
            audio_segments: 1 for the first channel, 2 for left and right.
            cut: seconds left out at the start and at the end.

        Raises:
            pipelines.sound.SoundError: the sound cannot be read.
        """
        try:
            sound, rate = read_sound(path)
        except NoSoundError:
            return silent_picture(self.options, audio_segments)
        columns = log_mel_columns(sound[:audio_segments], rate, self.options)
        return picture(columns, self.options, audio_segments, cut)
