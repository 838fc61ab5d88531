"""Make a small data set in which the order of the frames and the audio each decide half of the class.

A bright square moves left or right over a low or a high tone: four classes. No single frame shows the motion, and
the frames show nothing of the tone: a network that ignores the order of the frames, or the audio, gets about half of
the clips right.

With --task labels the lists hold both cues as labels of their own, and with --task numbers the speed of the square,
from which it moves left or right at random.

With --realistic it makes clips for benchmarks instead, which take as long to decode as clips from the web; their labels
mean nothing. See tools/synthetic/realistic.py.

    OUT/videos/training_0000.mp4 ...    H.264 and AAC; sizes, frame rates, lengths, channels and sample rates differ
    OUT/training.txt, validation.txt    lines `ID label`
    OUT/data.json                       the settings that name all of it
    OUT/made_with.json                  the arguments; a second run with the same ones does nothing
"""

import json
import os
import signal
import sys
from pathlib import Path

import joblib
from tqdm import tqdm

from pipelines.files.atomic import temporary_path
from pipelines.parallel.pool import in_processes
from tsam_dali.cli.common import friendly_errors, parser
from tsam_dali.cli.tools.synthetic import realistic, squares

SPLITS = ("training", "validation")
RECIPE = 1  # raise it when the same arguments begin to give other clips
REALISTIC_CLASSES = ("a", "b", "c", "d")  # without a meaning


class ExampleError(ValueError):
    """OUT or an argument cannot be used."""


def make_clip(folder, seed, split, i, task="classes", seconds=None):
    """Writes clip i of a split to folder; what it shows depends on nothing but the arguments.

    Args:
        task: of clips with a square: numbers have a speed of their own.
        seconds: length of a realistic clip; None: a clip with a square.
    """
    path, number = Path(folder) / f"{clip_id(split, i)}.mp4", (SPLITS.index(split), i)
    if seconds is None:
        speed = squares.speed_of(seed, number) if task == "numbers" else None
        squares.make_clip(path, seed, number, i % len(squares.CLASS_NAMES), speed)
    else:
        realistic.make_clip(path, seed, number, seconds)


def clip_id(split, i):
    return f"{split}_{i:04d}"


def target(task, seed, split, i, num_class):
    """What stands in a list behind the id of a clip."""
    if task == "numbers":
        return str(squares.speed_of(seed, (SPLITS.index(split), i)))
    if task == "labels":
        return ("-", "1", "0", "0,1")[i % num_class]
    return str(i % num_class)


def make_example(out, *, training=320, validation=192, seed=0, workers=None, task="classes", seconds=None):
    """Makes the example data set in the folder `out`.

    All is written into a temporary folder beside `out` and then renamed: `out` is complete or not there.

    Args:
        out: folder to make; data.json names it as it is written here.
        training, validation: number of clips, at least one of each class for training.
        seed: the same seed gives the same files, byte by byte, with the same encoders.
        workers: processes; None for one per core.
        task: classes, labels or numbers.
        seconds: length of realistic clips, to measure with; None: the example.

    Returns:
        True if it was made, False if `out` already holds the example with these arguments.

    Raises:
        ExampleError: `out` holds something else or cannot be made, or a number is too small.
    """
    out = Path(out)
    counts = {"training": training, "validation": validation}
    workers = joblib.cpu_count() if workers is None else workers
    class_names = squares.CLASS_NAMES if seconds is None else REALISTIC_CLASSES
    if training < len(class_names) or validation < 1 or seed < 0 or workers < 1:
        raise ExampleError(
            f"got training {training}, validation {validation}, seed {seed}, workers {workers}; "
            f"expected at least {len(class_names)} (one of each class), 1, 0 and 1"
        )
    if seconds is not None and seconds <= 0:
        raise ExampleError(f"got clips of {seconds:g} seconds; expected more than 0")
    made_with = {"recipe": RECIPE, **counts, "seed": seed}
    if task != "classes":
        made_with["task"] = task
    if seconds is not None:
        made_with |= {"recipe": realistic.RECIPE, "realistic_seconds": seconds}
    if _check_free(out, made_with):
        return False

    with temporary_path(out) as folder:
        try:
            (folder / "videos").mkdir(parents=True)
        except OSError as error:
            raise ExampleError(
                f"cannot make a folder in {out.parent}: {error.strerror}; choose an OUT that you can write to"
            ) from error
        clips = [(split, i) for split, count in counts.items() for i in range(count)]
        jobs = ((folder / "videos", seed, split, i, task, seconds) for split, i in clips)
        for _ in tqdm(in_processes(make_clip, jobs, workers), total=len(clips), desc=f"making {out}", unit="clip"):
            pass
        for split, count in counts.items():
            lines = (f"{clip_id(split, i)} {target(task, seed, split, i, len(class_names))}\n" for i in range(count))
            (folder / f"{split}.txt").write_text("".join(lines))
        _write_json(folder / "data.json", {"dataset": _dataset(out, class_names, task)})
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


def _dataset(out, class_names, task):
    speed = {"name": "speed", "range": [-squares.FASTEST, squares.FASTEST], "unit": "short sides/s"}
    targets = {
        "classes": {"class_names": list(class_names)},
        "labels": {"task": "labels", "class_names": list(squares.LABEL_NAMES)},
        "numbers": {"task": "numbers", "numbers": [speed]},
    }
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
        **targets[task],
    }


def _write_json(path, value):
    path.write_text(json.dumps(value, indent=4) + "\n")


@friendly_errors
def main():
    command = parser("python tools/make_example.py", __doc__)
    command.epilog = (
        "examples:\n  python tools/make_example.py data/example --seed 1\n"
        "  python tools/make_example.py data/realistic --realistic --training 6 --validation 2"
    )
    command.add_argument("out", metavar="OUT", help="folder to make; its parents are made too")
    command.add_argument("--training", type=int, default=320, help="number of training clips (default %(default)s)")
    command.add_argument("--validation", type=int, default=192, help="number of validation clips (default %(default)s)")
    command.add_argument("--seed", type=int, default=0, help="seed of the random clips (default %(default)s)")
    command.add_argument("--workers", type=int, help="number of processes (default: one per core)")
    what = "what the lists hold behind the ids (default %(default)s)"
    command.add_argument("--task", choices=("classes", "labels", "numbers"), default="classes", help=what)
    command.add_argument("--realistic", action="store_true", help="make clips like those from the web, for benchmarks")
    command.add_argument("--seconds", type=float, help="length of realistic clips (default: 10)")
    options = vars(command.parse_args())
    if options.pop("realistic"):
        if options["task"] != "classes":
            command.error("--realistic makes classes without a meaning: leave out --task")
        options["seconds"] = options["seconds"] or realistic.SECONDS
    elif options["seconds"] is not None:
        command.error("--seconds needs --realistic")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the temporary folder is removed
    try:
        made = make_example(**options)
    except (ExampleError, OSError) as error:
        sys.exit(f"make_example: {error}")
    state = "made" if made else "exists already, made with the same arguments: nothing to do"
    print(f"{options['out']} {state}; its settings are in {Path(options['out']) / 'data.json'}")


if __name__ == "__main__":
    main()
