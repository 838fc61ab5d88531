"""Say which classes a trained network sees in videos, whatever made them; their audio is taken from the files.

examples:
  python -m tsam_dali.predict --checkpoint results/first/checkpoints/balanced_best video.mp4
      the five most probable classes (all of them, if there are no more) as a line of JSON
  python -m tsam_dali.predict --checkpoint CKPT my_videos/ more.txt --topk 3 --output predictions.csv
      all videos of a folder and its sub-folders, and those of a list with one path a line, as a table
  python -m tsam_dali.predict --checkpoint CKPT my_videos/ --output predictions.jsonl --pictures pictures/
      and a PNG for each file: what the network saw, and the bars of its classes
  python -m tsam_dali.predict --checkpoint CKPT long.mp4 --window 10 --stride 5 --output t.jsonl --pictures plots/
      the classes of every ten seconds, each heard with its own audio, and a PNG with their probabilities over time
  python -m tsam_dali.predict --checkpoint CKPT my_videos/ --explain maps/
      and a PNG for each file: where in the frames and in the audio the network found its first class (Grad-CAM)
  python -m tsam_dali.predict --checkpoint CKPT --live /dev/video0 --fps 4
      a line after every frame that is fed, while a camera runs; CKPT was trained with shift_temporal.causal=true
  ffmpeg -i rtsp://ADDRESS -f matroska - | python -m tsam_dali.predict --checkpoint CKPT --live -
      the same for a stream that another program reads

Settings and class names are those of the checkpoint. Videos that cannot be read are listed at the end; the exit status
is 1 only if none could be read, or if a picture could not be drawn.

videos:
  Their names end in .mp4 .m4v .mov .mkv .webm .avi .3gp .3g2 .flv .wmv .asf .ogv .ts .mts .m2ts .mpg .mpeg; other files
  of a folder are counted and passed over. Before the first line all files are looked at, with a bar on a terminal.

windows:
  They begin every STRIDE seconds. The last one ends with the video: it begins earlier than its turn, or takes in a rest
  of less than a tenth of a window. A video that is shorter than a window is one window.

live:
  Fed are the frames shown at (k + 1/2) / FPS seconds, k = 0, 1, ...; the probabilities are the mean over the last S of
  them (model.video_segments), or over all before there are S. FPS should be that of the training: S by the seconds of a
  training clip. A network with audio also hears the last S / FPS seconds of the source's audio; a camera is silent. So
  of a file it never hears the whole audio, as a prediction of the file does, and the probabilities differ: at the start
  little has come, and what follows the last frame that is fed is not heard. At most twice a second the
  audio is heard anew, which costs as much as one or two more images (model.audio_segments) and a log-mel of S / FPS
  seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.files.atomic import fault_of_one
from pipelines.files.words import counted
from tsam_dali.cli.common import (
    add_device_argument,
    check_checkpoint,
    friendly_errors,
    make_folder,
    named,
    parser,
    positive,
    positive_number,
    printable,
)
from tsam_dali.inference.inputs import find_inputs
from tsam_dali.inference.outputs import FILE, MOMENT, TIMELINE, Csv, JsonLines
from tsam_dali.inference.results import Unreadable

if TYPE_CHECKING:
    from tsam_dali.inference.predictor import Predictor, SeenClip
    from tsam_dali.inference.timeline import SeenTimeline

LONGEST_NAME = 240  # bytes; file systems take 255
WRITERS = {".jsonl": JsonLines, ".csv": Csv}


@friendly_errors
def main() -> None:
    args = parse_arguments()
    check_checkpoint(args.checkpoint)
    paths = find_inputs(args.inputs)

    # PyTorch and DALI take seconds: wrong arguments have been told by now.
    from tsam_dali import distributed
    from tsam_dali.inference.predictor import Predictor

    distributed.check_alone()
    predictor = Predictor(args.checkpoint, distributed.start(args.device).device)
    if args.live:
        follow_live(predictor, args)
        return
    for folder in filter(None, (args.pictures, args.explain)):
        make_folder(folder)
    unreadable, undrawn, silent = [], [], 0
    if args.window:
        found_all = predictor.timeline_all(paths, args.window, args.stride, args.topk)
    else:
        found_all = predictor.predict_all(paths, args.topk)
    with open_output(args.output, TIMELINE if args.window else FILE) as output:
        for number, found in enumerate(found_all, 1):
            if isinstance(found, Unreadable):
                unreadable.append(found)
                output.write(found)
                continue
            output.write(found[0])
            silent += not found[0].has_audio
            # Numbered, as files of several folders may have the same name.
            try:
                draw(predictor, found, args, f"{number:04d}_{_cut(Path(found[0].path).stem)}.png")
            except Exception as error:  # it is the fault of one video, and its prediction is written
                undrawn.append(f"{found[0].path}: {fault_of_one(error)}")
    hears = predictor.config.model.audio_segments > 0
    unheard = f", {silent} of them without audio: heard as silence" if hears and silent else ""
    print(f"{len(paths) - len(unreadable)} of {counted(len(paths), 'video')} read{unheard}", file=sys.stderr)
    for file in unreadable:
        print(f"not read: {printable(file.error)}", file=sys.stderr)
    for problem in undrawn:
        print(f"no picture of {printable(problem)}", file=sys.stderr)
    if len(unreadable) == len(paths) or undrawn:
        sys.exit(1)


def _cut(name: str) -> str:
    """As much of a file's name as another name has room for, with a number before and an ending behind it."""
    while len(os.fsencode(name)) > LONGEST_NAME:
        name = name[:-1]
    return name


