"""Files of which DALI would decode other frames than are shown are refused before it gets them."""

import numpy as np
import pytest

from pipelines.dali.inputs import check_whole, choose_input
from pipelines.dataset.clips import Clip
from pipelines.decode import decode_frames
from pipelines.decode.container import VideoError
from pipelines.decode.frames import probe
from pipelines.sampling.plan import Crop, Plan
from tests.helpers.decoding import rewrite, x264, x265
from tests.helpers.loading import make_clip, settings
from tests.helpers.media import ffmpeg, write_alt_ref_video, write_video
from tests.pipelines.decode.test_remux import CLOSED, OPEN, read_all


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


STREAMS = {
    "h264": ("h264", x264("keyint=20:scenecut=0:b-adapt=0:bframes=3:b-pyramid=none")),
    "h264, as decoded": ("h264", x264("keyint=20:scenecut=0:bframes=0")),  # only frame_num tells of a lost picture
    "hevc": ("hevc", x265("keyint=20:bframes=0")),
}
LOST = {"h264": (1, 5, 20), "h264, as decoded": (1, 5), "hevc": (1, 19)}


@pytest.mark.parametrize("decode", ["gpu", "gpu_whole"])
@pytest.mark.parametrize(("stream", "lost"), [(stream, lost) for stream in STREAMS for lost in LOST[stream]])
def test_a_file_without_a_packet_that_others_need_never_gets_to_nvdec(tmp_path, stream, lost, decode):
    """Where a parser leaves out a picture, DALI gives whatever its memory held, without an error."""
    with pytest.raises(VideoError, match="training copy") as error:
        _read_without(lost, tmp_path, stream, decode)
    assert error.value.status in ("not_prunable", "not_whole")


@pytest.mark.parametrize("decode", ["gpu", "gpu_whole"])
def test_a_packet_that_no_other_needs_may_be_missing(tmp_path, decode):
    """The file is a shorter video, whose packets and frames are the same."""
    path, frames, (video, numbers) = _read_without(2, tmp_path, "h264", decode)
    pictures, claimed = read_all(path.read_bytes() if decode == "gpu_whole" else video.tobytes())
    assert len(pictures) == claimed
    np.testing.assert_array_equal(pictures[numbers], decode_frames(path, frames))


def _read_without(lost, folder, stream, decode):
    codec, options = STREAMS[stream]
    whole = write_video(folder / "whole.mp4", codec=codec, options=options)
    path = rewrite(folder / "v.mp4", [whole], lambda _, i, packet: None if i == lost else (bytes(packet), packet.pts))
    frames = np.array([0, 7, 20, 30, 38])
    nvdec = choose_input(settings(pipeline={"decode": decode}), [], on_gpu=True)
    clip = Clip("clip", 0, str(path), 39, 96, 128, audio="")
    return path, frames, nvdec.read(clip, Plan(frames, Crop(0, 0, 1, 1)))
