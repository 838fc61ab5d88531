"""What is written from the files of results: up to date, true, and silent about what was not measured."""

import json
import subprocess

import pytest

from benchmarks.documents import backbones_page
from benchmarks.documents.capacity import PAGE, page
from benchmarks.documents.readme_results import README, results_section, with_results
from benchmarks.documents.verdict import VerdictError, pays_after, verdict
from benchmarks.harness.gpu_use import mean_use
from benchmarks.harness.markdown import Results, shown, table
from benchmarks.training.end_to_end_variants import (
    COPIES_OURS,
    DECORD,
    JPEG_OURS,
    NETWORK,
    TSAM,
    VIDEOS_OURS,
    kilobytes_read,
    total,
)
from tests.helpers.processes import ROOT


def way(name, segments=16, prepare=1.0, size=1000.0, files=1.0, rate=10.0, cost=100.0, decoded=50.0):
    """A figure of benchmarks.training.end_to_end."""
    numbers = {"loader_clips_per_second": rate, "loader_cpu_ms_per_clip": cost, "training_clips_per_second": rate}
    return {
        "kind": "way",
        "segments": segments,
        "way": name,
        "missing": None,
        "preparation_cpu_seconds_per_clip": prepare,
        "kilobytes_per_clip": size,
        "files_per_clip": files,
        "kilobytes_read_per_clip": size / 2,
        "decoded_frames_per_clip": decoded,
        **{key: {"median": value, "q1": value, "q3": value} for key, value in (numbers | {"data_wait": 0.5}).items()},
    }


MADE_UP = [
    way(TSAM, prepare=0.6, size=3000, files=101, rate=8, cost=220),
    way(JPEG_OURS, prepare=0.7, size=3000, files=101, rate=70, cost=27),
    way(VIDEOS_OURS, prepare=0.2, rate=11, cost=180, decoded=100),
    way(COPIES_OURS, prepare=3.2, size=900, rate=74, cost=27),
    {"kind": "way", "segments": 16, "way": DECORD, "missing": "not installed"},
    way(NETWORK, rate=40),
]
WAYS = {figure["way"]: figure for figure in MADE_UP}


@pytest.fixture
def made_up(tmp_path) -> Results:
    """A folder of results that holds end_to_end.json alone."""
    hardware = {"cpu": "a CPU", "cores": 2, "gpus": []}
    method = {"num_videos": 6, "repeats": 8, "arch": "resnet10t", "pool": 4}
    content = {"figures": MADE_UP, "hardware": hardware, "method": method, "date": "2026-01-02 03:04:05"}
    (tmp_path / "end_to_end.json").write_text(json.dumps(content))
    return Results(tmp_path)


def test_the_readme_is_up_to_date():
    assert README.read_text() == with_results(README.read_text(), Results()), (
        "python -m benchmarks.documents.readme_results"
    )


def test_the_page_about_capacity_is_up_to_date():
    assert PAGE.read_text() == page(Results()), "python -m benchmarks.documents.capacity"


def test_the_page_about_backbones_is_up_to_date():
    assert backbones_page.PAGE.read_text() == backbones_page.page(Results()), (
        "python -m benchmarks.documents.backbones_page"
    )


def test_the_table_of_backbones(tmp_path):
    seconds = {"median": 1.25, "q1": 1.0, "q3": 2.0}
    numbers = {"shifted_blocks": 4, "million_parameters": 11.38, "gflops": 16.37, "peak_mb": 1234.0}
    figure = {"arch": "resnet18", **numbers, "wall_seconds": seconds, "cpu_seconds": seconds | {"median": 2.5}}
    method = {"pixels": 224, "batch_size": 2, "segments": 8, "threads": 2, "rounds": 5, "num_class": 400}
    hardware = {"cpu": "a CPU", "cores": 2, "gpus": []}
    content = {"figures": [figure], "hardware": hardware, "method": method, "date": "2026-01-02 03:04:05"}
    assert "Not measured yet" in backbones_page.page(Results(tmp_path))
    (tmp_path / "backbones.json").write_text(json.dumps(content))
    text = backbones_page.page(Results(tmp_path))
    assert "Not measured yet" not in text
    assert "| resnet18 | 4 | 11.4 | 16.4 | 1.25 | 2.5 | 1 230 |" in text
    assert "on 2 clips, float32" in text.replace("\n", " ")
    assert "a CPU, 2 cores, no GPU, 2026-01-02" in text.replace("\n", " ")


def test_what_was_not_measured_is_said(tmp_path, made_up):
    nothing = results_section(Results(tmp_path / "empty"))
    assert "Not measured yet" in nothing
    assert "`python -m benchmarks.loading.audio`" in nothing
    assert "| " not in nothing
    some = results_section(made_up)
    assert "benchmarks.training.end_to_end`" not in some
    assert "| 16 | videos, decord (not installed) | – |" in some
    assert "end_to_end: a CPU, 2 cores, no GPU." in some
    assert "| 16 | videos, ours | 0.2 | 1 000 | 1 | 11 | 180 | 11 | 50% |" in some
    assert "measured on a GPU" in some
    assert "Not measured yet" in page(Results(tmp_path / "empty"))


