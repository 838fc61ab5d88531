"""The wheel, without the checkout: built from the source archive, installed into an environment of its own, tried."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.helpers.checkpoints import checkpoint
from tests.helpers.media import write_video
from tests.helpers.processes import ROOT

VERSION = "7.8.9"


pytestmark = pytest.mark.ci


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """What `python -m build` makes of a clone with a tag: the archive, and the wheel from that, which knows no tag."""
    clone, made = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("made")
    git = ("git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-C", clone)
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, f"--work-tree={ROOT}", "add", "-A"], check=True)  # with what is not committed yet
    for words in (("commit", "-qm", "all"), ("tag", f"v{VERSION}"), ("reset", "-q", "--hard")):
        subprocess.run([*git, *words], check=True)
    built = subprocess.run([sys.executable, "-m", "build", "-o", made, clone], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    assert len([*made.glob("*.tar.gz")]) == 1
    return made / f"tsam_dali-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel, which finds what that needs where this one has it."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", vars=paths))
    there = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "there.pth").write_text("".join(f"{path}\n" for path in there))
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python")
    subprocess.run([*pip, "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    assert {path.name for path in packages.iterdir()} == {
        *("pipelines", "tsam_dali", f"tsam_dali-{VERSION}.dist-info", "there.pth")  # no package with the name tools
    }
    return folder


def test_all_files_of_the_packages_are_in_the_wheel(wheel):
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-s", "pipelines", "tsam_dali"], capture_output=True, text=True
    )
    modes = {line.split("\t")[1]: line.split()[0] for line in listed.stdout.splitlines()}
    files = {name for name, mode in modes.items() if mode != "120000"}  # of the two links what they point to:
    files |= {f"tsam_dali/config/ready_made/{path.name}" for path in (ROOT / "config").glob("*.json")}
    files |= {f"tsam_dali/cli/tools/{path.relative_to(ROOT / 'tools')}" for path in (ROOT / "tools").rglob("*.py")}
    with zipfile.ZipFile(wheel) as archive:
        assert files - set(archive.namelist()) == set()


ONE_AFTER_ANOTHER = """
import json, sys
from pipelines.files.tool_command import tool_command
from tsam_dali.cli.program import main
print(tool_command("precompute_audio"))
for words in json.loads(sys.argv[1]):
    sys.argv, code = ["tsam", *words], 0
    print("next command")
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    print("ends with", code, flush=True)
"""
"""Commands in one process: each would import torch anew."""


@pytest.mark.timeout(600)  # with seconds to spare on a busy machine
def test_the_wheel_works_without_the_checkout(clean, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)

    def started(program: str, *words: str) -> subprocess.CompletedProcess:
        done = subprocess.run([clean / "bin" / program, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    assert started("tsam", "--version").stdout == f"tsam {VERSION}\n"
    assert "predict" in started("tsam", "--help").stdout
    for name in ("one", "two"):
        (tmp_path / "videos" / name).mkdir(parents=True)
        for number in range(2):
            write_video(tmp_path / "videos" / name / f"{number}.mp4", 12, audio=True)
    listed = started("tsam", "lists", "videos", "--fraction", "0.5", "--out", "data")
    assert "training: 2 clips" in listed.stdout
    files = ("--data", "config/kinetics400_data.json", "--config", "config/kinetics400_config.json")  # the package's
    commands = [
        ("doctor", "--json"),
        ("index", "--data", "data/data.json"),
        ("train", *files),
        ("example", "made", "--training", "4", "--validation", "1"),
        ("predict", "--checkpoint", str(checkpoint(tmp_path / "network")), "videos"),
    ]
    done = started("python", "-c", ONE_AFTER_ANOTHER, json.dumps(commands))
    named, *parts = done.stdout.split("next command\n")
    said, codes = zip(*(part.rsplit("ends with ", 1) for part in parts), strict=True)
    assert named == "tsam audio\n"
    assert list(map(int, codes)) == [0, 0, 2, 0, 0], done.stderr
    assert json.loads(said[0])["versions"]["tsam-dali"] == VERSION
    assert "ok" in said[1]
    assert "is not a folder" in done.stderr
    assert (tmp_path / "made" / "data.json").is_file()
    lines = said[4].splitlines()
    assert len(lines) == 4
    assert all(json.loads(line)["classes"] for line in lines)
