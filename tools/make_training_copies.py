"""Make training copies of all clips of both lists: small videos from which single frames are fast to decode.

Each copy is H.264 in MP4, upright, of square pixels, with a short side of 256 pixels, both sides multiples of 16, and
with the audio of the original. 10 frames of each second are kept, as TSAM extracts them: those that are, for some whole
j, the first one that is shown j / fps seconds after the first frame, or later; none is kept twice. With --fps 0 or
--profile every_frame, frame i of a copy is frame i of the original. The originals are only read. Every copy is decoded
and compared after it has been written.

The copies lie in data_dir/FOLDER/ID.mp4: train on them with --set dataset.dir_videos=FOLDER; the stored audio of their
originals is used for them. Copies that exist are skipped: run it again after an interruption. Without any option of
the copies, it goes on with those that the copies in FOLDER were made with; options that are named hold for all copies,
and those that were made with other ones are made anew. Videos that cannot be copied are listed at the end with the
reason, and tried again next time; the exit status is then 1.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from tqdm import tqdm

from pipelines.dataset.clips import Dataset
from pipelines.dataset.list_file import listed_ids
from pipelines.dataset.media_files import find_videos
from pipelines.dataset.video_index import index_videos
from pipelines.files.errors import InputError, ListError
from pipelines.files.records import Record, record_writer
from pipelines.files.storage import is_remote, location
from pipelines.files.words import counted
from pipelines.parallel.pool import in_processes
from pipelines.transcode.copy_folder import RECORDS_NAME, Sources, copy_path, make_copy, not_made, options_there
from pipelines.transcode.copy_options import FAST, PROFILES, CopyOptions
from tsam_dali.cli.cluster import add_cluster_arguments, chosen, reachable
from tsam_dali.cli.common import EXAMPLE_DATA, friendly_errors, parser, printable, sigterm_as_interrupt
from tsam_dali.cli.dataclass_options import add_option_arguments, options_of
from tsam_dali.cli.example import ensure_example
from tsam_dali.config import load_config

OPTIONS = [field.name for field in fields(CopyOptions)]


@friendly_errors
def main() -> None:
    sigterm_as_interrupt()
    command = parser("python tools/make_training_copies.py", __doc__)
    command.epilog = "example: python tools/make_training_copies.py --data D.json --profile small --workers 16"
    add = command.add_argument
    add("--data", metavar="FILE", default=EXAMPLE_DATA, help="JSON file of the data set (default: %(default)s)")
    add(
        "--folder",
        help="folder of the copies, relative to data_dir (default: dir_videos and the short side: videos_256)",
    )
    about = "; ".join(f"{name}: {meaning}" for name, (_, meaning) in PROFILES.items())
    add("--profile", choices=list(PROFILES), help=f"{about}; options beside it change it (default: {FAST})")
    add_option_arguments(command, CopyOptions)
    command.set_defaults(**dict.fromkeys(OPTIONS))  # None: not named
    add_cluster_arguments(command)
    add("--force", action="store_true", help="also make copies that exist already")
    args = command.parse_args()
    wishes = [name for name in ("profile", *OPTIONS) if getattr(args, name) is not None]
    options = _options(args)
    dataset = load_config(args.data, args.data).dataset  # the data file says all that is needed here
    ensure_example(dataset)
    dataset = reachable(dataset, args.dask)
    name = args.folder or f"{_name_of_originals(dataset)}_{options.short_side}"
    if is_remote(name):
        raise ValueError("--folder: copies are written into data_dir; name a folder there, and upload them afterwards")
    folder = dataset.root / name
    if not is_remote(dataset.videos):
        _check_apart(name, folder.resolve(), Path(dataset.videos).resolve(), dataset.root.resolve())

    clip_ids = listed_ids(dataset)
    _check_originals(name, folder, dataset, clip_ids)
    there = options_there(folder)
    if not wishes:
        options = _options_there(folder, there, options)
    sources, failures = _originals(dataset, chosen(clip_ids, args.shard), args)
    for others, ids in there.items():
        if others != options and (anew := len(sources.keys() & set(ids))):
            print(f"{folder}: {counted(anew, 'copy', 'copies')} made with {_words(others)}: made anew")
    todo = sources if args.force else not_made(folder, sources, options)
    records: list[Record] = []
    jobs = ((folder, clip_id, source, options) for clip_id, source in todo.items())
    try:
        with record_writer(folder / RECORDS_NAME, args.shard) as write:
            copies = in_processes(make_copy, jobs, args.workers, args.dask)
            for record in tqdm(copies, total=len(todo), desc="training copies", unit="clip"):
                write(record)
                records.append(record)
    except KeyboardInterrupt:
        print(
            f"interrupted after {len(records)} of {counted(len(todo), 'clip')}; run it again to continue",
            file=sys.stderr,
        )
        sys.exit(130)
    failures += [record["reason"] for record in records if record["status"] != "ok"]
    print(_summary(folder, records, len(sources) - len(todo), len(failures)))
    print(f"next: train with --data {args.data} --set dataset.dir_videos={name}")
    if failures:
        print("failed:", *map(printable, failures), sep="\n", file=sys.stderr)
        sys.exit(1)


def _options(args: argparse.Namespace) -> CopyOptions:
    """The options that are named, and the profile's."""
    profile, _ = PROFILES[args.profile or FAST]
    named = {name: value for name in OPTIONS if (value := getattr(args, name)) is not None}
    return options_of(argparse.Namespace(**(asdict(profile) | named)), CopyOptions)