def test_the_three_sentences():
    text = verdict(WAYS, 16)
    # Frames: 0.5 s more to prepare by 0.153 s saved each time; copies: 3 s by 0.153 s.
    assert pays_after(WAYS[VIDEOS_OURS], WAYS[JPEG_OURS]) == 4
    assert pays_after(WAYS[VIDEOS_OURS], WAYS[COPIES_OURS]) == 20
    assert "up to 3 epochs**" in text
    assert "6.73 times as many clips per second as the videos and 9.25 times as many as TSAM's way, in 30 %" in text
    assert text.count(". **") == 2


@pytest.mark.parametrize(
    ("name", "change", "claim"),
    [
        (COPIES_OURS, {"rate": 10, "cost": 27, "prepare": 3.2, "size": 900}, "copies load faster than videos"),
        (COPIES_OURS, {"rate": 74, "cost": 27, "prepare": 3.2, "size": 4000}, "copies are smaller"),
        (COPIES_OURS, {"rate": 74, "cost": 27, "prepare": 0.5, "size": 900}, "in less CPU time than copies"),
        (VIDEOS_OURS, {"rate": 11, "cost": 20}, "preparing saves CPU time"),
        (VIDEOS_OURS, {"rate": 11, "cost": 180, "prepare": 5}, "videos need the least preparation"),
    ],
)
def test_a_sentence_that_is_no_longer_true_is_not_written(name, change, claim):
    with pytest.raises(VerdictError, match=claim):
        verdict(WAYS | {name: way(name, **change)}, 16)


def test_the_arithmetic_of_capacity(made_up):
    text = page(made_up)
    # 3000 / 17 clips a second at 0.18 s of a core; 64 such GPUs at 8000 images
    assert "| videos, ours | 180 | 31.8 | 52.9 | 84.7 |" in text
    assert "| 5 420 |" in text
    assert "| videos, ours | 100 | 17.6 |" in text  # NVDEC engines: 3000 / 17 * 100 / 1000
    # 240 000 clips at 3.2 s: 213 hours of a core, by 192 cores; 0.9 MB each
    assert "| training copies, ours | 213 | 1.11 | 0.216 | 0.24 |" in text
    assert "| training copies, ours | 450 | 0.0794 |" in text  # GB/s: 3000 / 17 * 450 kB
    assert "| training copies, ours | 15 100 | 2 380 |" in text  # 24 cores by 0.027 s; 7 engines by 50 frames
    assert "up to 8 000 images/s" in text


def test_numbers_are_short():
    assert [shown(x) for x in (None, "a", 0.01234, 12.34, 123.4, 98765, 1234567)] == (
        ["–", "a", "0.0123", "12.3", "123", "98 800", "1 230 000"]
    )
    assert table(("a", "b"), [(1, None)]) == "| a | b |\n| --- | --- |\n| 1 | – |"


def test_preparation_is_summed_up():
    parts = {
        "training copies": {"seconds_per_clip": 2.0, "kilobytes_per_clip": 10.0},
        "index": {"seconds_per_clip": 0.5, "kilobytes_per_clip": 1.0},
        "log-mel store": {"seconds_per_clip": 0.25, "kilobytes_per_clip": 100.0},
    }
    assert total(COPIES_OURS, "made", parts) == {"seconds_per_clip": 2.75, "kilobytes_per_clip": 111.0}


def test_of_jpeg_frames_the_wanted_ones_are_read():
    parts = {
        "JPEG frames, 10 fps, height 256": {"files_per_clip": 100.0, "kilobytes_per_clip": 3000.0},
        ".wav files": {"files_per_clip": 1.0, "kilobytes_per_clip": 1700.0},
    }
    assert kilobytes_read(TSAM, parts, 16) == 16 * 30 + 1700
    assert kilobytes_read(TSAM, parts, 200) == 4700


def test_what_nvidia_smi_says_is_averaged():
    assert mean_use("10, 50, [N/A]\n30, 70, [N/A]\n") == {"gpu_use": 20.0, "decoder_use": 60.0}
    assert mean_use("") == {}


def test_the_script_for_gpus_is_audio_and_says_where_there_is_none(tmp_path):
    script = ROOT / "benchmarks" / "gpu.sh"
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    limits = [int(line.split()[2]) for line in script.read_text().splitlines() if line.startswith("part ")]
    assert len(limits) >= 4
    assert sum(limits) <= 540  # nine minutes
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "OUT": str(tmp_path / "out")}
    done = subprocess.run(["bash", script], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "skipped: no GPU here (nvidia-smi finds none)\n")
    assert not (tmp_path / "out").exists()


def test_the_script_for_gpus_names_the_parts_that_fail(tmp_path):
    """With stand-ins for the GPU and for Python."""
    for name, text in {"nvidia-smi": "exit 0", "python": 'echo "$@"; case "$*" in *audio*) exit 3;; esac'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "OUT": str(tmp_path / "out"), "PYTHON": "python", "DATA": "a b"}
    done = subprocess.run(["bash", ROOT / "benchmarks" / "gpu.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == "failed: audio (3)"
    assert "-m pytest -q -m gpu" in (tmp_path / "out" / "tests.log").read_text()
    assert "--device cuda" in (tmp_path / "out" / "end_to_end.log").read_text()
    assert "--data a b" in (tmp_path / "out" / "audio.log").read_text()
