"""Classify videos with a trained network; their audio is read from the same files.

examples:
  python -m tsam_dali.predict --checkpoint results/first/checkpoints/balanced_best video.mp4
      the five most probable classes (all of them, if there are fewer) as a line of JSON
  python -m tsam_dali.predict --checkpoint CKPT my_videos/ more.txt --topk 3 --output predictions.csv
      all videos of a folder and its subfolders, and those of a list with one path per line, as a table
  python -m tsam_dali.predict --checkpoint CKPT my_videos/ --output predictions.jsonl --pictures plots/
      also a PNG per file: the frames and spectrograms that the network was given, and a bar chart of its classes
  python -m tsam_dali.predict --checkpoint CKPT long.mp4 --window 10 --stride 5 --output t.jsonl --pictures plots/
      the classes of each window of ten seconds, from its frames and audio, and a PNG of the probabilities over time
  python -m tsam_dali.predict --checkpoint CKPT long.mp4 --start 12.5 --end 22.5
      the classes of a piece, as an evaluation of `long 12.5 22.5 label` in a list gives them
  python -m tsam_dali.predict --checkpoint CKPT my_videos/ --explain maps/
      also a PNG per file: a heat map of the evidence for the first class in frames and spectrograms (Grad-CAM)
  python -m tsam_dali.predict --checkpoint CKPT --live /dev/video0 --fps 4
      a line after every frame while a camera runs; CKPT was trained with shift_temporal.causal=true
  ffmpeg -i rtsp://ADDRESS -f matroska - | python -m tsam_dali.predict --checkpoint CKPT --live -
      the same for a stream that another program reads

Settings and class names are those of the checkpoint. Of a network for labels, each has a probability of its own; one
for numbers gives them with their units, and --topk has no meaning. Unreadable videos are listed at the end; the exit
status is 1 only if no video could be read, or if a PNG could not be drawn.

videos:
  Their names end in .mp4 .m4v .mov .mkv .webm .avi .3gp .3g2 .flv .wmv .asf .ogv .ts .mts .m2ts .mpg .mpeg; other files
  of a folder are counted and skipped. All files are probed before the first prediction, with a progress bar on a
  terminal.

pieces:
  Times are seconds on the clock of the file, as in lists of pieces (docs/data.md); without --end a piece ends with its
  file. A line of a list may be PATH START END. A piece has the frames whose times lie in [start, end), and its audio.

windows:
  A window starts every STRIDE seconds. The last one ends with the video: it starts earlier to fit, or is longer by a
  remainder of less than a tenth of a window. A video that is shorter than a window is one window. A network that was
  trained with model.sampling dense sees the stretch in the middle of each window.

live:
  The network is given the frames shown at (k + 1/2) / FPS seconds, k = 0, 1, ...; the probabilities are the mean over
  the last S of them (model.video_segments), or over all before there are S. FPS should be that of the training: S
  divided by the seconds of a training clip, or with model.sampling dense of a stretch, which is then the default if it
  has a length in seconds. Audio is refreshed at most twice a second from the last S / FPS seconds of
  the source; a camera is silent. Each refresh costs as much as one or two more frames (model.audio_segments) and a
  log-mel of S / FPS seconds. The audio of a file is never used as a whole, so the probabilities differ from those of a
  prediction of the file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from pipelines.files.atomic import fault_of_one
from pipelines.files.words import counted
from tsam_dali.cli.common import (
    add_device_argument,
    check_checkpoint,
    duration,
    friendly_errors,
    importing,
    make_folder,
    named,
    parser,
    positive,
    positive_number,
    printable,
)
from tsam_dali.inference.inputs import find_inputs
from tsam_dali.inference.outputs import FILE, MOMENT, PIECE, Csv, JsonLines, columns_of
from tsam_dali.inference.results import Piece, Unreadable

if TYPE_CHECKING:
    from tsam_dali.inference.predictor import PredictedClip, Predictor
    from tsam_dali.inference.timeline import PredictedTimeline
    from tsam_dali.training.tasks import AnyTask

LONGEST_NAME = 240  # bytes; file systems take 255
WRITERS: dict[str, type[JsonLines] | type[Csv]] = {".jsonl": JsonLines, ".csv": Csv}


@friendly_errors
def main() -> None:
    args = parse_arguments()
    check_checkpoint(args.checkpoint)
    paths = find_inputs(args.inputs, args.start, args.end)
    if (has_pieces := any(isinstance(path, Piece) for path in paths)) and args.window:
        raise ValueError("--window divides whole files: leave out --start, --end and the times in lists")

    # PyTorch and DALI take seconds to import: arguments are checked before.
    with importing():
        from tsam_dali import distributed
        from tsam_dali.inference.predictor import Predictor

    distributed.check_alone()
    predictor = Predictor(args.checkpoint, distributed.start(args.device).device)
    args.label = None if args.explain_name is None else predictor.label_of(args.explain_name)
    if args.live:
        follow_live(predictor, args)
        return
    for folder in filter(None, (args.pictures, args.explain)):
        make_folder(folder)
    unreadable, undrawn, silent = [], [], 0
    found_all: Iterator[PredictedClip | PredictedTimeline | Unreadable] = predictor.predict_all(paths, args.topk)
    if args.window:
        files = [path for path in paths if not isinstance(path, Piece)]
        found_all = predictor.timeline_all(files, args.window, args.stride or args.window / 2, args.topk)
    bar = tqdm(found_all, "predicting", len(paths), unit="video", disable=args.output is None or None)  # None: no tty
    with open_output(args.output, PIECE if args.window or has_pieces else FILE, predictor.task) as output:
        for number, found in enumerate(bar, 1):
            if isinstance(found, Unreadable):
                unreadable.append(found)
                output.write(found)
                continue
            output.write(found[0])
            silent += not found[0].has_audio
            # Numbered, as files of several folders may have the same name.
            try:
                draw(predictor, found, args, f"{number:04d}_{_cut(Path(found[0].path).stem)}.png")
            except Exception as error:  # concerns one video, and its prediction is written
                undrawn.append(f"{found[0].path}: {fault_of_one(error)}")
    has_audio_input = predictor.config.model.audio_segments > 0
    what = "piece" if has_pieces else "video"
    without = f", {silent} of them without audio: treated as silent" if has_audio_input and silent else ""
    print(f"{len(paths) - len(unreadable)} of {counted(len(paths), what)} read{without}", file=sys.stderr)
    for file in unreadable:
        print(f"not read: {printable(file.error)}", file=sys.stderr)
    for problem in undrawn:
        print(f"not drawn: {printable(problem)}", file=sys.stderr)
    if len(unreadable) == len(paths) or undrawn:
        sys.exit(1)


def _cut(name: str) -> str:
    """A file's name, cut so that a number before it and an ending after it still fit."""
    while len(os.fsencode(name)) > LONGEST_NAME:
        name = name[:-1]
    return name


