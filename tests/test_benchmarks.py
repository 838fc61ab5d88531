"""Benchmarks: each runs on tiny clips and leaves its figures; what it says of pixels and rates is true."""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from benchmarks.decode import difference
from benchmarks.decoders import DECODERS
from benchmarks.measure import MissingVariantError, VariantError, quartiles, running, take_turns
from benchmarks.processes import cpu_seconds, memory_mb, open_files, tree
from benchmarks.tsam_reader import augmented, log_mel, mel_filters
from benchmarks.tsam_shift import clone_shift
from pipelines.decode import decode_frames
from pipelines.mel import AudioImage, log_mel_picture
from pipelines.sampling import Colour, Crop, Plan
from tests.media import write_video
from tests.naive_tsam import naive_shift
from tests.processes import run
from tests.sound_media import noise
from tests.variants import Counter, unavailable
from tsam_dali.provenance import provenance

ORIGIN = {"command", "date", "commit", "versions", "hardware", "load_before"}


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("one", "two"):
        write_video(folder / f"{name}.mp4", 30, sound=True)
    return folder


def results(done, path: Path) -> dict:
    """The results of a benchmark that ran."""
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    assert found.keys() == {"benchmark", "method", "figures"} | ORIGIN
    assert str(path.parent) not in path.read_text()  # no folder of this machine
    assert Image.open(path.with_suffix(".png")).size[0] > 500
    return found


def test_decode(videos, tmp_path):
    output = tmp_path / "decode.json"
    options = ["--rounds", "1", "--segments", "3", "--videos", f"tiny={videos}", "--output", output]
    found = results(run("-m", "benchmarks.decode", *options), output)
    names = [figure["decoder"] for figure in found["figures"]]
    assert names[:2] == ["ours", "PyAV loop"]
    assert set(names) | set(found["method"]["missing"]) == set(DECODERS)
    for figure in found["figures"]:
        assert figure["num_clips"] == 2
        assert figure["clips_per_second"]["q1"] <= figure["clips_per_second"]["median"]
        assert figure["cpu_ms_per_clip"]["median"] > 0
        assert figure["useful_frames_per_clip"] <= 3
    ours, loop = (next(f for f in found["figures"] if f["decoder"] == name) for name in ("ours", "PyAV loop"))
    assert ours["cpu_relative_to_ours"] == {"median": 1, "q1": 1, "q3": 1}
    assert loop["frames_equal_to_the_last_bit"] == "2 of 2 clips"
    assert ours["decoded_frames_per_clip"] < loop["decoded_frames_per_clip"] == 26  # frames 5, 15 and 25 are wanted


