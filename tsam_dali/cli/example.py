"""The example data set: made on first use, so that every command works without arguments."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.dataset.clips import Dataset

NAME = "example"
_TOOLS = Path(__file__).resolve().parent.parent.parent / "tools"


def ensure_example(dataset: Dataset) -> None:
    """Make the example data if `dataset` is that of config/example_data.json and its folder does not exist.

    A missing folder elsewhere is a mistake in the path.
    """
    if _is_example(dataset) and dataset.data_dir == NAME and not dataset.root.exists():
        print(f"{dataset.data_dir} does not exist: making the example data set", flush=True)
        _run("make_example.py", dataset.data_dir)


def ensure_example_audio(dataset: Dataset, arguments: Sequence[str]) -> None:
    """The same for its log-mel store; `arguments` are those of tools/precompute_audio.py."""
    if _is_example(dataset) and dataset.root.exists() and not dataset.mels.exists():
        print(f"{dataset.mels} does not exist: computing the log-mel spectrograms", flush=True)
        _run("precompute_audio.py", *arguments)


def _is_example(dataset: Dataset) -> bool:
    return dataset.name == NAME and _TOOLS.is_dir()


def _run(tool: str, *arguments: str) -> None:
    subprocess.run([sys.executable, str(_TOOLS / tool), *arguments], check=True)