def parse_arguments() -> argparse.Namespace:
    command = parser("python -m tsam_dali.predict", __doc__)
    add = command.add_argument
    add("inputs", metavar="FILE|FOLDER|LIST", nargs="*", help="videos, folders of them, text files with a path a line")
    add("--checkpoint", metavar="CKPT", required=True, help="checkpoint of a run, or a folder of weights with a card")
    topk = "most probable classes per video; all of them, if there are no more (default: %(default)s)"
    add("--topk", metavar="K", type=positive, default=5, help=topk)
    output = "ends in .jsonl (a line per video) or .csv (a row per class); default: JSON lines on the terminal"
    add("--output", metavar="FILE", type=named(*WRITERS), help=output)
    pictures = "a PNG per video: frames, audio and the bars of its classes; with --window, their course"
    add("--pictures", metavar="DIR", type=Path, help=pictures)
    add("--explain", metavar="DIR", type=Path, help="a PNG per video: what spoke for its first class, and where")
    add("--window", metavar="SECONDS", type=positive_number, help="predict windows of this length, see above")
    stride = "from the start of a window to that of the next (default: half a window)"
    add("--stride", metavar="SECONDS", type=positive_number, help=stride)
    live = "in place of files: a video, - (a pipe) or a camera, predicted frame by frame while it comes, see above"
    add("--live", metavar="FILE|-|DEVICE", help=live)
    fps = "frames per second that --live feeds (default: S frames in 10 seconds)"
    add("--fps", metavar="FPS", type=positive_number, help=fps)
    add_device_argument(command)
    args = command.parse_args()
    if bool(args.inputs) == bool(args.live):
        command.error("expected videos (FILE, FOLDER or LIST), or else --live")
    if args.stride and not args.window:
        command.error("--stride is that of windows: give --window SECONDS, too")
    if args.fps and not args.live:
        command.error("--fps is that of a stream: give --live, too; --window and --stride divide files")
    if args.live and (args.window or args.pictures or args.explain):
        command.error("--live gives lines only, no --window, --pictures or --explain")
    if args.window and args.explain:
        command.error("--explain explains whole files: leave out --window, or cut the video first")
    args.stride = args.stride or (args.window and args.window / 2)
    return args


@contextlib.contextmanager
def open_output(path: Path | None, columns: tuple[str, ...]) -> Iterator[JsonLines | Csv]:
    """The writer of the predictions; None: JSON lines on the terminal."""
    if path is None:
        try:
            yield JsonLines(sys.stdout, columns)
        except BrokenPipeError:  # whoever reads has seen enough, such as `head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
            sys.exit(128 + signal.SIGPIPE)
        return
    make_folder(path.parent)
    try:
        file = path.open("w", newline="", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error
    with file:
        yield WRITERS[path.suffix](file, columns)


def draw(predictor: Predictor, found: SeenClip | SeenTimeline, args: argparse.Namespace, name: str) -> None:
    """The pictures that were asked for. Imported here: most calls do without matplotlib and captum."""
    if args.window:
        if args.pictures:
            from tsam_dali.inference.plots import draw_timeline

            draw_timeline(found, predictor.class_names, args.pictures / name)
        return
    if args.pictures:
        from tsam_dali.inference.plots import draw_prediction

        draw_prediction(found, args.pictures / name)
    if args.explain:
        from tsam_dali.inference.plots import draw_explanation

        explanation = predictor.explain(found)
        if explanation.is_empty:
            label = predictor.class_names[explanation.label]
            said = f"{found.prediction.path}: nothing speaks for {label!r}, its map is empty"
            print(printable(said), file=sys.stderr)
        draw_explanation(found, explanation, predictor.class_names, args.explain / name)


def follow_live(predictor: Predictor, args: argparse.Namespace) -> None:
    """A line after each frame of a stream, until it ends or Ctrl-C."""
    with open_output(args.output, MOMENT) as output, contextlib.suppress(KeyboardInterrupt):
        for moment in predictor.live(args.live, args.fps, args.topk):
            output.write(moment)


if __name__ == "__main__":
    main()
