"""What benchmarks are made of: the baseline, variants in processes of their own, what is said of the machine."""

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

from benchmarks.baselines.tsam_audio import log_mel, mel_filters
from benchmarks.baselines.tsam_augmentation import augmented
from benchmarks.baselines.tsam_reader import read_frame
from benchmarks.baselines.tsam_shift import clone_shift
from benchmarks.harness.measure import VariantError, quartiles, running, take_turns
from benchmarks.harness.processes import cpu_seconds, memory_mb, open_files, tree
from pipelines.audio.log_mel import AudioImage
from pipelines.mel import log_mel_picture
from pipelines.sampling.plan import Color, Crop, Plan
from tests.benchmarks.variants import Counter, unavailable
from tests.helpers.audio_media import noise
from tests.helpers.naive_tsam import naive_shift
from tsam_dali.cli.provenance import nvidia_driver, provenance


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
