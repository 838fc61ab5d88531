"""Turn the lists of other projects into TSAM's: training.txt, validation.txt, and data.json that names them.

Formats (--format; recognised where it is clear what a list is):
  kinetics      csv with label,youtube_id,time_start,time_end,split; clips are called {id}_{start:06d}_{end:06d}
  kinetics_uncut  the same, but the videos are whole: youtube_id.mp4
  vggsound      csv of youtube_id,start,label,train or test: ten seconds each; test is for validation
  audioset      csv of YTID, start, end, "labels": several for each piece, named by class_labels_indices.csv
                beside it or as --classes; data.json then has the task labels, which keep AudioSet's numbers
  activitynet   json with a database of videos, v_ID.mp4 or ID.mp4, and their segments
  charades      csv whose column actions holds `c092 11.90 21.20;...`; the task is labels, too, with the names of
                Charades_v1_classes.txt beside it or as --classes; actions at the same times are one piece
  something_v1  csv of id;label
  something_v2  json of {id, template}; the brackets of a template are dropped
  ucf101        Class/v_x.avi 1: a list beside classInd.txt, or the folder of the lists (--fold)
  hmdb51        the folder of <class>_test_split1.txt (--fold)
  paths         path label, as in mmaction2 and SlowFast; the ids are the paths without their video endings; with
                --classes the labels may be names; a header line is skipped
  tsm           path n_frames label, as in TSM; with --frames, or videos of the same names
  folder        a folder <class>/*.mp4, or train/<class>/*.mp4 and val/<class>/*.mp4

Lists of uncut Kinetics, VGGSound, AudioSet, ActivityNet and Charades give pieces of files: ID START END label, with
times in seconds. In these, Kinetics, Something-Something, UCF101 and HMDB51 a file has a name of its own: it may lie in
any folder below --videos, and its id includes the folders. The paths of the other formats are relative to --videos
(--strip cuts what comes before).
Without a validation list, one is drawn from the training clips, in proportion from each class, with all pieces of a
file in one list. With --folds all clips for training and validation are split anew, into lists and a data.json for each
fold; python -m tsam_dali.runs.folds trains them. A test split is left out. Clips without a file are left out and named
in missing.txt. Classes without a training clip are left out, as labels must be 0, 1, 2, ... without gaps. A clip with
two classes is an error, but where the task is labels. One in both lists is a warning, as some published lists have such
clips. The clips themselves are not opened. After an error nothing is written and the exit status is 2; it is 1 if files
were left out whose names no list can hold, such as those with a line feed.
"""

import argparse
import json
import logging
import re
import sys
from collections import Counter
from pathlib import Path

from pipelines.annotations.build import Lists, build_lists
from pipelines.annotations.classes import read_classes
from pipelines.annotations.formats import FORMATS, Format, Source, recognise
from pipelines.annotations.media import MediaFolder
from pipelines.annotations.paths import PathOptions
from pipelines.annotations.rows import Listing
from pipelines.annotations.split import TSAM_SPLITS, Folds
from pipelines.annotations.write import DATA_FILE, MISSING_FILE, write_lists
from pipelines.files.errors import ListError
from pipelines.files.words import counted, first_of
from tsam_dali.cli.common import friendly_errors, parser

log = logging.getLogger(__name__)

MOST_PROBLEMS = 200  # lines; more hide the first

EXAMPLES = """examples:
  python tools/make_lists.py train.csv validate.csv --videos data/k400/videos --out data/k400
  python tools/make_lists.py something-something-v1-train.csv something-something-v1-validation.csv \\
      --frames data/sth_v1/frames --out data/sth_v1
  python tools/make_lists.py train.json validation.json --classes labels.json \\
      --videos data/sth_v2/videos --out data/sth_v2
  python tools/make_lists.py vggsound.csv --videos data/vggsound/videos --out data/vggsound
  python tools/make_lists.py balanced_train_segments.csv eval_segments.csv \\
      --videos data/audioset/videos --out data/audioset
  python tools/make_lists.py activity_net.v1-3.min.json --videos data/anet/videos --out data/anet
  python tools/make_lists.py Charades_v1_train.csv Charades_v1_test.csv \\
      --videos data/charades/videos --out data/charades
  python tools/make_lists.py ucfTrainTestlist --fold 1 --videos data/UCF-101 --out data/ucf101
  python tools/make_lists.py testTrainMulti_7030_splits --fold 1 --videos data/hmdb51/videos --out data/hmdb51
  python tools/make_lists.py train.csv val.csv --format paths --delimiter , --strip /datasets/k400 \\
      --videos data/k400/videos --out data/k400
  python tools/make_lists.py train_videofolder.txt val_videofolder.txt --format tsm --classes category.txt \\
      --videos data/my/videos --out data/my
  python tools/make_lists.py data/my/videos --fraction 0.1 --seed 3 --out data/my
  python tools/make_lists.py data/my/videos --folds 5 --group 'speaker[0-9]+' --out data/my
"""