def test_a_library_that_is_missing_is_reported(videos, tmp_path, monkeypatch):
    (tmp_path / "decord.py").write_text("import a_library_that_does_not_exist")
    (tmp_path / "cv2.py").write_text("raise OSError('libGL.so.1 is missing')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    output = tmp_path / "decode.json"
    options = ["--decoders", "decord", "OpenCV", "--rounds", "1", "--segments", "2", "--videos", videos]
    done = run("-m", "benchmarks.decode", *options, "--output", output)
    missing = {"decord": "not installed", "OpenCV": "cannot be loaded (libGL.so.1 is missing)"}
    assert results(done, output)["method"]["missing"] == missing
    assert "decord: not installed" in done.stdout


def test_wrong_folder_is_an_error_that_names_it(tmp_path):
    done = run("-m", "benchmarks.decode", "--videos", tmp_path)
    assert done.returncode == 2
    assert f"error: --videos {tmp_path}: no video" in done.stderr


@pytest.mark.parametrize("name", list(DECODERS))
def test_decoders_give_the_wanted_frames(name, videos):
    """In another order than the file's, repeats included. The other decoders are optional: skipped where absent."""
    try:
        decoder = DECODERS[name]()
    except MissingVariantError as reason:
        pytest.skip(f"{name}: {reason}")
    path, wanted = str(videos / "one.mp4"), (2, 2, 11, 29)
    assert np.array_equal(decoder.frames((path, wanted)), decode_frames(path, wanted))
    assert decoder.decoded([(path, wanted)]) in (None, *range(3, 31))


def test_other_pixels_are_seen(videos):
    first, second = (decode_frames(videos / "one.mp4", frames) for frames in ([3, 9], [3, 10]))
    assert difference(first, first) == (0, 0)
    largest, mean = difference(first, second)
    assert largest == np.abs(first.astype(int) - second).max() > 100
    assert mean == pytest.approx(np.abs(first.astype(int) - second).mean())
    assert difference(first[:, :-1], first) == (255, 255)


@pytest.mark.slow
def test_loader(videos, tmp_path):
    output = tmp_path / "loader.json"
    sizes = ["--rounds", "1", "--segments", "2", "--batch_size", "2", "--batches", "2", "--repeats", "2"]
    options = ["--videos", videos, "--output", output]
    found = results(run("-m", "benchmarks.loader", *sizes, *options), output)
    loaders = {figure["loader"]: figure for figure in found["figures"] if figure["kind"] == "loader"}
    assert {"ours, videos as they are", "ours, training copies", "TSAM's way"} <= loaders.keys()
    for figure in loaders.values():
        assert figure["clips_per_second"]["median"] > 0
    assert loaders["TSAM's way"]["rate_relative_to_baseline"]["median"] == 1
    prepared = {figure["what"]: figure for figure in found["figures"] if figure["kind"] == "preparation"}
    assert prepared["JPEG frames, 10 fps, height 256"]["files_per_clip"] == 12  # 30 frames at 25 per second
    assert prepared[".wav files"]["files_per_clip"] == 1
    assert prepared["log-mel store"]["kilobytes_per_clip"] > 10
    assert prepared["videos as they are"]["kilobytes_per_clip"] > 1


@pytest.mark.slow
def test_memory(videos, example, tmp_path):
    output = tmp_path / "memory.json"
    data = example / "data.json"
    config = Path("config/example_config.json")
    assert run("tools/precompute_audio.py", "--data", data, "--config", config).returncode == 0
    sizes = ["--epochs", "3", "--workers", "1", "--steps", "2", "--batch_size", "2", "--segments", "2"]
    options = ["--data", data, "--set", "training_param.batch_size=8", "--videos", videos, "--output", output]
    found = results(run("-m", "benchmarks.memory", *sizes, *options), output)
    figures = {(figure["process"], figure["quantity"]): figure for figure in found["figures"]}
    for name in ("main", "training, worker 1", "validation, worker 1"):
        assert len(figures[name, "rss"]["values"]) == 3
        assert figures[name, "open files"]["values"][0] > 3
        assert figures[name, "pss"]["highest"] <= figures[name, "rss"]["highest"] <= figures[name, "peak"]["highest"]
    assert figures["large clips, worker 1", "peak"]["highest"] > 50


def test_the_baseline_sees_what_ours_sees(tmp_path):
    """Crop, mirroring and sound are ours, but for rounding; colours are torchvision's."""
    sound = tmp_path / "a.wav"
    soundfile.write(sound, noise(2.0, 16000, channels=2).T, 16000)
    ours = log_mel_picture(sound, AudioImage(), 1)
    assert np.abs(log_mel(sound, AudioImage(), (0, 0), mel_filters).numpy() - ours).mean() < 1e-3
    assert np.abs(log_mel(sound, AudioImage(), (0.5, 0.2), mel_filters).numpy() - ours).mean() > 1e-2

    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8))
    picture.save(tmp_path / "a.png")
    plan = Plan(frames=np.zeros(1), crop=Crop(y=10, x=20, height=32, width=32), flip=True)
    expected = np.asarray(picture)[10:42, 20:52][:, ::-1].transpose(2, 0, 1) / 255
    assert np.allclose(augmented(tmp_path / "a.png", plan, 32), expected)
    grey = plan._replace(colour=Colour(1.1, 0.9, 0.0, 3.0))
    assert np.ptp(augmented(tmp_path / "a.png", grey, 32), axis=0).max() == 0


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


@pytest.mark.parametrize(("segments", "video_segments", "depth"), [(9, 8, 4), (5, 5, 1), (4, 3, 5)])
def test_the_shift_of_the_baseline(segments, video_segments, depth):
    x = torch.randn(2 * segments, 40, 2, 3, generator=torch.manual_seed(0))
    options = (segments, video_segments, 4, depth)
    assert torch.equal(clone_shift(x, *options), naive_shift(x, *options, "keep"))


@pytest.mark.slow
def test_shift(tmp_path):
    output = tmp_path / "shift.json"
    options = ["--shape", "9", "16", "4", "4", "--rounds", "1", "--repeats", "1", "--threads", "1", "--output", output]
    found = results(run("-m", "benchmarks.shift", *options), output)
    figures = {tuple(f[key] for key in ("dtype", "layout", "direction", "way")): f for f in found["figures"]}
    assert len(figures) == 18
    tensor = 9 * 16 * 4 * 4 * 4 / 1e6
    floor = figures["float32", "channels_last", "backward", "plain copy"]
    assert floor["megabytes"] == pytest.approx(2 * tensor, abs=0.06)
    assert floor["cpu_relative_to_copy"]["median"] == 1
    assert figures["float32", "channels_last", "backward", "ours"]["megabytes"] < 5 * tensor


@pytest.mark.slow
def test_step(tmp_path):
    output = tmp_path / "step.json"
    sizes = ["--arch", "resnet10t", "--pixels", "32", "--segments", "4", "--rounds", "1", "--threads", "1"]
    variants = ["--variants", "float32-channels_last-eager-2", "bf16-channels_last-eager-1"]
    found = results(run("-m", "benchmarks.step", *sizes, *variants, "--output", output), output)
    figures = {figure["variant"]: figure for figure in found["figures"]}
    assert set(figures) | set(found["method"]["missing"]) == {"TSAM's way", *variants[1:]}
    assert figures["TSAM's way"]["wall_speedup"]["median"] == 1
    assert figures["float32-channels_last-eager-2"]["clips_per_second"]["median"] > 0
    assert figures["float32-channels_last-eager-2"]["peak_mb"] > 100
