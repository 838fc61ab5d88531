"""benchmarks/gpu.sh: what it needs, what it leaves, and that it says what failed. There is no GPU here: with
DEVICE=cpu its stages run on the CPU, the tests of stage b are collected."""

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.helpers.processes import ROOT

SCRIPT = ROOT / "benchmarks" / "gpu.sh"
DATA_PACKAGES = ["nvidia.dali", "av", "ffmpeg", "imageio_ffmpeg", "librosa", "soundfile", "pydantic", "annotated_types"]
TEST_PACKAGES = ["distributed", "flask", "hypothesis", "imageio_ffmpeg", "moto", "obstore", "onnx"]


def stages(folder: Path, *names: str, missing: list[str], **variables: str) -> SimpleNamespace:
    """Run stages on the CPU where `missing` cannot be imported; what they print, and the folder that they leave."""
    for package in missing:
        path = folder / "missing" / package.replace(".", "/")
        path.mkdir(parents=True)
        (path / "__init__.py").write_text(f"raise ModuleNotFoundError('{package} is not here', name='{package}')\n")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{folder / 'missing'}:{ROOT}",
        "PYTHON": sys.executable,
        "DEVICE": "cpu",
        "OUT": str(folder / "out"),
        **variables,
    }
    done = subprocess.run(["bash", SCRIPT, *names], env=environment, capture_output=True, text=True)
    return SimpleNamespace(returncode=done.returncode, stdout=done.stdout, out=folder / "out")


@pytest.mark.ci
def test_stage_a_needs_nothing_that_reads_data(tmp_path):
    done = stages(tmp_path, "a", missing=DATA_PACKAGES, TORCH_COMPILE_DISABLE="1")
    assert done.returncode == 0, done.stdout
    results = json.loads((done.out / "a.json").read_text())
    assert results["method"]["libnvcuvid"] in (True, False)
    assert results["method"]["shared_memory_gib"] > 0
    figures = results["figures"]
    shifts = [figure for figure in figures if figure["kind"] == "shift"]
    assert len(shifts) == 2 * 5 * 5  # types, layers, ways
    assert {figure["share_of_copy"] for figure in shifts if figure["way"] == "copy"} == {1.0}
    assert all(figure["gb_per_second"] > 0 for figure in shifts)
    steps = {figure["way"]: figure["images_per_second"] for figure in figures if figure["kind"] == "step"}
    assert list(steps) == ["eager", "cudnn.benchmark", "compiled, cudnn.benchmark"]
    assert min(steps.values()) > 0
    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        assert {"out/a.json", "out/a.log"} <= set(archive.getnames())


@pytest.mark.ci
def test_stage_b_needs_no_packages_of_other_tests(tmp_path):
    done = stages(tmp_path, "b", missing=TEST_PACKAGES, PYTEST_ADDOPTS="-p no:hypothesispytest")
    assert done.returncode == 0, done.stdout
    found = (done.out / "b.log").read_text()
    for name in ("test_the_ways_in_agree", "test_on_a_gpu", "test_no_step_waits_for_the_gpu"):
        assert name in found
    assert "h264" in found


def test_stage_b_has_all_tests_for_a_gpu():
    (listed,) = re.findall(r"^TESTS=\((.*?)\)", SCRIPT.read_text(), re.DOTALL | re.MULTILINE)
    mark = re.compile(r"^(@|pytestmark = )pytest\.mark\.gpu$", re.MULTILINE)
    marked = [path for path in (ROOT / "tests").rglob("test_*.py") if mark.search(path.read_text())]
    assert sorted(listed.split()) == sorted(str(path.relative_to(ROOT)) for path in marked)


@pytest.mark.slow
def test_stage_c_loads_and_trains(tmp_path):
    done = stages(tmp_path, "c", missing=[])
    assert done.returncode == 0, done.stdout
    figures = json.loads((done.out / "c.json").read_text())["figures"]
    loaders = [figure for figure in figures if figure["kind"] == "loader"]
    assert [figure["source"] for figure in loaders] == ["training copies", "JPEG frames", "videos as they are"]
    assert all(figure["clips_per_second"] > 0 for figure in loaders)
    (training,) = (figure for figure in figures if figure["kind"] == "training")
    assert 0 <= training["data_wait"] < 1


def test_without_a_gpu_it_says_so(tmp_path):
    limits = [int(line.split(" run ")[1].split()[1]) for line in SCRIPT.read_text().splitlines() if ") run " in line]
    assert len(limits) == 3
    assert sum(limits) + 3 < 300  # five minutes; a stage that does not end gets a second more
    write_programs(tmp_path, {"nvidia-smi": "exit 9"})
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "OUT": str(tmp_path / "out")}
    done = subprocess.run(["bash", SCRIPT], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "skipped: no GPU here (nvidia-smi finds none)\n")
    assert not (tmp_path / "out").exists()
    done = subprocess.run(["bash", SCRIPT, "d"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "unknown stage d: expected a, b or c\n")


def test_stages_that_fail_are_named(tmp_path):
    """With stand-ins for the GPU and for Python."""
    write_programs(tmp_path, {"nvidia-smi": "exit 0", "python": 'echo "$@"; case "$*" in *loading*) exit 3;; esac'})
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "OUT": str(tmp_path / "out"), "PYTHON": "python", "DATA": "a b"}
    done = subprocess.run(["bash", SCRIPT], env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == "failed: c (3)"
    assert "-m pytest -q -m gpu" in (tmp_path / "out" / "b.log").read_text()
    assert "--device cuda" in (tmp_path / "out" / "a.log").read_text()
    assert "--data a b" in (tmp_path / "out" / "c.log").read_text()
    assert (tmp_path / "out.tar.gz").exists()


def write_programs(folder: Path, programs: dict[str, str]) -> None:
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