def parse_arguments() -> argparse.Namespace:
    command = parser("python -m tsam_dali.predict", __doc__)
    add = command.add_argument
    add(
        "inputs",
        metavar="FILE|FOLDER|LIST",
        nargs="*",
        help="videos, folders of them, text files with one PATH or PATH START END per line",
    )
    add("--checkpoint", metavar="CKPT", required=True, help="checkpoint of a run, or a folder of weights with a card")
    topk = "most probable classes per video, all of them if there are fewer (default: %(default)s)"
    add("--topk", metavar="K", type=positive, default=5, help=topk)
    output = "file ending in .jsonl (a line per video) or .csv (a row per class); default: JSON lines on the terminal"
    add("--output", metavar="FILE", type=named(*WRITERS), help=output)
    pictures = "folder for a PNG per video: frames, spectrograms and classes; with --window, probabilities over time"
    add("--pictures", metavar="DIR", type=Path, help=pictures)
    add(
        "--explain",
        metavar="DIR",
        type=Path,
        help="folder for a PNG per video: where the evidence for its first class is",
    )
    add("--explain_name", metavar="NAME", help="class, label or number that --explain is about (default: the first)")
    add("--window", metavar="SECONDS", type=positive_number, help="predict windows of this length, see above")
    stride = "from the start of a window to the start of the next (default: half a window)"
    add("--stride", metavar="SECONDS", type=positive_number, help=stride)
    start = "predict the piece of each video from here, in seconds on its clock (default: 0)"
    add("--start", metavar="SECONDS", type=duration("seconds"), default=0.0, help=start)
    add("--end", metavar="SECONDS", type=positive_number, default=inf, help="up to here (default: its end)")
    live = "in place of files: a video, - (a pipe) or a camera, predicted frame by frame as it arrives, see above"
    add("--live", metavar="FILE|-|DEVICE", help=live)
    fps = "frames per second of --live (default: S frames in 10 seconds, or see above)"
    add("--fps", metavar="FPS", type=positive_number, help=fps)
    add_device_argument(command)
    args = command.parse_args()
    if bool(args.inputs) == bool(args.live):
        command.error("expected videos (FILE, FOLDER or LIST), or else --live")
    if args.stride and not args.window:
        command.error("--stride needs --window SECONDS")
    if args.fps and not args.live:
        command.error("--fps needs --live; files are divided with --window and --stride")
    if args.end <= args.start:
        command.error(f"--end {args.end:g} must lie behind --start {args.start:g}")
    cut = args.start > 0 or args.end < inf
    if args.live and (args.window or args.pictures or args.explain or cut):
        command.error("--live writes lines only: leave out --window, --pictures, --explain, --start and --end")
    if args.explain_name is not None and not args.explain:
        command.error("--explain_name needs --explain DIR")
    if args.window and args.explain:
        command.error("--explain explains whole files: leave out --window, or cut the video first")
    return args


