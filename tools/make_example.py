"""Makes a small data set in which the order of the frames and the sound each decide half of the class.

A bright square moves left or right over a low or a high tone: four classes. No single frame betrays the motion, and
the picture betrays nothing of the tone: a network that ignores the order of the frames, or the sound, stays near one
half.

    OUT/videos/training_0000.mp4 ...    H.264 and AAC; sizes, frame rates, lengths, channels and sample rates differ
    OUT/training.txt, validation.txt    lines `ID label`
    OUT/data.json                       the settings that name all of it
    OUT/made_with.json                  the arguments, by which a second run knows that there is nothing to do
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import joblib
import numpy as np
from tqdm import tqdm

CLASS_NAMES = ("left low", "left high", "right low", "right high")  # label = 2 * moves_right + high_tone
SPLITS = ("training", "validation")
RECIPE = 1  # raise it when the same arguments begin to give other clips

SIZES = ((96, 128), (128, 96), (112, 112), (120, 160), (144, 176), (176, 144))  # (height, width) in pixels
FRAME_RATES = (Fraction(10), Fraction(25, 2), Fraction(15), Fraction(25), Fraction(30))  # frames per second
SAMPLE_RATES = (16000, 22050, 44100, 48000)  # Hz
TONES = (300.0, 1800.0)  # Hz; low, high


class ExampleError(ValueError):
    """OUT or an argument cannot be used."""


def draw_frames(rng, moves_right):
    """Draws the picture of a clip -> (uint8 array (N, H, W, 3) in RGB, frames per second as a Fraction).

    The square travels along a stretch that lies inside the picture, from its left end to its right end or back. The
    places that it passes are the same for both directions, so nothing but their order betrays the motion.
    """
    height, width = SIZES[rng.integers(len(SIZES))]
    rate = FRAME_RATES[rng.integers(len(FRAME_RATES))]
    n = round(rng.uniform(1.5, 2.5) * rate)

    # Background: a dark colour with a few faint plane waves, the same in all frames of the clip.
    y, x = np.mgrid[:height, :width].astype(np.float32)
    cycles_y, cycles_x, phase = rng.uniform((-4, -4, 0), (4, 4, 1), (4, 3)).T[:, :, None, None]
    waves = np.sin(2 * np.pi * (cycles_y * y / height + cycles_x * x / width + phase))  # (4, H, W)
    ground = rng.uniform(40, 110, 3) + np.einsum("khw,kc->hwc", waves, rng.uniform(-6, 6, (4, 3)))

    # Square: the share of each pixel that it covers, so that it moves smoothly at any speed. Its height in the picture
    # stays near the middle, where most random crops see it.
    side = rng.uniform(0.25, 0.35) * min(height, width)
    top = rng.uniform(0.35, 0.65) * height - side / 2
    travel = min(rng.uniform(0.35, 0.7) * width, width - side)
    start = rng.uniform(0, width - side - travel)
    left = start + travel * np.linspace(0, 1, n)[:: 1 if moves_right else -1]  # (N,)
    rows, columns = _covered(height, top, side), _covered(width, left[:, None], side)  # (H,), (N, W)
    cover = (columns[:, None, :] * rows[:, None])[..., None].astype(np.float32)  # (N, H, W, 1)
    colour = rng.uniform(190, 255, 3)
    frames = ground.astype(np.float32) * (1 - cover) + colour.astype(np.float32) * cover

    frames += rng.uniform(1, 4) * rng.standard_normal(cover.shape, dtype=np.float32)  # grain, new in every frame
    return frames.clip(0, 255).round().astype(np.uint8), rate


def _covered(pixels, start, length):
    """Share of each of the pixels [i, i + 1) that the interval [start, start + length) covers."""
    i = np.arange(pixels)
    return (np.minimum(i + 1, start + length) - np.maximum(i, start)).clip(0, 1)


def draw_sound(rng, high_tone, seconds):
    """Draws the sound of a clip -> (float32 array (channels, samples) in -1..1, samples per second)."""
    rate = SAMPLE_RATES[rng.integers(len(SAMPLE_RATES))]
    channels = rng.integers(1, 3)
    time = np.arange(round(seconds * rate)) / rate
    frequency = TONES[high_tone] * 1.15 ** rng.uniform(-1, 1)
    tone = np.sin(2 * np.pi * (frequency * time + rng.uniform()))
    # Loudness differs from clip to clip, balance between the channels; the phase does not, else a mix to mono could
    # cancel the tone. It is soft: with eps = 1 the log-mel picture then has the range of the frames (0..1), with which
    # it shares the batch statistics of the network. A picture with a much wider range would drown the frames.
    loudness = 10 ** rng.uniform(-2.3, -1.8)
    sound = rng.uniform(0.5, 1, (channels, 1)) * tone + rng.uniform(0.2, 0.5) * rng.standard_normal(
        (channels, time.size)
    )
    return (loudness * sound).clip(-1, 1).astype(np.float32), rate


def encode(path, frames, frame_rate, sound, sample_rate):
    """Writes frames (N, H, W, 3) and sound (channels, samples) as H.264 and AAC into an MP4 file."""
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=frame_rate)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        # For equal bytes in every run: one thread, and no macroblock tree, which gives varying results under AVX-512.
        video.options = {"preset": "veryfast", "crf": "23", "threads": "1", "mbtree": "0", "g": str(round(frame_rate))}
        audio = container.add_stream("aac", rate=sample_rate, layout="mono" if len(sound) == 1 else "stereo")
        audio.options = {"cutoff": str(sample_rate // 2)}  # keeps the whole band: no empty rows in the log-mel picture

        samples = av.AudioFrame.from_ndarray(sound, format="fltp", layout=audio.layout.name)
        samples.sample_rate = sample_rate
        for stream, pieces in (
            (video, (av.VideoFrame.from_ndarray(frame) for frame in frames)),
            (audio, [samples]),
        ):
            for piece in pieces:
                container.mux(stream.encode(piece))
            container.mux(stream.encode(None))


def make_clip(folder, seed, split, i):
    """Writes clip i of a split to folder; what it shows depends on nothing but (seed, split, i)."""
    rng = np.random.default_rng([seed, SPLITS.index(split), i])
    moves_right, high_tone = divmod(i % len(CLASS_NAMES), 2)
    frames, frame_rate = draw_frames(rng, moves_right)
    sound, sample_rate = draw_sound(rng, high_tone, len(frames) / frame_rate)
    encode(Path(folder) / f"{clip_id(split, i)}.mp4", frames, frame_rate, sound, sample_rate)


def clip_id(split, i):
    return f"{split}_{i:04d}"


def make_example(out, *, training=320, validation=96, seed=0, workers=None):
    """Makes the example data set in the folder `out`.

    All is written into a temporary folder beside `out` and then renamed: `out` is complete or not there.

    Args:
        out: folder to make; data.json names it as it is written here.
        training, validation: number of clips, at least one of each class for training.
        seed: the same seed gives the same files, byte by byte, with the same encoders.
        workers: processes; None for one per core.

    Returns:
        True if it was made, False if `out` already holds the example with these arguments.

    Raises:
        ExampleError: `out` holds something else or cannot be made, or a number is too small.
    """
    out = Path(out)
    counts = {"training": training, "validation": validation}
    workers = joblib.cpu_count() if workers is None else workers
    if training < len(CLASS_NAMES) or validation < 1 or seed < 0 or workers < 1:
        raise ExampleError(
            f"got {training} training clips, {validation} validation clips, seed {seed}, {workers} workers; "
            f"expected at least {len(CLASS_NAMES)} (one of each class), 1, 0 and 1"
        )
    made_with = {"recipe": RECIPE, **counts, "seed": seed}
    if _check_free(out, made_with):
        return False

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.")
    except OSError as error:
        raise ExampleError(
            f"cannot make a folder in {out.parent}: {error.strerror}; choose an OUT that you can write to"
        ) from error
    with scratch:
        folder = Path(scratch.name) / "example"  # a folder of ordinary rights: the temporary one is closed to others
        (folder / "videos").mkdir(parents=True)
        clips = [(split, i) for split, count in counts.items() for i in range(count)]
        jobs = (joblib.delayed(make_clip)(folder / "videos", seed, split, i) for split, i in clips)
        done = joblib.Parallel(n_jobs=workers, return_as="generator")(jobs)
        for _ in tqdm(done, total=len(clips), desc=f"making {out}", unit="clip"):
            pass
        for split, count in counts.items():
            lines = (f"{clip_id(split, i)} {i % len(CLASS_NAMES)}\n" for i in range(count))
            (folder / f"{split}.txt").write_text("".join(lines))
        _write_json(folder / "data.json", {"dataset": _dataset(out)})
        _write_json(folder / "made_with.json", made_with)
        os.rename(folder, out)
    return True


def _check_free(out, made_with):
    """False if `out` may be made, True if it is made already."""
    if not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir())):
        return False
    remedy = "choose another OUT, or delete it"
    if not out.is_dir():
        raise ExampleError(f"{out} is not a folder; {remedy}")
    try:
        found = json.loads((out / "made_with.json").read_text())
    except (FileNotFoundError, ValueError) as error:
        raise ExampleError(f"{out} already holds something that is not the example; {remedy}") from error
    if found != made_with:
        raise ExampleError(f"{out} holds an example made with {found}, expected {made_with}; {remedy}")
    expected = [f"videos/{clip_id(split, i)}.mp4" for split in SPLITS for i in range(made_with[split])]
    expected += [f"{split}.txt" for split in SPLITS] + ["data.json"]
    missing = [name for name in expected if not (out / name).is_file()]
    if missing:
        raise ExampleError(f"{out} holds an example without {len(missing)} of its files, first {missing[0]}; {remedy}")
    return True


def _dataset(out):
    return {
        "name": "example",
        "data_dir": str(out),
        "dir_videos": "videos",
        "dir_frames": "frames",
        "dir_audios": "audios",
        "dir_mels": "mels",
        "file_train_list": "training.txt",
        "file_val_list": "validation.txt",
        "frames_tmpl": "{:05d}.jpg",
        "class_names": list(CLASS_NAMES),
    }


def _write_json(path, value):
    path.write_text(json.dumps(value, indent=4) + "\n")


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python tools/make_example.py data/example --seed 1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", metavar="OUT", help="folder to make; its parents are made too")
    parser.add_argument("--training", type=int, default=320, help="number of training clips (default %(default)s)")
    parser.add_argument("--validation", type=int, default=96, help="number of validation clips (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which of many such sets (default %(default)s)")
    parser.add_argument("--workers", type=int, help="number of processes (default: one per core)")
    options = vars(parser.parse_args(arguments))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the temporary folder is removed
    try:
        made = make_example(**options)
    except (ExampleError, OSError) as error:
        sys.exit(f"make_example: {error}")
    state = "made" if made else "is there already, made with the same arguments: nothing to do"
    print(f"{options['out']} {state}; its settings are in {Path(options['out']) / 'data.json'}")


if __name__ == "__main__":
    main()
