"""Check every video of a data set before training, and index what it holds.

For each clip of both lists, index.jsonl in data_dir receives a line: frames, frame rate, size, rotation, codec, pixel
format, whether the rate varies, audio, size and time of the file, and a status: ok, or what is wrong. Training does the
same when it starts; this tool does it earlier, more thoroughly (--decode), for all files (--all), or with other limits.

Each file is read in a child process. One that takes too long or too much memory, or crashes the process, gets the
status timeout, out_of_memory, crashed or failed; each run of this tool tries such files again. Files that are in the
index are skipped, unless they have changed or --decode asks for more. The tool can be interrupted at any moment: run it
again to continue. With --shard the lines go into a part file, index.0-of-4.jsonl, which is read like the index; the
next run without --shard, or the next training, merges it into the index. Exit status: 0 when all files are checked,
even if some are faulty; 2 if the input cannot be used or a clip has no file (the others are indexed first); 130 after
Ctrl-C or SIGTERM.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pipelines.dataset.list_file import listed_ids, read_lists
from pipelines.dataset.media_files import find_videos, video_ids
from pipelines.dataset.video_index import INDEX_NAME, index_videos
from pipelines.decode.nvdec import why_not_nvdec
from pipelines.files.errors import ListError
from pipelines.files.formats import ENDINGS
from pipelines.files.records import Record
from pipelines.files.words import counted, first_of
from pipelines.parallel.sandbox import FAULTS, Limits
from tsam_dali.cli.cluster import add_cluster_arguments, chosen, reachable
from tsam_dali.cli.common import EXAMPLE_DATA, friendly_errors, parser, printable, sigterm_as_interrupt
from tsam_dali.cli.example import ensure_example
from tsam_dali.config import load_config

MOST_SHOWN = 20  # faulty files, and clips without a file
LARGEST_LIMIT = 10**6  # seconds or MB: far beyond any file, and within what the kernel can count


@friendly_errors
def main() -> None:
    sigterm_as_interrupt()
    args = parse_arguments()
    dataset = load_config(args.data, args.data).dataset  # the data file says all that is needed here
    ensure_example(dataset)
    dataset = reachable(dataset, args.dask)
    all_ids = video_ids(dataset) if args.all else listed_ids(dataset)
    if not all_ids:
        raise ListError([f"{dataset.videos}: no video with one of the endings {ENDINGS}"])
    path = dataset.root / INDEX_NAME
    path = args.shard.part(path) if args.shard else path
    _check_writable(path)
    files, missing = find_videos(dataset, chosen(all_ids, args.shard))
    try:
        records = index_videos(
            dataset,
            list(files),
            args.workers,
            checked="decoded" if args.decode else "demuxed",
            clock=not args.all and any(entries.ends for entries in read_lists(dataset).values()),
            limits=Limits(args.timeout, args.memory),
            again=("unreadable", *FAULTS),
            shard=args.shard,
            dask=args.dask,
            required=True,
        )
    except KeyboardInterrupt:
        print("interrupted; what was found is kept: run it again to continue", file=sys.stderr)
        sys.exit(130)
    if args.json:
        print(json.dumps(_summary(path, records.values(), missing), indent=4))
    else:
        _report(path, records.values())
        if not missing:
            print(f"next: train with --data {args.data}")
    if missing:
        raise ListError(first_of(missing, MOST_SHOWN))


def parse_arguments() -> argparse.Namespace:
    command = parser("python tools/index_videos.py", __doc__)
    command.epilog = "example: python tools/index_videos.py --data D.json --decode --workers 16"
    add = command.add_argument
    add("--data", metavar="FILE", default=EXAMPLE_DATA, help="JSON file of the data set (default: %(default)s)")
    add("--all", action="store_true", help="every video in dir_videos, not only those in the lists")
    decode = (
        "decode all frames strictly, which takes far longer but finds damage that the packets do not show, and "
        "confirms the number of frames; audio is not decoded"
    )
    add("--decode", action="store_true", help=decode)
    add("--json", action="store_true", help="print numbers and faulty files as JSON")
    add_cluster_arguments(command)
    limits = Limits()
    seconds = "time for one file in seconds; raise it for long videos with --decode (default: %(default)g)"
    add("--timeout", metavar="SECONDS", type=float, default=limits.seconds, help=seconds)
    memory = "memory for one file in MB of address space, in addition to the program's own (default: %(default)d)"
    add("--memory", metavar="MB", type=int, default=limits.megabytes, help=memory)
    args = command.parse_args()
    for name in ("timeout", "memory"):
        if not 0 < getattr(args, name) <= LARGEST_LIMIT:
            expected = f"expected more than 0 and at most {LARGEST_LIMIT:g}"
            command.error(f"--{name}: {expected}, got {getattr(args, name):g}")
    return args


def _check_writable(path: Path) -> None:
    try:
        path.open("ab").close()
    except OSError as error:
        raise ListError([f"{path}: cannot be written ({error.strerror}); the index is kept beside the data"]) from error


def _summary(path: Path, records: Collection[Record], missing: list[str]) -> dict[str, Any]:
    """What a script may want to know."""
    faulty = [record for record in records if record["status"] != "ok"]
    return {
        "index": str(path),
        "clips": len(records),
        "statuses": Counter(record["status"] for record in records),
        "not_for_nvdec": Counter(filter(None, (why_not_nvdec(r) for r in records if r["status"] == "ok"))),
        "faulty": [{key: record[key] for key in ("id", "status", "reason")} for record in faulty],
        "missing": missing,
    }


def _report(path: Path, records: Collection[Record]) -> None:
    table = Counter((record["status"], record.get("codec", "")) for record in records)
    print(f"{'status':<15}{'codec':<15}{'clips':>9}")
    for (status, codec), count in sorted(table.items(), key=lambda row: (row[0][0] != "ok", -row[1])):
        print(f"{status:<15}{codec:<15}{count:>9}")
    usable = [record for record in records if record["status"] == "ok"]
    reasons = Counter(map(why_not_nvdec, usable))
    print(f"{reasons.pop('', 0)} of {counted(len(usable), 'clip')} belong on NVDEC by their format (docs/gpu.md)")
    for why, count in reasons.most_common():
        print(f"  not for NVDEC: {why}: {counted(count, 'clip')}")
    faulty = [record for record in records if record["status"] != "ok"]
    if faulty:
        print(f"{counted(len(faulty), 'faulty file')}:")
        for line in first_of((f"{record['status']}: {record['reason']}" for record in faulty), MOST_SHOWN):
            print(printable(f"  {line}"))
    print(f"all {counted(len(records), 'record')}, with reasons: {path}")


if __name__ == "__main__":
    main()
