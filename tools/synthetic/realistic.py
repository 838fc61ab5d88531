"""Video clips that cost a decoder as much as clips from the web do, for measuring.

Ten seconds each, 340x256 to 1280x720, 25 to 30 frames per second; H.264 with x264's defaults (keyframes up to 250
frames apart) and AAC, both interleaved. What they show has the statistics of natural images: textures with a 1/f
spectrum under a camera that pans, zooms and shakes, objects that move in front, a cut here and there, grain. Their
audio is like speech: a buzz whose pitch wanders, formants that change with every syllable, pauses, noise behind it.

What clip number i of a seed shows depends on nothing else. Existing clips are not made again.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import joblib
import numpy as np
from PIL import Image, ImageFilter
from tqdm import tqdm

from pipelines.files.atomic import temporary_path

RECIPE = 3  # stands in the names; raise it when a number and a seed begin to give another clip
SECONDS = 10.0
SIZES = ((256, 340), (360, 480), (360, 640), (480, 854), (720, 1280), (288, 352))  # (height, width) in pixels
RATES = (Fraction(25), Fraction(30), Fraction(30000, 1001))  # frames per second
AUDIO_RATE = 44100  # Hz
MARGIN = 1.5  # the background is so many times as large as the frame: room for the camera


def make_clips(
    folder: str | Path, count: int, *, seed: int = 0, seconds: float = SECONDS, workers: int = -1
) -> list[Path]:
    """The first `count` clips of a seed, made where they are missing, in parallel; their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    length = "" if seconds == SECONDS else f"_{seconds:g}s"
    paths = [folder / f"realistic{RECIPE}_{seed}_{i:03d}{length}.mp4" for i in range(count)]
    jobs = [joblib.delayed(make_clip)(path, seed, (i,), seconds) for i, path in enumerate(paths) if not path.exists()]
    if jobs:
        done = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(jobs)
        for _ in tqdm(done, total=len(jobs), desc=f"making clips in {folder.name}", unit="clip"):
            pass
    return paths


def make_clip(path: Path, seed: int, number: tuple[int, ...], seconds: float) -> None:
    """Write one clip, as a whole or not at all. The last part of its number decides about the size."""
    rng = np.random.default_rng([seed, *number])
    size, rate = SIZES[number[-1] % len(SIZES)], RATES[rng.integers(len(RATES))]
    cuts = np.sort(rng.uniform(0.15, 0.85, rng.integers(0, 3)))  # none, one or two
    count = max(1, round(seconds * rate))
    ends = [*(cuts * count).astype(int), count]
    with temporary_path(path) as temporary:
        encode(temporary, draw_frames(rng, size, ends), size, rate, draw_audio(rng, count / rate))
        temporary.replace(path)


def draw_frames(rng: np.random.Generator, size: tuple[int, int], ends: list[int]) -> Iterator[np.ndarray]:
    """The frames of all scenes, RGB uint8 (H, W, 3). ends: number of the frame after each scene, rising."""
    strength = rng.uniform(0.5, 2)
    grain = strength * rng.standard_normal((4, *size, 1), dtype=np.float32)
    start = 0
    for end in ends:
        scene = _Scene.draw(rng, size, end - start)
        for frame in range(end - start):
            # Four fields of grain, shifted at random for each frame, pass for as many as there are frames.
            field = np.roll(grain[rng.integers(len(grain))], rng.integers(0, size), axis=(0, 1))
            yield (scene.image(frame) + field).clip(0, 255).astype(np.uint8)
        start = end


class _Thing(NamedTuple):
    """An object in front of the background."""

    image: Image.Image
    mask: Image.Image
    places: np.ndarray  # (N, 2): x and y of its upper left corner in each frame, pixels