@contextlib.contextmanager
def open_output(path: Path | None, columns: tuple[str, ...], task: AnyTask) -> Iterator[JsonLines | Csv]:
    """The writer of the predictions; None: JSON lines on the terminal."""
    columns = columns_of(task, columns)
    if path is None:
        yield JsonLines(sys.stdout, columns, task.plural)
        return
    make_folder(path.parent)
    try:
        file = path.open("w", newline="", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error
    with file:
        yield WRITERS[path.suffix](file, columns, task.plural)


def draw(predictor: Predictor, found: PredictedClip | PredictedTimeline, args: argparse.Namespace, name: str) -> None:
    """Draw the PNGs that were asked for. Imports here: most calls do without matplotlib and captum."""
    from tsam_dali.inference.timeline import PredictedTimeline

    if isinstance(found, PredictedTimeline):
        if args.pictures:
            from tsam_dali.inference.plots import draw_timeline

            draw_timeline(found, predictor.class_names, args.pictures / name, predictor.task)
        return
    if args.pictures:
        from tsam_dali.inference.plots import draw_prediction

        draw_prediction(found, args.pictures / name, predictor.task)
    if args.explain:
        from tsam_dali.inference.plots import draw_explanation

        explanation = predictor.explain(found, args.label)
        if explanation.is_empty:
            what = repr(predictor.class_names[explanation.label])
            print(printable(f"{found.prediction.path}: no evidence for {what}, its map is empty"), file=sys.stderr)
        draw_explanation(found, explanation, predictor.class_names, args.explain / name, predictor.task)


def follow_live(predictor: Predictor, args: argparse.Namespace) -> None:
    """A line after each frame of a stream, until it ends or Ctrl-C."""
    with open_output(args.output, MOMENT, predictor.task) as output, contextlib.suppress(KeyboardInterrupt):
        for moment in predictor.live(args.live, args.fps, args.topk):
            output.write(moment)


if __name__ == "__main__":
    main()
