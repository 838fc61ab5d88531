"""Give frame folders and .wav files that TSAM extracted the full names of their clips.

TSAM cut every '.', 'm', 'p' and '4' off the end of an id: the frames of clip abc_000044 lie in dir_frames/abc_0000,
its audio in dir_audios/abc_0000.wav. For each clip of both lists that has nothing under its own name, this renames what
lies under the shorter one, unless another clip of the lists, or another video in dir_videos, would have been cut to the
same name: then it is not known whose it is. Those are listed, for you to remove and extract again; the exit status is
then 1.
"""

import os
import sys
from pathlib import Path

from pipelines.dataset.list_file import listed_ids
from pipelines.dataset.media_files import video_ids
from pipelines.dataset.tsam_names import find_cut_names
from pipelines.files.atomic import fault_of_one
from tsam_dali.cli.common import EXAMPLE_DATA, friendly_errors, parser
from tsam_dali.config import load_config


@friendly_errors
def main() -> None:
    command = parser("python tools/rename_tsam_folders.py", __doc__)
    command.epilog = "example: python tools/rename_tsam_folders.py --data D.json --dry_run"
    add = command.add_argument
    add("--data", metavar="FILE", default=EXAMPLE_DATA, help="JSON file of the data set (default: %(default)s)")
    add("--dry_run", action="store_true", help="only say what would be renamed")
    args = command.parse_args()
    dataset = load_config(args.data, args.data).dataset
    listed = listed_ids(dataset)
    owners = dict.fromkeys([*listed, *video_ids(dataset)])
    shared = False
    for folder, ending in ((dataset.frames, ""), (dataset.audios, ".wav")):
        shared |= rename(folder, ending, listed, list(owners), args.dry_run)
    sys.exit(1 if shared else 0)


def rename(folder: Path, ending: str, listed: list[str], owners: list[str], dry_run: bool) -> bool:
    """Rename what is certain in one folder and name the rest; returns whether there is a rest."""
    missing = [clip_id for clip_id in listed if not os.path.exists(folder / f"{clip_id}{ending}")]
    renames, shared = find_cut_names(folder, ending, missing, owners)
    failed = 0
    for clip_id, name in renames.items():
        try:
            if not dry_run:
                (folder / f"{name}{ending}").rename(folder / f"{clip_id}{ending}")
        except OSError as error:
            print(f"not renamed: {folder / name}{ending} -> {fault_of_one(error)}", file=sys.stderr)
            failed += 1
            continue
        print(f"{folder / name}{ending} -> {clip_id}{ending}")
    for name, ids in shared.items():
        print(f"not renamed: {folder / name}{ending} may belong to any of {', '.join(ids)}", file=sys.stderr)
    print(
        f"{folder}: {len(renames) - failed} {'to rename' if dry_run else 'renamed'}, {failed} that cannot be, "
        f"{len(shared)} that may be of several clips"
    )
    return bool(shared or failed)


if __name__ == "__main__":
    main()
