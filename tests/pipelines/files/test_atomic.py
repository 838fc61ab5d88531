"""What a process writes has its name only when it is whole."""

import os
import subprocess
import sys

import pytest

from pipelines.files.atomic import MARK, temporary_path

KILLED = """
import os, pathlib, signal, sys
from pipelines.files.atomic import temporary_path
with temporary_path(pathlib.Path(sys.argv[1])) as temporary:
    temporary.mkdir() if sys.argv[2] == "folder" else None
    (temporary / "one.jpg" if sys.argv[2] == "folder" else temporary).write_text("begun")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def fail_to_write(target):
    with temporary_path(target) as temporary:
        temporary.write_text("half")
        assert temporary.parent == target.parent
        assert temporary.name.startswith(".")
        assert temporary.name.endswith(target.suffix[:16])
        raise ZeroDivisionError


NAMES = ["one.mp4", "one", "two.words", "[a]*.wav", "caf\udce9\n.mp4", "東" * 83 + ".mp4", "a." + "東" * 84]


@pytest.mark.parametrize("name", NAMES)
def test_whole_or_not_at_all(tmp_path, name):
    target = tmp_path / name
    with pytest.raises(ZeroDivisionError):
        fail_to_write(target)
    assert not list(tmp_path.iterdir())
    with temporary_path(target) as temporary:
        temporary.write_text("whole")
        temporary.rename(target)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("name", ["one.mp4", "one", "caf\udce9\n.mp4"])
def test_what_killed_processes_had_begun_is_removed(tmp_path, name, kind):
    """That of living processes and of other machines stays, and so does what others gave hidden names."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / name), kind], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    others = [f"{MARK}{os.getppid()}-0.mp4", f".unfinished.elsewhere-{2**30}-0.mp4", f".one.{2**30}.mp4", ".backup"]
    for other in others:
        (tmp_path / other).touch()
    with temporary_path(tmp_path / "another.mp4"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
