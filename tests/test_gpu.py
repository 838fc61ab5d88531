"""What needs a GPU: the pictures of NVDEC and nvJPEG against those of the CPU decoders, the tail on the GPU, a step."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.dataset.clips import Clip
from pipelines.loader import build_loader
from pipelines.sampling import validation_frames
from tests.helpers.decoding import x264, x265
from tests.helpers.loading import SEGMENTS, batches, damage_packet, make_clip, settings
from tests.helpers.media import frame_numbers, numbered_picture
from tsam_dali.model import build_model

pytestmark = pytest.mark.gpu

GPU = "cuda:0"
SIZES = [(720, 1280), (704, 1264), (256, 336), (336, 256), (256, 256), (240, 432), (176, 320)]
"""Multiples of 16, see `pipelines.decode.nvdec`. None is smaller than NVDEC takes (144 x 144 for HEVC)."""
OPTIONS = {
    "h264": x264("keyint=8:scenecut=0:b-adapt=0", bf="2"),
    "hevc": x265("keyint=10"),  # open groups of pictures
}
NVDEC = pytest.mark.parametrize("decode", ["gpu", "gpu_whole"])


def make_clips(folder, codec) -> list[Clip]:
    return [make_clip(folder, i, size, codec, options=OPTIONS[codec]) for i, size in enumerate(SIZES)]


@pytest.fixture(scope="module", params=OPTIONS)
def clips(request, tmp_path_factory) -> list[Clip]:
    return make_clips(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def h264_clips(tmp_path_factory) -> list[Clip]:
    return make_clips(tmp_path_factory.mktemp("h264_clips"), "h264")


def assert_same_pictures(found, reference):
    """Every picture of its own within what the conversion to RGB explains; another frame would be far off."""
    assert len(found) == len(reference) > 0
    for ours, theirs in zip(found, reference, strict=True):
        assert ours.video.device == torch.device(GPU)
        assert ours.row.tolist() == theirs.row.tolist()
        assert ours.ok.tolist() == theirs.ok.tolist()
        assert (ours.video.cpu() - theirs.video).abs().mean(dim=(2, 3, 4)).max() * 255 < 2


@pytest.mark.parametrize("decode", ["cpu", "gpu", "gpu_whole"])
def test_the_ways_in_agree(clips, decode):
    """All sizes in one batch."""
    look = {"RandomHorizontalFlip": True}
    reference = batches(settings(look=look, batch_size=7), "training", clips, 2)
    config = settings(look=look, batch_size=7, pipeline={"decode": decode})
    found = batches(config, "training", clips, 2, device=GPU)
    assert all(batch.ok.all() for batch in found)
    assert_same_pictures(found, reference)


@NVDEC
def test_frames_are_the_wanted_ones(clips, decode):
    """By the numbers in their pixels, where nothing is cropped."""
    config = settings(batch_size=7, pipeline={"decode": decode})
    (batch,) = batches(config, "validation", clips, device=GPU)
    (square,) = (row for row, clip in enumerate(clips) if clip.height == clip.width)
    numbers = frame_numbers((batch.video[square].cpu().numpy().transpose(0, 2, 3, 1) * 255).astype(np.uint8))
    assert numbers.tolist() == validation_frames(clips[square].frames, SEGMENTS).tolist()


@NVDEC
def test_a_size_does_not_stick_to_the_decoder(h264_clips, decode):
    """1264 x 704 after 1280 x 720 and the other way round, each alone in its batch, with a single decoder."""
    for members in (h264_clips[:2], h264_clips[1::-1]):
        reference = batches(settings(batch_size=1), "validation", members)
        config = settings(batch_size=1, pipeline={"decode": decode, "threads": 1})
        assert_same_pictures(batches(config, "validation", members, device=GPU), reference)


@NVDEC
def test_what_does_not_belong_there(tmp_path, decode):
    """Named and black, beside others that are decoded."""
    kinds = [("h264", (256, 256)), ("h264", (718, 1278)), ("vp9", (256, 256))]
    clips = [make_clip(tmp_path, i, size, codec) for i, (codec, size) in enumerate(kinds)]
    config = settings(batch_size=3, pipeline={"decode": decode, "max_bad_fraction": 1})
    with build_loader(config, "validation", clips, device=GPU) as loader:
        (batch,) = loader
        assert batch.ok.tolist() == [True, False, False]
        assert all("not for NVDEC" in loader.bad[row] for row in (1, 2))


@NVDEC
@pytest.mark.parametrize("threads", [4, 8, 16])
def test_threads_change_nothing(h264_clips, decode, threads):
    reference = batches(settings(batch_size=7, workers=2), "training", h264_clips, 3)
    config = settings(batch_size=7, workers=2, pipeline={"decode": decode, "threads": threads})
    assert_same_pictures(batches(config, "training", h264_clips, 3, device=GPU), reference)


@NVDEC
def test_damaged_files_in_a_batch(tmp_path, decode):
    """No bytes of a video, half a file, no file, and a packet that only the decoder finds damaged."""
    clips = make_clips(tmp_path, "h264")
    reference = batches(settings(batch_size=7), "validation", clips)
    Path(clips[0].path).write_bytes(b"junk")
    os.truncate(clips[2].path, os.path.getsize(clips[2].path) // 2)
    Path(clips[3].path).unlink()
    damage_packet(clips[5].path, 0)
    config = settings(batch_size=7, workers=2, pipeline={"decode": decode, "max_bad_fraction": 1})
    with build_loader(config, "validation", clips, device=GPU) as loader:
        for _ in range(3):
            (batch,) = loader
            video, expected = batch.video.cpu(), reference[0].video
            for row in (1, 4, 6):
                assert batch.ok[row]
                assert (video[row] - expected[row]).abs().mean() * 255 < 2
            for row in (0, 2, 3):
                assert not batch.ok[row]
                assert video[row].max() < 0.1
            # NVDEC may conceal what it cannot decode; DALI's parser, or the check of a whole file, may refuse it.
            assert batch.ok[5] or video[5].max() < 0.1
            assert torch.ones(8, device=GPU).sum() == 8  # the CUDA context is alive


def jpeg_clip(folder, i, size) -> Clip:
    path = folder / f"frames/clip{i}"
    path.mkdir(parents=True)
    for number in range(12):
        picture = Image.fromarray(numbered_picture(number, size))
        picture.save(path / f"{number + 1:05d}.jpg", quality=92, progressive=i % 2 == 1)
    return Clip(f"clip{i}", i % 3, str(path), 12, *size, audio="")


@pytest.mark.parametrize("decode", ["cpu", "gpu"])
def test_jpeg_frames(tmp_path, decode):
    """libjpeg and nvJPEG, with the tail on the GPU, against libjpeg with the tail on the CPU; one clip is damaged."""
    clips = [jpeg_clip(tmp_path, i, size) for i, size in enumerate(SIZES)]
    broken = Path(clips[2].path, "00001.jpg")
    for path in broken.parent.iterdir():
        path.write_bytes(broken.read_bytes()[:900])
    pipeline = {"source": "frames", "max_bad_fraction": 1}
    reference = batches(settings(batch_size=7, pipeline=pipeline), "training", clips, 2)
    config = settings(batch_size=7, pipeline=pipeline | {"decode": decode})
    found = batches(config, "training", clips, 2, device=GPU)
    assert all(batch.ok.tolist() == [row != 2 for row in batch.row.tolist()] for batch in found)
    assert_same_pictures(found, reference)


def test_a_step_in_bf16_channels_last():
    config = settings(model={"video_segments": SEGMENTS, "arch": "resnet10t", "pretrain": "none"})
    network = build_model(config, 4).to(GPU, memory_format=torch.channels_last)
    video = torch.rand(2, SEGMENTS, 3, 64, 64)
    with torch.no_grad():
        expected = network.cpu().eval()(video, None)
        with torch.autocast("cuda", torch.bfloat16):
            found = network.to(GPU)(video.to(GPU), None)
    torch.testing.assert_close(found.float().cpu(), expected, atol=0.05, rtol=0.05)
