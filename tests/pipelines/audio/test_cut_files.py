"""A piece of a file beside the same seconds that ffmpeg cuts out of it without encoding, at a random access point."""

import numpy as np
import pytest

from pipelines.audio.mel_pieces import piece_samples
from pipelines.decode import decode_frames
from tests.helpers.media import ffmpeg

RATE, FPS, GROUP = 48000, 25, 24
START, END = 2 * GROUP / FPS, 4 * GROUP / FPS
"""Seconds, 1.92 and 3.84: both are whole packets of the audio, of 1024 samples, as well."""
CHIRP = f"aevalsrc=0.3*sin(2*PI*(150+170*t)*t)+0.2*sin(2*PI*(900+37*t)*t):d=5:s={RATE}"
STEP = 2**-15
"""Of 16 bit."""


@pytest.mark.parametrize(("codec", "ending", "most_steps"), [("flac", "mkv", 0), ("aac", "mp4", 2)])
def test_a_cut_file_is_the_piece(tmp_path, codec, ending, most_steps):
    """Lossless audio to the last bit; of lossy audio the cut lacks what its decoder would have had from before."""
    long, cut = tmp_path / f"long.{ending}", tmp_path / f"cut.{ending}"
    video = ("-c:v", "libx264", "-g", GROUP, "-bf", 0)  # with B-frames ffmpeg begins a group earlier
    ffmpeg("-f", "lavfi", "-i", f"testsrc=s=64x48:r={FPS}:d=5", "-f", "lavfi", "-i", CHIRP, *video, "-c:a", codec, long)
    ffmpeg("-ss", START, "-i", long, "-t", END - START, "-c", "copy", cut)
    first = round(START * FPS)
    np.testing.assert_array_equal(decode_frames(cut, range(GROUP)), decode_frames(long, range(first, first + GROUP)))
    ((piece, rate),) = piece_samples(long, [(START, END)])
    ((own, own_rate),) = piece_samples(cut, [(0.0, END - START)])
    assert rate == own_rate == RATE
    assert piece.shape == own.shape == (1, round((END - START) * RATE))
    settled = round(0.1 * RATE) if most_steps else 0
    difference = np.abs(piece - own)[0, settled:] / STEP
    assert difference.max() <= most_steps
    lagging = np.abs(piece[:, 1:] - own[:, :-1])[0, settled:] / STEP
    assert lagging.max() > 100  # a sample early or late would be seen
