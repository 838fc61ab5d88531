"""The check of a GPU's decoders, with stand-ins for them; real child processes, which leave nothing behind."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
import torch

from pipelines.check_gpu.check import check_gpu
from pipelines.check_gpu.child import Failed, LimitedChild
from pipelines.check_gpu.choice import Choice
from pipelines.check_gpu.decoding import Decoding, _read
from pipelines.check_gpu.kinds import Kind, Kinds
from pipelines.check_gpu.trial import _damaged, clips_per_second
from pipelines.decode import decode_frames
from pipelines.decode.container import VideoError
from tests.helpers.loading import make_clip, settings
from tests.helpers.processes import ROOT
from tests.pipelines.check_gpu import stand_ins
from tests.pipelines.check_gpu.stand_ins import TALL
from tests.pipelines.check_gpu.work import exit_with_3, fail, pid_of, sleep

pytestmark = pytest.mark.usefixtures("no_process_is_left", "forked_children")
SIZES = [(96, 128), (96, 128), (TALL, 96), (TALL, 96)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return [make_clip(folder, i, size, "vp9") for i, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def kinds(clips):
    found = {Kind("vp9", "yuv420p", *size): [c for c in clips if (c.height, c.width) == size] for size in SIZES}
    return Kinds(found, 1.0, "")


def check(stand_in, clips, kinds, network=1000.0, **limits):
    decoding = stand_in(settings(batch_size=4), clips, torch.device("cpu"))
    return check_gpu(
        decoding, kinds, partial(stand_ins.rate_of, network), **{"seconds": 200, "seconds_each": 90} | limits
    )


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("way", ["gpu", "gpu_whole"])
def test_a_damaged_copy_reaches_the_decoder(tmp_path, codec, way):
    clip = make_clip(tmp_path, 0, (96, 128), codec, options={})
    (tmp_path / "copy").mkdir()
    broken, frames = _damaged((clip, (3, 9)), tmp_path / "copy")
    decoding = Decoding(settings(batch_size=1), [clip], torch.device("cpu"))
    with decoding._loader(way) as loader:
        video, numbers, _ = _read(loader.source.video_input, broken, frames)
    assert len(video) > 0
    assert len(numbers) == 2
    with suppress(VideoError):  # FFmpeg sees it in H.264
        assert not np.array_equal(decode_frames(broken.path, frames), decode_frames(clip.path, frames))


def test_the_faster_right_way(clips, kinds):
    choice = check(stand_ins.Healthy, clips, kinds)
    assert choice.decode == "gpu_whole"
    assert re.fullmatch("it gives the CPU's frames, [0-9.]+ times as fast", choice.reason)
    assert choice.network.clips_per_second == 1000
    assert {name: way.differs for name, way in choice.ways.items()} == {"cpu": "", "gpu": "", "gpu_whole": ""}
    lines = choice.text.splitlines()
    assert "vp9 128 x 96, vp9 96 x 112 (100% of the clips)" in lines[1]
    assert [line.split()[0] for line in lines[2:]] == ["way", "cpu", "gpu", "gpu_whole", "network"]
    assert Choice.from_dict(json.loads(json.dumps(choice.to_dict()))) == choice


WRONG = {
    stand_ins.OneFrameLate: "vp9 128 x 96, clip clip0, alone: frame [0-9]+ is nearer to the CPU's frame",
    stand_ins.SwapsChroma: "alone: frame [0-9]+: C[br] differs by [0-9.]+ levels",
    stand_ins.Darker: "alone: frame [0-9]+ differs by [0-9.]+ levels",
    stand_ins.OtherSize: "alone: 5 frames of 128 x 104 pixels in place of 5 frames of 128 x 96 pixels",
    stand_ins.FailsOnOneKind: "vp9 96 x 112, clip clip2, alone: RuntimeError: no decoder for it",
    stand_ins.BrokenByDamage: "after a damaged clip: RuntimeError: CUDA_ERROR_ILLEGAL_ADDRESS",
    stand_ins.KillsItsProcess: "clip clip0, alone: the process was ended by SIGSEGV",
}


@pytest.mark.parametrize("stand_in", WRONG, ids=lambda stand_in: stand_in.__name__)
def test_what_is_wrong_is_named(clips, kinds, stand_in):
    choice = check(stand_in, clips, kinds)
    assert choice.decode == "cpu"
    assert choice.network.clips_per_second is None  # nothing is measured in vain
    for way in ("gpu", "gpu_whole"):
        assert re.search(WRONG[stand_in], choice.ways[way].differs)
        assert f"{way}: {choice.ways[way].differs}" in choice.reason


def test_one_that_hangs(clips, kinds):
    begun = time.monotonic()
    choice = check(stand_ins.Hangs, clips, kinds, seconds_each=1)
    assert choice.decode == "cpu"
    assert choice.ways["gpu"].differs.endswith("hangs, or is too slow to be checked")
    assert time.monotonic() - begun < 100


def test_the_time_is_over(clips, kinds):
    choice = check(stand_ins.Hangs, clips, kinds, seconds=0.1)
    assert choice.decode == "cpu"
    assert choice.ways["gpu_whole"].differs == "the time for the check was over"


@pytest.mark.parametrize("stand_in", [stand_ins.FirstWayKills, stand_ins.SticksToASize])
def test_the_other_way_stays(clips, kinds, stand_in):
    choice = check(stand_in, clips, kinds)
    assert choice.decode == "gpu_whole"
    assert choice.ways["gpu"].differs
    assert choice.ways["gpu"].clips_per_second is None


def test_clips_that_the_cpu_cannot_read_are_left_out(clips, kinds, tmp_path):
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(b"junk")
    kind = next(iter(kinds.clips))
    one = kinds._replace(clips=kinds.clips | {kind: [clips[0]._replace(path=str(junk)), clips[1]]})
    assert check(stand_ins.Healthy, clips, one).decode == "gpu_whole"
    none = kinds._replace(clips={kind: [clips[0]._replace(path=str(junk))]})
    assert "the CPU can read none of the clips" in check(stand_ins.Healthy, clips, none).reason


def test_slow_ones(clips, kinds):
    choice = check(stand_ins.Slow, clips, kinds)
    assert (choice.decode, choice.reason) == ("cpu", "no way that is right is faster")
    assert choice.ways["cpu"].clips_per_second > 2 * choice.ways["gpu"].clips_per_second


class NoTimeForTheCPU(LimitedChild):
    """Its batches never come: a second is as long as any other time."""

    def run(self, work, seconds):
        of_cpu = getattr(work, "func", None) is clips_per_second and work.args[1] == "cpu"
        return super().run(work, 1 if of_cpu else seconds)


def test_a_cpu_that_is_too_slow_to_be_measured(clips, kinds, monkeypatch):
    monkeypatch.setattr("pipelines.check_gpu.check.LimitedChild", NoTimeForTheCPU)
    choice = check(stand_ins.SlowCPU, clips, kinds, seconds_each=12)
    assert choice.decode == "gpu_whole"
    assert choice.ways["cpu"].differs.endswith("too slow to be checked; at most so many clips/s")
    assert choice.ways["cpu"].clips_per_second == 4 * 4 / 12


def test_the_cpu_suffices(clips, kinds):
    choice = check(stand_ins.Healthy, clips, kinds, network=20.0)
    assert (choice.decode, choice.reason) == ("cpu", "it gives all that the network can take")


def test_real_batches(clips, kinds):
    """The trainer's own loader with its workers."""
    decoding = Decoding(settings(batch_size=4, workers=1), clips, torch.device("cpu"))
    choice = check_gpu(decoding, kinds, partial(stand_ins.rate_of, 1e9), 300, 100)
    assert not any(way.differs for way in choice.ways.values())
    assert all(way.clips_per_second > 0 for way in choice.ways.values())


