"""The example data set: made on first use, so that every command works without arguments."""

import subprocess
import sys
from collections.abc import Sequence

from pipelines.dataset.clips import Dataset

NAME = "example"


def ensure_example(dataset: Dataset) -> None:
    """Make the example data if `dataset` is that of config/example_data.json and its folder does not exist.

    A missing folder elsewhere is a mistake in the path.
    """
    if dataset.name == NAME and dataset.data_dir == NAME and not dataset.root.exists():
        print(f"{dataset.data_dir} does not exist: making the example data set", flush=True)
        _run("make_example", dataset.data_dir)


def ensure_example_audio(dataset: Dataset, arguments: Sequence[str]) -> None:
    """The same for its log-mel store; `arguments` are those of tools/precompute_audio.py."""
    if dataset.name == NAME and dataset.root.exists() and not dataset.mels.exists():
        print(f"{dataset.mels} does not exist: computing the log-mel spectrograms", flush=True)
        _run("precompute_audio", *arguments)


def _run(tool: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", f"tsam_dali.cli.tools.{tool}", *arguments], check=True)
