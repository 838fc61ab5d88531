"""Turn the audio of all clips into log-mel columns, once, so that training only reads and resizes them.

For each clip of both lists, the audio of dir_audios/ID.wav (or of the video itself, where there is no .wav) is stored
in dir_mels/ID.safetensors, less than 0.5 MB per channel for ten seconds. As many channels are stored as
model.audio_segments asks for (both, where it is 0), equal ones once; with 2 after 1, the other channel is added.
The pieces of a file (`ID START END label`) lie in one file, dir_mels/ID.pieces.safetensors; the file is read once.
Different audio in another file of the same clip is stored beside it; training copies use the audio of their originals.
Clips that are done are skipped: run it again after an interruption, or after files or settings have changed. Clips
without audio, or with only a folder of frames, are stored as silent. Clips that failed are listed at the end with the
reason, and tried again next time; the exit status is then 1.
"""

import argparse
import os
import shlex
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipelines.audio.log_mel import AudioImage
from pipelines.audio.mel_file import CHANNELS, fingerprint
from pipelines.audio.mel_pieces import PiecesRecord, pieces_state, pieces_writer, read_pieces, store_pieces
from pipelines.audio.mel_records import Record, read_summary, state, store_audio, summary_writer
from pipelines.audio.piece_samples import Part
from pipelines.dataset.audio_files import audio_file, source_states
from pipelines.dataset.clips import Dataset
from pipelines.dataset.list_file import listed_ids, read_lists
from pipelines.dataset.media_files import find_videos
from pipelines.dataset.tsam_names import explain_cut_names
from pipelines.files.errors import ListError
from pipelines.files.shard import Shard
from pipelines.files.storage import location
from pipelines.files.words import counted
from pipelines.parallel.pool import in_processes
from tsam_dali.cli.cluster import add_cluster_arguments, chosen, reachable
from tsam_dali.cli.common import (
    add_config_arguments,
    config_arguments,
    friendly_errors,
    parser,
    printable,
    sigterm_as_interrupt,
)
from tsam_dali.cli.example import ensure_example
from tsam_dali.config import load_config


@friendly_errors
def main() -> None:
    sigterm_as_interrupt()
    command = parser("python tools/precompute_audio.py", __doc__)
    command.epilog = "example: python tools/precompute_audio.py --data D.json --config C.json --workers 16"
    add_config_arguments(command)
    add_cluster_arguments(command)
    command.add_argument("--force", action="store_true", help="also compute what is done already")
    args = command.parse_args()
    config = load_config(args.data, args.config, args.set)
    ensure_example(config.dataset)
    dataset = reachable(config.dataset, args.dask)
    options = config.data_augmentation.audio_image_param
    audio_segments = config.model.audio_segments or CHANNELS

    sources, failures = _sources(dataset, args.shard)
    wholes, parts = _listed(dataset)
    counts: Counter[str] = Counter()
    if (whole := {file: source for file, source in sources.items() if file in wholes}) or not parts:
        known = read_summary(dataset.mels)
        todo = whole if args.force else _not_done(dataset, whole, options, known, audio_segments)
        jobs = (
            (dataset.mels, dataset.data_dir, clip_id, source, options, known.get(clip_id, ()), audio_segments)
            for clip_id, source in todo.items()
        )
        failures += _store(store_audio, jobs, len(todo), summary_writer(dataset.mels, args.shard), args, counts)
        print(
            f"{dataset.mels}: {counted(counts['ok'], 'clip')} stored, {counts['silent']} stored as silent, "
            f"{counted(len(whole) - len(todo), 'was', 'were')} done already, {len(failures)} failed"
        )
    if cut := {file: source for file, source in sources.items() if file in parts}:
        stored, counts = read_pieces(dataset.mels), Counter()
        waiting = _cut_anew(dataset, cut, parts, options, {} if args.force else stored, audio_segments)
        pieces = (
            (dataset.mels, file, source, options, audio_segments, waiting[file])
            for file, source in cut.items()
            if file in waiting
        )
        failures += _store(store_pieces, pieces, len(waiting), pieces_writer(dataset.mels, args.shard), args, counts)
        print(
            f"{dataset.mels}: pieces of {counted(counts['ok'], 'file')} stored, "
            f"{counted(len(cut) - len(waiting), 'was', 'were')} done already, {counts['failed']} failed"
        )
    print(f"next: train with {shlex.join(config_arguments(args))}")
    if failures:
        print("failed:", *map(printable, failures), sep="\n", file=sys.stderr)
        sys.exit(1)


