"""Clips in which the order of the frames and the audio each decide half of the class.

A bright square moves left or right over a low or a high tone: four classes. No single frame shows the motion, and
the frames show nothing of the tone.
"""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CLASS_NAMES = ("left low", "left high", "right low", "right high")  # label = 2 * moves_right + high_tone

SIZES = ((96, 128), (128, 96), (112, 112), (120, 160), (144, 176), (176, 144))  # (height, width) in pixels
FRAME_RATES = (Fraction(10), Fraction(25, 2), Fraction(15), Fraction(25), Fraction(30))  # frames per second
SAMPLE_RATES = (16000, 22050, 44100, 48000)  # Hz
TONES = (300.0, 1800.0)  # Hz; low, high
LABEL_NAMES = ("moves right", "high tone")  # two labels that are independent of each other: the bits of the class
FASTEST = 0.3  # short sides of the frame per second, of clips whose speed is learnt; to the left it is negative
SECONDS = 2.0  # length of these: frames do not show how much time passes between them


def speed_of(seed, number):
    """The speed of the square in a clip, -FASTEST..FASTEST."""
    return round(np.random.default_rng([seed, *number, 1]).uniform(-FASTEST, FASTEST), 4)


def make_clip(path, seed, number, label, speed=None):
    """Writes a clip of the class `label`; what it shows depends on nothing but the arguments.

    Args:
        path: the MP4 file.
        seed, number: a whole number and a sequence of them, which seed the draws together.
        label: 0..3, see CLASS_NAMES.
        speed: of the square, in short sides per second, which then decides where it moves.
    """
    rng = np.random.default_rng([seed, *number])
    moves_right, high_tone = divmod(label, 2)
    if speed is not None:
        moves_right = speed > 0
    frames, frame_rate = draw_frames(rng, moves_right, speed)
    audio, sample_rate = draw_audio(rng, high_tone, len(frames) / frame_rate)
    encode(Path(path), frames, frame_rate, audio, sample_rate)


def draw_frames(rng, moves_right, speed=None):
    """Draws the frames of a clip -> (uint8 array (N, H, W, 3) in RGB, frames per second as a Fraction).

    The square travels along a stretch that lies inside the frame, from its left end to its right end or back. The
    places that it passes are the same for both directions, so nothing but their order shows the motion. With a `speed`
    the clip lasts SECONDS, and the stretch lies in the square in the middle that a validation sees.
    """
    height, width = SIZES[rng.integers(len(SIZES))]
    rate = FRAME_RATES[rng.integers(len(FRAME_RATES))]
    n = round(rng.uniform(1.5, 2.5) * rate)
    if speed is not None:
        n = round(SECONDS * rate)

    # Background: a dark color with a few faint plane waves, the same in all frames of the clip.
    y, x = np.mgrid[:height, :width].astype(np.float32)
    cycles_y, cycles_x, phase = rng.uniform((-4, -4, 0), (4, 4, 1), (4, 3)).T[:, :, None, None]
    waves = np.sin(2 * np.pi * (cycles_y * y / height + cycles_x * x / width + phase))  # (4, H, W)
    ground = rng.uniform(40, 110, 3) + np.einsum("khw,kc->hwc", waves, rng.uniform(-6, 6, (4, 3)))

    # Square: the share of each pixel that it covers, so that it moves smoothly at any speed. Its height in the frame
    # stays near the middle, where most random crops see it.
    side = rng.uniform(0.25, 0.35) * min(height, width)
    top = rng.uniform(0.35, 0.65) * height - side / 2
    travel = min(rng.uniform(0.35, 0.7) * width, width - side)
    start = rng.uniform(0, width - side - travel)
    if speed is not None:
        short = min(height, width)
        travel = abs(speed) * short * float((n - 1) / rate)
        start = (width - short) / 2 + rng.uniform(0, short - side - travel)
    left = start + travel * np.linspace(0, 1, n)[:: 1 if moves_right else -1]  # (N,)
    rows, columns = _covered(height, top, side), _covered(width, left[:, None], side)  # (H,), (N, W)
    cover = (columns[:, None, :] * rows[:, None])[..., None].astype(np.float32)  # (N, H, W, 1)
    color = rng.uniform(190, 255, 3)
    frames = ground.astype(np.float32) * (1 - cover) + color.astype(np.float32) * cover

    frames += rng.uniform(1, 4) * rng.standard_normal(cover.shape, dtype=np.float32)  # grain, new in every frame
    return frames.clip(0, 255).round().astype(np.uint8), rate


def _covered(pixels, start, length):
    """Share of each of the pixels [i, i + 1) that the interval [start, start + length) covers."""
    i = np.arange(pixels)
    return (np.minimum(i + 1, start + length) - np.maximum(i, start)).clip(0, 1)


def draw_audio(rng, high_tone, seconds):
    """Draws the audio of a clip -> (float32 array (channels, samples) in -1..1, samples per second)."""
    rate = SAMPLE_RATES[rng.integers(len(SAMPLE_RATES))]
    channels = rng.integers(1, 3)
    time = np.arange(round(seconds * rate)) / rate
    frequency = TONES[high_tone] * 1.15 ** rng.uniform(-1, 1)
    tone = np.sin(2 * np.pi * (frequency * time + rng.uniform()))
    # Loudness differs from clip to clip, balance between the channels; the phase does not, else a mix to mono could
    # cancel the tone. It is soft: with eps = 1 the spectrogram then has the range of the frames (0..1), with which
    # it shares the batch statistics of the network. A spectrogram with a much wider range would drown the frames.
    loudness = 10 ** rng.uniform(-2.3, -1.8)
    audio = rng.uniform(0.5, 1, (channels, 1)) * tone + rng.uniform(0.2, 0.5) * rng.standard_normal(
        (channels, time.size)
    )
    return (loudness * audio).clip(-1, 1).astype(np.float32), rate


def encode(path, frames, frame_rate, audio, sample_rate):
    """Writes frames (N, H, W, 3) and audio (channels, samples) as H.264 and AAC into an MP4 file."""
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=frame_rate)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        # For equal bytes in every run: one thread, and no macroblock tree, which gives varying results under AVX-512.
        video.options = {"preset": "veryfast", "crf": "23", "threads": "1", "mbtree": "0", "g": str(round(frame_rate))}
        track = container.add_stream("aac", rate=sample_rate, layout="mono" if len(audio) == 1 else "stereo")
        track.options = {"cutoff": str(sample_rate // 2)}  # keeps the whole band: no empty rows in the spectrogram

        samples = av.AudioFrame.from_ndarray(audio, format="fltp", layout=track.layout.name)
        samples.sample_rate = sample_rate
        for stream, pieces in (
            (video, (av.VideoFrame.from_ndarray(frame) for frame in frames)),
            (track, [samples]),
        ):
            for piece in pieces:
                container.mux(stream.encode(piece))
            container.mux(stream.encode(None))
