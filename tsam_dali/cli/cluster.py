"""The arguments of tools that process all clips: local processes, shards of a job array, or a Dask cluster."""

import argparse
import os
from collections.abc import Iterable
from dataclasses import replace

import joblib

from pipelines.dataset.clips import Dataset
from pipelines.files.shard import Shard
from tsam_dali.cli.common import positive


def add_cluster_arguments(command: argparse.ArgumentParser) -> None:
    """--workers, --shard and --dask."""
    add = command.add_argument
    add(
        "--workers",
        metavar="N",
        type=positive,
        default=joblib.cpu_count(),
        help="files processed at a time (default: one per core)",
    )
    shard = (
        "take part I of N of the clips, I from 0 to N - 1, so that N runs anywhere share the work, for example a Slurm "
        "array with --shard $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT and --array=0-15"
    )
    add("--shard", metavar="I/N", type=_shard, help=shard)
    dask = (
        "address of the scheduler of a running Dask cluster, for example tcp://10.0.0.5:8786; its workers replace the "
        "local processes and need this package and the data under the same paths (extra dask)"
    )
    add("--dask", metavar="ADDRESS", default="", help=dask)


def chosen(clip_ids: Iterable[str], shard: Shard | None) -> list[str]:
    """The clips of this run."""
    return [clip_id for clip_id in clip_ids if shard is None or shard.holds(clip_id)]


def reachable(dataset: Dataset, dask: str) -> Dataset:
    """The data set for workers that may run in another working directory."""
    return replace(dataset, data_dir=os.path.abspath(dataset.data_dir)) if dask else dataset


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
