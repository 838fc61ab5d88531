"""Break each guarded behaviour once, and see its tests fail: a test that never fails guards nothing.

Each mutation is made in a copy of the tree in a temporary folder, where all the tests pass first. Takes minutes; ends
with 1 if a test did not notice.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.mutation_table import MUTATIONS, Mutation
from tests.helpers.processes import ROOT
from tsam_dali.cli.common import parser

COPIED = ("benchmarks", "config", "docs", "pipelines", "tests", "tools", "tsam_dali")
COPIED_FILES = ("README.md", "SECURITY.md", "setup.cfg", "pyproject.toml")
LIMIT_SECONDS = 600  # for a test


def main() -> None:
    command = parser("python -m tests.faults.mutations", __doc__)
    command.add_argument("words", metavar="WORD", nargs="*", help="only mutations whose name holds one of the words")
    words = command.parse_args().words
    chosen = [mutation for mutation in MUTATIONS if not words or any(word in mutation.name for word in words)]
    if not chosen:
        command.error(f"no mutation's name holds {' or '.join(words)}")
    unnoticed = 0
    with tempfile.TemporaryDirectory(prefix="mutations_") as name:
        copy = copied_tree(Path(name))
        code, output = run_tests(copy, *dict.fromkeys(mutation.test for mutation in chosen))
        if code != 0:
            sys.exit(f"{output}\nthe tests must pass before anything is broken")
        for mutation in chosen:
            begin = time.monotonic()
            noticed = is_noticed(mutation, copy)
            unnoticed += not noticed
            said = "noticed" if noticed else "NOT NOTICED"
            print(f"{said}: {mutation.name} ({mutation.test}, {time.monotonic() - begin:.0f} s)", flush=True)
    print(f"{len(chosen) - unnoticed} of {len(chosen)} noticed")
    sys.exit(1 if unnoticed else 0)


def copied_tree(folder: Path) -> Path:
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in COPIED_FILES:
        shutil.copy(ROOT / name, folder)
    return folder


def is_noticed(mutation: Mutation, copy: Path) -> bool:
    """Whether the test fails on the broken copy; afterwards the copy is as before. 1 is pytest's "tests failed"."""
    file = copy / mutation.file
    original = file.read_text()
    file.write_text(broken(mutation, original))
    try:
        code, _ = run_tests(copy, mutation.test)
        return code == 1
    finally:
        file.write_text(original)


def broken(mutation: Mutation, original: str) -> str:
    """The file's text with the mutation; its place must be unmistakable."""
    if (count := original.count(mutation.text)) != 1:
        raise ValueError(f"{mutation.name}: {mutation.text!r} stands {count} times in {mutation.file}, expected once")
    return original.replace(mutation.text, mutation.broken)


def run_tests(copy: Path, *tests: str) -> tuple[int, str]:
    """pytest's exit code and output; the copy's packages come before installed ones. A test that hangs has failed."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-m", "not gpu", "-p", "no:cacheprovider"]
    command += [f"tests/{test}" for test in tests]
    environment = os.environ | {"PYTHONPATH": str(copy)}
    try:
        limit = LIMIT_SECONDS * len(tests)
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return 1, f"not done after {limit} seconds"
    return done.returncode, done.stdout


if __name__ == "__main__":
    main()