def test_other_images_in_real_batches(clips, kinds):
    choice = check(stand_ins.OtherBatches, clips, kinds)
    assert choice.decode == "cpu"
    for way in ("gpu", "gpu_whole"):
        assert choice.ways[way].differs.endswith("ValueError: images of a batch differ from the CPU's")
        assert choice.ways[way].clips_per_second is None


def test_clips_that_do_not_belong_there(clips, kinds):
    choice = check(stand_ins.KillsItsProcess, clips, kinds._replace(refused="1 of 4 clips (codec vp8: 1)"))
    assert choice.decode == "cpu"
    assert choice.text == (
        "pipeline.decode: cpu, as 1 of 4 clips (codec vp8: 1) do not belong on NVDEC; training copies do"
    )


def test_one_process_until_it_fails():
    with LimitedChild(200) as child:
        first = child.run(pid_of, 60)
        assert child.run(pid_of, 60) == first != os.getpid()
        assert child.run(fail, 60) == Failed("ValueError: first line")
        second = child.run(pid_of, 60)
        assert child.run(exit_with_3, 60) == Failed("the process was ended by exit status 3")
        third = child.run(pid_of, 60)
        assert len({first, second, third}) == 3


def test_an_interrupted_check():
    def check():
        with LimitedChild(200) as child:
            assert child.run(sleep, 0.5).time_over
            child.run(pid_of, 60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check()


def test_a_killed_program_takes_its_child_along():
    """A child that is started as it is outside of tests."""
    lines = (
        "from pipelines.check_gpu.child import Failed, LimitedChild; from tests.pipelines.check_gpu.work import *",
        "with LimitedChild(200) as child: print(child.run(pid_of, 60), flush=True); child.run(sleep, 100)",
    )
    program = subprocess.Popen([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with program:
        child = int(program.stdout.readline())
        os.kill(child, 0)
        program.kill()
    ends = time.monotonic() + 30
    while os.path.exists(f"/proc/{child}") and time.monotonic() < ends:
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{child}")
