"""The benchmark of decoders on tiny clips: what it leaves, and that all decoders give the wanted frames."""

import os
import sys

import numpy as np
import pytest

from benchmarks.baselines.decoders import DECODERS
from benchmarks.baselines.pixels import difference
from benchmarks.harness.measure import MissingVariantError
from benchmarks.loading import decode
from pipelines.decode import decode_frames
from tests.benchmarks.read_results import results
from tests.helpers.processes import run

WAYS = [(name, threads) for name in DECODERS for threads in (1, 2) if (name, threads) != ("ours", 2)]


@pytest.fixture(scope="module")
def decoded(videos, tmp_path_factory):
    """What the benchmark of decoders says, and its results: of ours, of a loop, and of libraries that are missing."""
    folder = tmp_path_factory.mktemp("decoded")
    (folder / "decord2-3.4.0.dist-info").mkdir()
    about = "Metadata-Version: 2.1\nName: decord2\nVersion: 3.4.0\n"
    (folder / "decord2-3.4.0.dist-info" / "METADATA").write_text(about)
    (folder / "decord.py").write_text("raise ImportError('libz.so.1 is missing')")
    (folder / "cv2.py").write_text("raise OSError('libGL.so.1 is missing')")
    (folder / "spdl").mkdir()
    (folder / "spdl" / "io.py").write_text("import a_library_that_does_not_exist")
    output = folder / "decode.json"
    names = ["--decoders", "PyAV loop", "decord", "decord2", "OpenCV", "SPDL"]
    options = [*names, "--rounds", "1", "--segments", "3", "5", "--videos", f"tiny={videos}", "--output", output]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        done = run("-m", "benchmarks.loading.decode", *options)
    return done.stdout, results(done, output)


def test_decode_on_one_core(decoded):
    one_core = [figure for figure in decoded[1]["figures"] if figure["kind"] == "one core"]
    cases = [(figure["segments"], figure["rule"], figure["decoder"]) for figure in one_core]
    assert cases == [
        (n, rule, name) for n in (3, 5) for rule in ("validation", "training") for name in ("ours", "PyAV loop")
    ]
    for figure in one_core:
        assert (figure["clips"], figure["num_clips"]) == ("tiny", 2)
        assert figure["clips_per_second"]["q1"] <= figure["clips_per_second"]["median"]
        assert figure["cpu_ms_per_clip"]["median"] > 0
        assert figure["useful_frames_per_clip"] <= figure["segments"]
    ours, loop = one_core[:2]
    assert ours["cpu_relative_to_ours"] == {"median": 1, "q1": 1, "q3": 1}
    assert loop["frames_equal_to_the_last_bit"] == "2 of 2 clips"
    assert ours["decoded_frames_per_clip"] < loop["decoded_frames_per_clip"] == 26  # frames 5, 15 and 25 are wanted


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_decode_on_several_cores(decoded):
    """Ours has no threads for a clip; the others are measured in both ways."""
    figures = [figure for figure in decoded[1]["figures"] if figure["kind"] == "several cores"]
    ways = [(figure["decoder"], figure["processes"], figure["threads"]) for figure in figures]
    assert ways == [("ours", 2, 1), ("PyAV loop", 2, 1), ("PyAV loop", 1, 2)]
    assert figures[0]["speed_relative_to_ours"] == {"median": 1, "q1": 1, "q3": 1}
    for figure in figures:
        assert (figure["clips"], figure["segments"], figure["num_clips"]) == ("tiny", 3, 16)
        assert figure["clips_per_second"]["median"] > 0 < figure["cpu_ms_per_clip"]["median"]
        assert figure["frames_equal_to_the_last_bit"] == "2 of 2 clips"


def test_a_library_that_is_missing_is_reported(decoded):
    """decord2 has the name of decord in Python: only the one that is installed is taken for itself."""
    said, found = decoded
    assert found["method"]["missing"] == {
        "decord": "not installed",
        "decord2": "cannot be loaded (libz.so.1 is missing)",
        "OpenCV": "cannot be loaded (libGL.so.1 is missing)",
        "SPDL": "not installed",
    }
    assert "decord: not installed" in said


def test_all_decoders_are_measured_unless_some_are_named(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["decode"])
    assert decode._arguments().decoders == list(DECODERS)


@pytest.mark.slow
def test_decode_with_every_decoder(videos, tmp_path):
    output = tmp_path / "decode.json"
    options = ["--rounds", "1", "--segments", "3", "--videos", f"tiny={videos}", "--output", output]
    found = results(run("-m", "benchmarks.loading.decode", *options), output)
    names = [figure["decoder"] for figure in found["figures"] if figure["kind"] == "one core"]
    assert names[:2] == ["ours", "PyAV loop"]
    assert set(names) | set(found["method"]["missing"]) == set(DECODERS)


def test_wrong_folder_is_an_error_that_names_it(tmp_path):
    done = run("-m", "benchmarks.loading.decode", "--videos", tmp_path)
    assert done.returncode == 2
    assert f"error: --videos {tmp_path}: no video" in done.stderr


@pytest.mark.parametrize(("name", "threads"), WAYS)
def test_decoders_give_the_wanted_frames(name, threads, videos):
    """In another order than the file's, repeats included. The other decoders are optional: skipped where absent.

    video_reader-rs converts colors in another way: a few levels apart, where the next frame is 180 apart."""
    try:
        decoder = DECODERS[name](**{} if threads == 1 else {"threads": threads})
    except MissingVariantError as reason:
        pytest.skip(f"{name}: {reason}")
    path, wanted = str(videos / "one.mp4"), (2, 2, 11, 29)
    largest, _ = difference(decoder.frames((path, wanted)), decode_frames(path, wanted))
    assert largest <= (8 if name.startswith("video_reader-rs") else 0)
    assert decoder.decoded([(path, wanted)]) in (None, *range(3, 31))


def test_other_pixels_are_seen(videos):
    first, second = (decode_frames(videos / "one.mp4", frames) for frames in ([3, 9], [3, 10]))
    assert difference(first, first) == (0, 0)
    largest, mean = difference(first, second)
    assert largest == np.abs(first.astype(int) - second).max() > 100
    assert mean == pytest.approx(np.abs(first.astype(int) - second).mean())
    assert difference(first[:, :-1], first) == (255, 255)