class _Scene(NamedTuple):
    """What is seen between two cuts, N frames."""

    ground: Image.Image
    camera: np.ndarray  # (N, 3): x and y of the centre of the view on the ground in pixels, and zoom
    things: list[_Thing]
    size: tuple[int, int]

    @classmethod
    def draw(cls, rng: np.random.Generator, size: tuple[int, int], count: int) -> "_Scene":
        height, width = size
        whole = int(height * MARGIN), int(width * MARGIN)
        ground = Image.fromarray(texture(rng, whole))
        room = np.array([(MARGIN - 1.1) / 2 * width, (MARGIN - 1.1) / 2 * height])
        pan = room * _path(rng, count, 2) + 0.3 * rng.standard_normal((count, 2))  # a hand that shakes a little
        camera = np.column_stack([pan + np.array(whole[::-1]) / 2, 1 + 0.1 * _path(rng, count, 1)])
        things = [_draw_thing(rng, size, count) for _ in range(rng.integers(2, 5))]
        return cls(ground, camera, things, size)

    def image(self, frame: int) -> np.ndarray:
        """Float32 (H, W, 3), 0..255."""
        height, width = self.size
        x, y, zoom = self.camera[frame]
        affine = (1 / zoom, 0, x - width / 2 / zoom, 0, 1 / zoom, y - height / 2 / zoom)
        view = self.ground.transform((width, height), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
        for thing in self.things:
            left, top = thing.places[frame].round().astype(int).tolist()
            view.paste(thing.image, (left, top), thing.mask)
        return np.asarray(view, np.float32)


def _draw_thing(rng: np.random.Generator, size: tuple[int, int], count: int) -> _Thing:
    height, width = (int(rng.uniform(0.15, 0.5) * size[0]) for _ in range(2))
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    disc = Image.fromarray(np.where(x**2 + y**2 < 0.9, 255, 0).astype(np.uint8))
    mask = disc.filter(ImageFilter.GaussianBlur(1.5))
    middle = (np.array(size[::-1]) - (width, height)) / 2
    return _Thing(Image.fromarray(texture(rng, (height, width))), mask, middle * (1 + _path(rng, count, 2)))


def texture(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A random image whose amplitudes fall as 1/f, as those of natural scenes do: RGB uint8 (H, W, 3)."""
    height, width = size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((3, height, width))) / frequency ** rng.uniform(1.1, 1.4)
    planes = np.fft.irfft2(spectrum, s=size)
    planes /= planes.std(axis=(1, 2), keepdims=True)
    light, *tints = planes  # colors vary much less than the light does
    color = np.stack([light + 0.3 * tints[0], light, light + 0.3 * tints[1]], axis=-1)
    return (rng.uniform(90, 150, 3) + rng.uniform(30, 50) * color).clip(0, 255).astype(np.uint8)


def _path(rng: np.random.Generator, count: int, dimensions: int) -> np.ndarray:
    """A smooth wandering line within -1..1, (count, dimensions): sums of a few slow waves."""
    time = np.linspace(0, 1, count)[:, None, None]
    cycles, phase = rng.uniform(0.2, 2.0, (3, dimensions)), rng.uniform(0, 1, (3, dimensions))
    return np.sin(2 * np.pi * (cycles * time + phase)).mean(axis=1)


def draw_audio(rng: np.random.Generator, seconds: float | Fraction) -> np.ndarray:
    """A voice that speaks in syllables, over pink noise: float32 (2, samples), -1..1."""
    count = round(AUDIO_RATE * seconds)
    spectrum = np.fft.rfft(rng.standard_normal((2, count))) / np.sqrt(np.arange(1, count // 2 + 2))
    noise = np.fft.irfft(spectrum, n=count)
    voice = _voice(rng, count)
    balance = rng.uniform(0.6, 1, (2, 1))
    return (0.03 * noise / noise.std() + 0.15 * balance * voice / voice.std()).clip(-1, 1).astype(np.float32)


def _voice(rng: np.random.Generator, count: int) -> np.ndarray:
    """The harmonics of a wandering pitch, each as loud as the formants of its syllable make it: (samples,)."""
    time = np.arange(count) / AUDIO_RATE
    syllable = time * rng.uniform(3, 5)  # which one, and how far in it
    which, within = syllable.astype(int), syllable % 1
    formants = rng.uniform((250, 800, 2200), (900, 2200, 3200), (which[-1] + 1, 3))[which].T  # Hz, (3, samples)
    spoken = rng.random(which[-1] + 1) < 0.8  # one of five is a pause
    spoken[0] = True
    loud = spoken[which] * np.sin(np.pi * within) ** 2
    pitch = rng.uniform(90, 220) * 2 ** (0.3 * _path(rng, count, 1)[:, 0])  # Hz
    phase = 2 * np.pi * np.cumsum(pitch) / AUDIO_RATE
    voice = np.zeros(count)
    for harmonic in range(1, 26):
        strength = np.exp(-(((harmonic * pitch - formants) / 150) ** 2)).sum(axis=0) + 0.02
        voice += strength * np.sin(harmonic * phase)
    return loud * voice


def encode(path: Path, frames: Iterator[np.ndarray], size: tuple[int, int], rate: Fraction, audio: np.ndarray):
    """Write frames and audio (2, samples) as MP4, the audio of each second after its frames."""
    with av.open(str(path), "w") as container:
        # No macroblock tree: it gives varying results under AVX-512.
        options = {"preset": "medium", "crf": "23", "g": "250", "mbtree": "0"}
        video = container.add_stream("libx264", rate=rate, options=options)
        video.height, video.width = size
        video.pix_fmt = "yuv420p"
        video.thread_count = 1  # clips are made in parallel
        track = container.add_stream("aac", rate=AUDIO_RATE, layout="stereo")
        track.bit_rate = 128_000
        done = 0
        for number, frame in enumerate(frames, 1):
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame)))
            due = round(number / rate * AUDIO_RATE)
            if due - done >= AUDIO_RATE or due >= audio.shape[1]:
                container.mux(track.encode(_audio_frame(audio[:, done:due], done)))
                done = due
        for stream in (video, track):
            container.mux(stream.encode(None))


def _audio_frame(samples: np.ndarray, first: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, first, Fraction(1, AUDIO_RATE)
    return frame
