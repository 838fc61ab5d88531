"""Whether a training copy holds what was written to it: it is decoded, and compared with what went in."""

from itertools import zip_longest
from pathlib import Path

import av
import numpy as np

from pipelines.audio.decode import audio_stream
from pipelines.decode.container import VideoError, open_video
from pipelines.decode.reader import VideoReader

FIELD = 32
"""Frames are compared by the mean brightness of fields, of at least so many pixels a side where there are so many."""
TOLERANCE = 8.0
"""Levels by which the mean of a field may change in encoding with rate factors up to USUAL. Noise, the worst of the
frames that were tried, changes by 4, and twice as much with each COARSER more, whatever the size of the copy."""
USUAL, COARSER = 26.0, 9.0


def fields(frame: av.VideoFrame) -> np.ndarray:
    """Mean brightness of the fields of a 4:2:0 frame whose sides are multiples of 8, float: 1, 2, 4 or 8 fields along
    each side.
    """
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)  # rows are padded
    pixels = rows[: frame.height, : frame.width]
    down, across = (next((n for n in (8, 4, 2) if side >= n * FIELD), 1) for side in pixels.shape)
    # Rows first, in single precision: five times as fast as the mean of integers along both axes.
    rows_of_fields = pixels.astype(np.float32).reshape(down, -1, frame.width).mean(axis=1)
    return rows_of_fields.reshape(down, across, -1).mean(axis=2)


def fault_of_copy(path: Path, written: list[np.ndarray], audio_packets: int, crf: float) -> str:
    """What is wrong with a copy, as the rest of a sentence; empty: nothing.

    Args:
        path: the copy.
        written: the fields of each frame that went in.
        audio_packets: how many went in.
        crf: rate factor of the encoder.
    """
    tolerance = TOLERANCE * 2 ** max(0.0, (crf - USUAL) / COARSER)
    try:
        with VideoReader(path) as video:
            for number, (frame, expected) in enumerate(zip_longest(video.all_frames(), written)):
                if frame is None or expected is None:
                    return f"has another number of frames than the {len(written)} that were written"
                if np.abs(fields(frame) - expected).max() > tolerance:
                    return f"shows something else in frame {number} than was written; try a lower crf than {crf:g}"
        with open_video(path) as container:
            stream = audio_stream(path, container)
            found = sum(packet.size > 0 for packet in container.demux(stream)) if stream else 0
    except VideoError as error:
        return f"cannot be read back ({error.status})"
    return "" if found == audio_packets else f"has {found} packets of audio, but {audio_packets} were written"
