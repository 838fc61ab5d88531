"""Say which classes a trained network sees in videos, whatever made them; their sound is taken from the files.

examples:
  python -m tsam_dali.predict --checkpoint results/first/checkpoints/balanced_best video.mp4
      the five most probable classes as a line of JSON
  python -m tsam_dali.predict --checkpoint CKPT my_videos/ more.txt --topk 3 --output predictions.csv
      all videos of a folder and its sub-folders, and those of a list with one path a line, as a table
  python -m tsam_dali.predict --checkpoint CKPT my_videos/ --output predictions.jsonl --pictures pictures/
      and a PNG for each file: what the network saw, and the bars of its classes

Settings and class names are those of the checkpoint. Videos that cannot be read are listed at the end; the exit status
is 1 only if none could be read.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tsam_dali import distributed
from tsam_dali.command_line import friendly_errors, parser, positive
from tsam_dali.prediction_files import Csv, JsonLines
from tsam_dali.prediction_inputs import find_inputs
from tsam_dali.predictor import Predictor, Unreadable

WRITERS = {".jsonl": JsonLines, ".csv": Csv}


@friendly_errors
def main() -> None:
    args = parse_arguments()
    paths = find_inputs(args.inputs)
    predictor = Predictor(args.checkpoint, distributed.start(args.device).device)
    unreadable = []
    with open_output(args.output) as output:
        for number, found in enumerate(predictor.predict_all(paths, args.topk), 1):
            if isinstance(found, Unreadable):
                unreadable.append(found)
                output.write(found)
                continue
            output.write(found.prediction)
            if args.pictures:
                from tsam_dali.prediction_picture import draw_prediction  # matplotlib, which most calls do without

                # Numbered, as files of several folders may have the same name.
                name = f"{number:04d}_{Path(found.prediction.path).stem}.png"
                draw_prediction(found, args.pictures / name)
    print(f"{len(paths) - len(unreadable)} of {len(paths)} videos read", file=sys.stderr)
    for file in unreadable:
        print(f"not read: {file.error}", file=sys.stderr)
    if len(unreadable) == len(paths):
        sys.exit(1)


def parse_arguments() -> argparse.Namespace:
    command = parser("python -m tsam_dali.predict", __doc__)
    add = command.add_argument
    add("inputs", metavar="FILE|FOLDER|LIST", nargs="+", help="videos, folders of them, text files with a path a line")
    add("--checkpoint", metavar="CKPT", required=True, help="checkpoint of a run, or a folder of weights with a card")
    add("--topk", metavar="K", type=positive, default=5, help="classes per video (default: %(default)s)")
    output = "ends in .jsonl (a line per video) or .csv (a row per class); default: JSON lines on the terminal"
    add("--output", metavar="FILE", type=output_path, help=output)
    add("--pictures", metavar="DIR", type=Path, help="a PNG per video: frames, sound and the bars of its classes")
    add("--device", help="cpu or cuda (default: cuda if there is one)")
    args = command.parse_args()
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
    return args


def output_path(text: str) -> Path:
    """A path whose ending says how it is written, for argparse."""
    if Path(text).suffix not in WRITERS:
        raise argparse.ArgumentTypeError(f"expected a name that ends in {' or '.join(WRITERS)}, got {text}")
    return Path(text)


@contextlib.contextmanager
def open_output(path: Path | None) -> Iterator[JsonLines | Csv]:
    """The writer of the predictions; None: JSON lines on the terminal."""
    if path is None:
        yield JsonLines(sys.stdout)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        yield WRITERS[path.suffix](file)


if __name__ == "__main__":
    main()