def _store(
    store: Callable[..., Any],
    jobs: Iterable[tuple[Any, ...]],
    count: int,
    writer: AbstractContextManager[Callable[[Any], None]],
    args: argparse.Namespace,
    counts: Counter[str],
) -> list[str]:
    """Store the audio of `count` files and write what is known of each; the failures."""
    failures = []
    try:
        with writer as write:
            records = in_processes(store, jobs, args.workers, args.dask)
            for record in tqdm(records, total=count, desc="log-mel columns", unit="clip"):
                write(record)
                counts[record.status] += 1
                if record.status == "failed":
                    failures.append(f"{record.id}: {record.reason}")
    except KeyboardInterrupt:
        done = f"{counts.total()} of {counted(count, 'clip')}"
        print(f"interrupted after {done}; run it again to continue", file=sys.stderr)
        sys.exit(130)
    return failures


def _listed(dataset: Dataset) -> tuple[set[str], dict[str, list[Part]]]:
    """The files that are listed as a whole, and the pieces of others."""
    wholes, parts = set(), defaultdict(list)
    for entries in read_lists(dataset).values():
        for entry in entries if entries.ends else ():
            parts[entry.file].append((entry.start, entry.end))
        wholes |= set() if entries.ends else set(entries.ids)
    return wholes, parts


def _cut_anew(
    dataset: Dataset,
    sources: dict[str, str | Path],
    parts: dict[str, list[Part]],
    options: AudioImage,
    known: dict[str, PiecesRecord],
    audio_segments: int,
) -> dict[str, list[Part]]:
    """The pieces of each file that lacks some in the store, those that it has of the same file among them."""
    found, settings, waiting = source_states(dataset, sources), fingerprint(options), {}
    for file in sources:
        record = known.get(file)
        state = pieces_state(record, found[file], dataset.mels, settings, audio_segments, parts[file])
        if state != "ok":
            kept = pieces_state(record, found[file], dataset.mels, settings, 1, ()) == "ok"
            earlier = [(part[0], part[1]) for part in record.parts] if record and kept else []
            waiting[file] = [*parts[file], *earlier]
    return waiting


def _sources(dataset: Dataset, shard: Shard | None) -> tuple[dict[str, str | Path], list[str]]:
    """Where the audio of each clip of this run comes from, and what is wrong with ids that have no file of their
    name.
    """
    sources, failures = {}, []
    clip_ids = chosen(listed_ids(dataset), shard)
    videos, _ = find_videos(dataset, clip_ids)
    for clip_id in clip_ids:
        video = location(dataset.data_dir, videos[clip_id]) if clip_id in videos else None
        try:
            sources[clip_id] = audio_file(dataset, clip_id, video)
        except ListError as error:
            failures += error.problems
    without = [clip_id for clip_id, source in sources.items() if os.path.isdir(source)]
    return sources, failures + explain_cut_names(dataset.audios, ".wav", without, sources)[0]


def _not_done(
    dataset: Dataset,
    sources: dict[str, str | Path],
    options: AudioImage,
    known: dict[str, list[Record]],
    audio_segments: int,
) -> dict[str, str | Path]:
    found, settings = source_states(dataset, sources), fingerprint(options)
    return {
        clip_id: source
        for clip_id, source in sources.items()
        if state(known.get(clip_id, ()), found[clip_id], dataset.mels, settings, audio_segments)[0]
        not in ("ok", "silent")
    }


if __name__ == "__main__":
    main()