def _options_there(folder: Path, there: Mapping[CopyOptions, Sequence[str]], default: CopyOptions) -> CopyOptions:
    """What the copies in a folder were made with; the default where there are none.

    Raises:
        InputError: not all of them were made with the same options.
    """
    if len(there) > 1:
        sets = [f"{counted(len(ids), 'copy', 'copies')} with {_words(options)}" for options, ids in there.items()]
        remedy = "name the options that all shall have, such as --profile fast"
        raise InputError([f"{folder}: not all copies were made with the same options; {remedy}", *sets])
    options = next(iter(there), default)
    if options != default:
        remedy = "name options, such as --profile fast, to make all copies anew"
        print(f"{folder}: goes on as its copies were made, with {_words(options)}; {remedy}")
    return options


def _words(options: CopyOptions) -> str:
    """Options as they are given to the command."""
    for name, (of_profile, _) in PROFILES.items():
        if of_profile == options:
            return f"--profile {name}"
    values = {name: value for name, value in asdict(options).items() if value is not False}
    return " ".join(f"--{name}" if value is True else f"--{name} {value}" for name, value in values.items())


def _check_apart(name: str, copies: Path, originals: Path, root: Path) -> None:
    """Raise ValueError where the copy of one clip could take the place of another clip's original."""
    if copies == originals:
        raise ValueError(f"--folder {name}: is the folder of the originals; choose another one")
    if copies in originals.parents or (originals in copies.parents and originals != root):
        raise ValueError(f"--folder {name}: lies inside the folder of the originals or around it; choose another one")


def _check_originals(name: str, folder: Path, dataset: Dataset, clip_ids: list[str]) -> None:
    """Raise ListError where a copy would take the place of an original: originals may lie in any folder of data_dir,
    and links may lead there.
    """
    if is_remote(dataset.videos):
        return
    files, _ = find_videos(dataset, clip_ids)
    originals = {_identity(Path(location(dataset.data_dir, file))) for file in files.values()} - {None}
    for clip_id in clip_ids:
        if _identity(copy_path(folder, clip_id)) in originals:
            raise ListError([f"--folder {name}: {copy_path(folder, clip_id)} is an original; choose another folder"])


def _identity(path: Path) -> tuple[int, int] | None:
    """What all names of a file share, links too; None where there is no file."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a name that cannot be one in this locale
        return None
    return status.st_dev, status.st_ino


def _name_of_originals(dataset: Dataset) -> str:
    """What the folder of copies is named after: "videos" where the originals lie in data_dir itself."""
    name = dataset.dir_videos.rstrip("/")
    return name if Path(name).name else "videos"


def _originals(dataset: Dataset, clip_ids: list[str], args: argparse.Namespace) -> tuple[Sources, list[str]]:
    """The video of each clip, and what is wrong with those that cannot be opened."""
    files, failures = find_videos(dataset, clip_ids)
    records = index_videos(dataset, list(files), args.workers, shard=args.shard, dask=args.dask)
    places = {clip_id: location(dataset.data_dir, record["file"]) for clip_id, record in records.items()}
    good: Sources = {clip_id: place for clip_id, place in places.items() if records[clip_id]["status"] == "ok"}
    return good, failures + [record["reason"] for record in records.values() if record["status"] != "ok"]


def _summary(folder: Path, records: list[Record], done_before: int, failed: int) -> str:
    made = [record for record in records if record["status"] == "ok"]
    before, after = sum(record["size"] for record in made), sum(record["bytes"] for record in made)
    share = f" ({after / 1e6:.1f} MB, {after / before:.0%} of the originals)" if made else ""
    return (
        f"{folder}: {counted(len(made), 'copy', 'copies')} made{share}, {done_before} existed already, {failed} failed"
    )


if __name__ == "__main__":
    main()
