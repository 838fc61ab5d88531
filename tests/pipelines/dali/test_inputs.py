"""Files of which DALI would decode other frames than are shown are refused before it gets them."""

import numpy as np
import pytest

from pipelines.dali.inputs import check_whole, choose_input
from pipelines.dataset.clips import Clip
from pipelines.decode.container import VideoError
from pipelines.decode.frames import probe
from pipelines.sampling.plan import Crop, Plan
from tests.helpers.loading import make_clip, settings
from tests.helpers.media import ffmpeg, write_alt_ref_video, write_video
from tests.pipelines.decode.test_remux import CLOSED, OPEN


def clip_of(path) -> Clip:
    info = probe(path)
    return Clip("clip", 0, str(path), info.frames, info.height, info.width, audio="")


@pytest.mark.parametrize(
    ("codec", "ending", "options"),
    [("h264", "mp4", CLOSED), ("h264", "mkv", OPEN), ("hevc", "mp4", {}), ("vp8", "webm", {}), ("av1", "webm", {})],
)
def test_good_files_pass(tmp_path, codec, ending, options):
    path = write_video(tmp_path / f"v.{ending}", codec=codec, options=options, audio=True)
    check_whole(clip_of(path), [0, 39, 7])


def hidden_by_an_edit_list(folder):
    return write_video(folder / "v.mp4", pts=[40 * i - 400 for i in range(40)])


def pictures_never_shown(folder):
    path = folder / "split.mkv"
    source = write_alt_ref_video(folder / "v.webm")
    ffmpeg("-i", source, "-c", "copy", "-bsf:v", "vp9_superframe_split", "-fflags", "-autobsf", path)
    return path


def turned(folder):
    return write_video(folder / "v.mp4", rotation=180)


@pytest.mark.parametrize(
    ("make", "status"),
    [(hidden_by_an_edit_list, "not_whole"), (pictures_never_shown, "not_whole"), (turned, "rotated")],
)
def test_files_that_dali_would_read_otherwise(tmp_path, make, status):
    clip = clip_of(make(tmp_path))
    with pytest.raises(VideoError, match="training copy") as error:
        check_whole(clip, [0])
    assert error.value.status == status


def test_files_that_have_changed(tmp_path):
    clip = clip_of(write_video(tmp_path / "v.mp4"))
    write_video(clip.path, size=(64, 64))
    with pytest.raises(VideoError, match=r"\(64, 64\) pixels, but the index says \(96, 128\)") as error:
        check_whole(clip, [0])
    assert error.value.status == "changed"
    write_video(clip.path, frames=20)
    with pytest.raises(VideoError, match="has 20 frames, frame 39 is wanted"):
        check_whole(clip, [39])


@pytest.mark.parametrize("decode", ["gpu", "gpu_whole"])
def test_what_does_not_belong_on_nvdec(tmp_path, decode):
    """It would give other frames without an error."""
    plan = Plan(np.array([0, 5]), Crop(0, 0, 1, 1))
    config = settings(pipeline={"decode": decode})
    on_nvdec, on_cpu = (choose_input(config, [], on_gpu) for on_gpu in (True, False))
    cases = [("vp9", (96, 128), "codec vp9"), ("h264", (90, 128), "no multiples of 16")]
    for i, (codec, size, why) in enumerate(cases):
        clip = make_clip(tmp_path, i, size, codec)
        on_cpu.read(clip, plan)
        with pytest.raises(VideoError, match=f"not for NVDEC: .*{why}.*; make a training copy of it") as error:
            on_nvdec.read(clip, plan)
        assert error.value.status == "not_for_nvdec"
    on_nvdec.read(make_clip(tmp_path, 2, (96, 128)), plan)
