"""Running the project's commands as a user does."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node")


def run(*command: object, cwd: Path = ROOT, timeout: float = 240) -> subprocess.CompletedProcess:
    """Run `python ...` to its end; stdout and stderr as text."""
    arguments = [sys.executable, *map(str, command)]
    return subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)
