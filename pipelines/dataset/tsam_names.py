"""Names that TSAM's extraction gave to frame folders and .wav files of some ids.

TSAM cut the ending off a video's name with `rstrip(".mp4")`, which takes away every ".", "m", "p" and "4" at the end:
the frames of `abc_000044.mp4` lie in `abc_0000`. Nothing in such a folder tells which clip it belongs to, and the clips
`abc_00004` and `abc_0000` would have been put into it too. So it is never used as it is: a message says so.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pipelines.files.tool_command import tool_command
from pipelines.files.words import counted


def cut_name(clip_id: str) -> str:
    """The name that TSAM's extraction gave to what belongs to `clip_id`."""
    return clip_id.rstrip(".mp4")


class CutNames(NamedTuple):
    """What lies under cut names."""

    renames: dict[str, str]  # id -> the cut name, which can only be its own
    shared: dict[str, list[str]]  # cut name -> the ids, more than one, that it may belong to


def find_cut_names(folder: Path, ending: str, missing: Iterable[str], clip_ids: Iterable[str]) -> CutNames:
    """Look for the files or folders of ids under their cut names.

    Args:
        folder: dir_frames or dir_audios.
        ending: of the names: "" for frame folders, ".wav" for audio.
        missing: ids that have nothing under their own name.
        clip_ids: all ids of the data set.
    """
    owners = defaultdict(list)
    for clip_id in clip_ids:
        owners[cut_name(clip_id)].append(clip_id)
    renames, shared = {}, {}
    for clip_id in missing:
        name = cut_name(clip_id)
        if not name or name.endswith("/") or not os.path.exists(folder / f"{name}{ending}"):
            continue
        if len(owners[name]) == 1:
            renames[clip_id] = name
        else:
            shared[name] = owners[name]
    return CutNames(renames, shared)


def explain_cut_names(
    folder: Path, ending: str, missing: Iterable[str], clip_ids: Iterable[str]
) -> tuple[list[str], set[str]]:
    """A line of text for each of the two cases, with examples and what to do; and the ids that they speak of."""
    missing = set(missing)
    renames, shared = find_cut_names(folder, ending, missing, clip_ids)
    lines = []
    habit = "TSAM's extraction cut every '.', 'm', 'p' and '4' off the end of their ids"
    if renames:
        clip_id, name = min(renames.items())
        lines.append(
            f"{folder}: nothing is there under the names of {counted(len(renames), 'clip')}, but under shorter ones: "
            f"{habit} ({name}{ending} instead of {clip_id}{ending}); rename them with: "
            f"{tool_command('rename_tsam_folders')} --data D.json"
        )
    if shared:
        name, ids = min(shared.items())
        lines.append(
            f"{folder}: {sum(map(len, shared.values()))} clips share {counted(len(shared), 'name')}, as {habit} "
            f"({', '.join(sorted(ids))}: {name}{ending}); it is not known whose they are: remove them and extract again"
        )
    return lines, renames.keys() | {clip_id for ids in shared.values() for clip_id in ids if clip_id in missing}
