"""The sound of videos straight from their files, in place of the log-mel store."""

from dataclasses import dataclass

import numpy as np

from pipelines.long_sound import long_picture, long_sound
from pipelines.mel import AudioImage, silent_picture
from pipelines.sound import sound_pieces


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
            cut: of training; a file is heard whole.

        Raises:
            pipelines.sound.SoundError: the sound cannot be read.
        """
        if cut != (0.0, 0.0):
            raise ValueError(f"cut {cut}: expected none, the sound of a file is heard whole")
        with long_sound(sound_pieces(path), audio_segments) as sound:
            if sound is None:
                return silent_picture(self.options, audio_segments)
            return long_picture(sound, self.options, audio_segments)
