"""Benchmarks: each runs on tiny clips and leaves its figures; what it says of pixels and rates is true."""

import os
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchvision.transforms.functional as transforms
import torchvision.transforms.v2.functional as transforms_v2
from PIL import Image

from benchmarks.baselines.decoders import DECODERS
from benchmarks.baselines.pixels import difference
from benchmarks.baselines.tsam_audio import log_mel, mel_filters
from benchmarks.baselines.tsam_augmentation import augmented
from benchmarks.baselines.tsam_reader import read_frame
from benchmarks.baselines.tsam_shift import clone_shift
from benchmarks.harness.measure import MissingVariantError, VariantError, quartiles, running, take_turns
from benchmarks.harness.processes import cpu_seconds, memory_mb, open_files, tree
from benchmarks.loading import decode
from pipelines.audio.log_mel import AudioImage
from pipelines.decode import decode_frames
from pipelines.mel import log_mel_picture
from pipelines.sampling.plan import Color, Crop, Plan
from tests.benchmarks.read_results import results
from tests.benchmarks.variants import Counter, unavailable
from tests.helpers.audio_media import noise
from tests.helpers.media import write_video
from tests.helpers.naive_tsam import naive_shift
from tests.helpers.processes import run
from tsam_dali.cli.provenance import nvidia_driver, provenance

WAYS = [(name, threads) for name in DECODERS for threads in (1, 2) if (name, threads) != ("ours", 2)]


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("one", "two"):
        write_video(folder / f"{name}.mp4", 30, audio=True)
    return folder


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


def test_the_baseline_sees_what_ours_sees(tmp_path):
    """Crop, mirroring and audio are ours, but for rounding; colors are torchvision's."""
    audio = tmp_path / "a.wav"
    soundfile.write(audio, noise(2.0, 16000, channels=2).T, 16000)
    ours = log_mel_picture(audio, AudioImage(), 1)
    assert np.abs(log_mel(audio, AudioImage(), (0, 0), mel_filters).numpy() - ours).mean() < 1e-3
    assert np.abs(log_mel(audio, AudioImage(), (0.5, 0.2), mel_filters).numpy() - ours).mean() > 1e-2

    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    video = read_frame(tmp_path / "a.png").repeat(2, 1, 1, 1)
    plan = Plan(frames=np.zeros(2), crop=Crop(y=10, x=20, height=32, width=32), flip=True)
    expected = picture[10:42, 20:52][:, ::-1].transpose(2, 0, 1)
    colored = plan._replace(color=Color(1.1, 0.9, 1.2, 3.0), blur_sigma=1.0)
    grey = plan._replace(color=Color(1.1, 0.9, 1.2, 3.0, grey=True, order=(3, 1, 0, 2)))
    for functions in (transforms, transforms_v2):
        assert np.allclose(augmented(video, plan, 32, functions)[1] * 255, expected, atol=1e-3)
        assert np.ptp(augmented(video, grey, 32, functions).numpy(), axis=1).max() == 0
    both = [augmented(video, colored, 32, functions) for functions in (transforms, transforms_v2)]
    torch.testing.assert_close(*both, atol=1e-3, rtol=0)
    assert (both[0] - augmented(video, plan, 32)).abs().mean() > 0.01


def test_variants_take_turns_in_processes_of_their_own():
    core = max(os.sched_getaffinity(0))
    makers = {"a": partial(Counter, 0), "b": partial(Counter, 10), "c": unavailable}
    with running(makers, [core]) as variants:
        a, b, c = variants
        assert (a.missing, c.missing) == (None, "not installed")
        order = []
        found = take_turns([a, b], 3, lambda variant: order.append(variant.name) or variant.call("add", 1), show=False)
        assert order == ["a", "b", "b", "a", "a", "b"]
        assert [count for count, _, _ in found["a"]] == [1, 2, 3]
        assert [count for count, _, _ in found["b"]] == [11, 12, 13]
        assert {pid for _, pid, _ in found["a"]} == {a.pid} != {b.pid}
        assert found["a"][0][2] == [core]
        with pytest.raises(VariantError, match="(?s)a: .*nothing here"):
            a.call("fail")
        with pytest.raises(VariantError, match="b: its process ended with status 3"):
            b.call("end")
        with pytest.raises(VariantError, match="a: no answer in 0.1 s"):
            a.call("hang", limit=0.1)
        with pytest.raises(VariantError, match="a: its process ended with status -9"):
            a.call("add", 1)


def test_nothing_is_left_behind():
    """A variant whose child process does not end by itself."""
    with running({"parent": partial(Counter, 0)}, sorted(os.sched_getaffinity(0))) as (variant,):
        child = variant.call("start_child")
        assert child in tree(variant.pid)
    end = time.monotonic() + 5
    while running_still(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not running_still(child)


def running_still(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait for its parent."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_a_process_tree_is_counted_as_a_whole():
    busy = "import os, time; os.fork(); end = 0.3\nwhile time.process_time() < end: pass\ntime.sleep(30)"
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", busy])
    try:
        end = time.monotonic() + 20
        while cpu_seconds(pid) < 0.58 and time.monotonic() < end:
            time.sleep(0.05)
        assert 0.58 <= cpu_seconds(pid) < 1.5  # two processes of 0.3 s each, and the start of one
        members = tree(pid)
        assert len(members) == 2
        memory = memory_mb(pid)
        assert 0.05 < memory["private"] < memory["pss"] < memory["rss"] <= memory["peak"] < 100
        assert open_files(pid) >= 3
    finally:
        for member in tree(pid):
            os.kill(member, 9)
        os.waitpid(pid, 0)


def test_quartiles():
    assert quartiles([1, 2, 3, 4, 100]) == {"median": 3, "q1": 2, "q3": 4}


def test_the_command_of_a_result_names_no_folder_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["/usr/bin/python", "-m", "x", f"raw={tmp_path}/a/videos", "/elsewhere/b/videos", "../c", "lr=1"]
    monkeypatch.setattr(sys, "orig_argv", words)
    assert provenance()["command"].split(" ", 1)[1] == "-m x raw=a/videos .../videos ../c lr=1"


def test_the_driver_is_named():
    text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build\nGCC version: gcc 12.2.0"
    assert nvidia_driver(text) == "570.86.10"
    assert provenance()["hardware"].keys() == {
        *("cpu", "instructions", "instructions_used", "cores", "memory_gib", "gpus", "driver", "cuda"),
    }


@pytest.mark.parametrize(("segments", "video_segments", "depth"), [(9, 8, 4), (5, 5, 1), (4, 3, 5)])
def test_the_shift_of_the_baseline(segments, video_segments, depth):
    x = torch.randn(2 * segments, 40, 2, 3, generator=torch.manual_seed(0))
    options = (segments, video_segments, 4, depth)
    assert torch.equal(clone_shift(x, *options), naive_shift(x, *options, "keep"))