@friendly_errors
def main() -> None:
    command = parser("python tools/make_lists.py", __doc__)
    command.epilog = EXAMPLES
    _add_arguments(command)
    args = command.parse_args()
    if not 0 < args.fraction <= 0.5:
        command.error(f"--fraction: expected a share above 0 and at most 0.5, got {args.fraction:g}")
    if args.seed < 0:
        command.error(f"--seed: expected a whole number from 0, got {args.seed}")
    if args.group and not args.folds:
        command.error("--group is for --folds, which is missing")
    try:
        re.compile(args.group)
    except re.error as error:
        command.error(f"--group: {args.group!r} is no regular expression: {error}")
    try:
        lists, media = _make(args)
    except ListError as error:
        raise ListError(first_of(error.problems, MOST_PROBLEMS)) from error
    write_lists(args.out, lists, media, name=args.name or args.out.absolute().name, force=args.force)
    _report(args, lists, media)
    if lists.unusable:
        shown = first_of(lists.unusable, MOST_PROBLEMS)
        clips = counted(len(lists.unusable), "clip")
        print(f"left out, as no list can hold their names: {clips}", *shown, sep="\n", file=sys.stderr)
        sys.exit(1)


def _add_arguments(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("source", metavar="SOURCE", type=Path, help="list of the training clips, or list or folder of all clips")
    add("validation", metavar="VALIDATION", type=Path, nargs="?", help="list or folder of the validation clips")
    out = "folder for the lists: data_dir of data.json, which names it as it is written here"
    add("--out", metavar="DIR", type=Path, required=True, help=out)
    where = command.add_mutually_exclusive_group()
    videos = "folder of the videos (default: SOURCE if it is a folder of clips, else videos in --out)"
    where.add_argument("--videos", metavar="DIR", type=Path, help=videos)
    frames = "folder of the clips as folders of images, in place of videos"
    where.add_argument("--frames", metavar="DIR", type=Path, help=frames)
    add("--format", choices=FORMATS, help="what SOURCE is (default: recognised)")
    classes = (
        "names of the classes in the order of their labels, one a line or as json; the spelling in lists and folders "
        "may differ in _ ' \" ( ) and capitals (default: the alphabet, the numbers, or UCF101's classInd.txt)"
    )
    add("--classes", metavar="FILE", type=Path, help=classes)
    fold = "which of the splits of UCF101 or HMDB51 (default: %(default)s)"
    add("--fold", metavar="N", type=int, default=1, help=fold)
    delimiter = (
        "separator of the fields in paths and tsm (default: , or ; if it stands before the first line's label, "
        "else white space)"
    )
    add("--delimiter", metavar="TEXT", default="", help=delimiter)
    first = "number of the first class in paths and tsm (default: %(default)s)"
    add("--first_label", metavar="N", type=int, default=0, help=first)
    strip = "leading folder to cut from the paths of paths and tsm; that of the clips is always cut (default: none)"
    add("--strip", metavar="DIR", default="", help=strip)
    fraction = (
        "share of the clips to draw for validation where there is no validation list; above 0, at most 0.5 "
        "(default: %(default)s)"
    )
    add("--fraction", type=float, default=0.2, help=fraction)
    folds = (
        "split all clips into N folds, from 2, in place of training and validation clips: each fold validates on its "
        "own clips and trains on the others, with lists in DIR/fold_1, DIR/fold_2, ..."
    )
    add("--folds", metavar="N", type=_folds, help=folds)
    group = (
        "what the clips of a person or recording share: a regular expression that is looked for in each id; clips with "
        "the same find, or the same find in its first brackets, are in one fold (default: pieces of a file share it)"
    )
    add("--group", metavar="REGEX", default="", help=group)
    seed = "seed of a draw: the same seed and clips give the same lists (default: %(default)s)"
    add("--seed", type=int, default=0, help=seed)
    keep = "also list clips without a file, for example before they are copied (ids as in SOURCE)"
    add("--keep_missing", action="store_true", help=keep)
    add("--name", help="name of the data set in data.json (default: that of the folder --out)")
    add("--force", action="store_true", help="replace existing lists and data.json")
    add("--json", action="store_true", help="print the numbers of classes and clips as JSON")


def _folds(text: str) -> int:
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError(f"expected a whole number from 2, got {text}")
    return number


def _make(args: argparse.Namespace) -> tuple[Lists, MediaFolder]:
    classes = read_classes(args.classes) if args.classes else ()
    name = args.format or recognise(args.source, classes)
    own = args.source if name == "folder" else args.out / "videos"
    media = MediaFolder(args.frames or args.videos or own, frames=args.frames is not None)
    options = PathOptions(
        root=media.root,
        delimiter=args.delimiter,
        strip=args.strip,
        first_label=args.first_label,
        class_names=classes,
    )
    listing = _read(args, FORMATS[name], media, options)
    lists = build_lists(
        listing,
        media,
        by_name=FORMATS[name].by_name,
        numbered=FORMATS[name].numbered and all(row.label.isdecimal() for row in listing.rows),
        several=FORMATS[name].several,
        classes=classes,
        keep_missing=args.keep_missing,
        fraction=args.fraction,
        seed=args.seed,
        folds=Folds(args.folds, args.group) if args.folds else None,
    )
    return lists, media


def _read(args: argparse.Namespace, form: Format, media: MediaFolder, options: PathOptions) -> Listing:
    """What SOURCE and VALIDATION say, with the problems of both."""
    parts, problems = [], []
    for path in filter(None, (args.source, args.validation)):
        try:
            parts.append(form.read(Source(path, media, options, args.fold, args.classes)))
        except ListError as error:
            problems += error.problems
    listing = Listing(problems=problems)
    for part, split in zip(parts, TSAM_SPLITS, strict=False):
        if args.validation and len({row.split for row in part.rows}) > 1:
            listing.problems.append("VALIDATION has no place beside a list that holds several splits itself")
        # Two files say more than a column: a test set can serve for validation.
        listing.rows += [row._replace(split=split) if args.validation else row for row in part.rows]
        listing.problems += part.problems
        listing.classes = part.classes
    return listing


def _report(args: argparse.Namespace, lists: Lists, media: MediaFolder) -> None:
    if args.json:
        files = {str(args.out / folder / DATA_FILE): clips for folder, clips in lists.clips.items()}
        counts = {file: {split: len(members) for split, members in clips.items()} for file, clips in files.items()}
        shown = {"classes": len(lists.classes), "clips": counts, "missing": len(lists.missing)}
        print(json.dumps(shown | {"warnings": lists.warnings}, indent=4))
        return
    for warning in lists.warnings:
        log.warning("%s", warning)
    if media.in_capitals:
        have = counted(len(media.in_capitals), "video has", "videos have")
        message = "%s an ending in capitals, which is not recognised, for example %s: rename them"
        log.warning(message, have, media.in_capitals[0])
    one, many = ("label", "labels") if lists.several else ("class", "classes")
    for folder, clips in lists.clips.items():
        print(f"{args.out / folder / DATA_FILE}: {counted(len(lists.classes), one, many)}")
        for split in TSAM_SPLITS:
            sizes = Counter(dict.fromkeys(range(len(lists.classes)), 0))
            sizes.update(label for clip in clips[split] for label in clip.labels)
            fewest, most = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
            per_class = f"{sizes[fewest]} ({lists.classes[fewest]}) to {sizes[most]} ({lists.classes[most]})"
            if sizes[fewest] == sizes[most]:
                per_class = str(sizes[most])
            print(f"{split}: {counted(len(clips[split]), 'clip')}, {per_class} per {one}")
    if lists.missing:
        done = "kept in the lists" if args.keep_missing else "left out"
        print(f"missing: {counted(len(lists.missing), 'clip')} without a file, {done}; see {args.out / MISSING_FILE}")
    file = args.out / ("fold_*" if args.folds else "") / DATA_FILE
    print(f"next: precompute the audio, then train with --data {file}")


if __name__ == "__main__":
    main()
