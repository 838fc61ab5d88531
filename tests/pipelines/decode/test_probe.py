"""What a look into one file finds: frames, damage, and whether NVDEC decodes it."""

from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.decode.frames import probe
from pipelines.decode.nvdec import why_not_nvdec
from pipelines.decode.probe import probe_video
from pipelines.parallel.sandbox import Limits, map_limited
from tests.helpers.damage import DAMAGES, damage
from tests.helpers.decoding import x264
from tests.helpers.media import write_video

NAMED = {"ok", "empty", "not_a_video", "truncated", "damaged", "no_video", "unsupported", "wrong_count"}
NAMED |= {"timeout", "out_of_memory"}


@pytest.mark.parametrize(
    ("codec", "ending", "options"),
    [("h264", "mp4", {"g": "10"}), ("hevc", "mp4", {}), ("vp9", "webm", {"g": "10"}), ("mpeg4", "avi", {})],
)
def test_randomly_damaged_files(tmp_path, codec, ending, options):
    """56 files of each kind, decoded strictly: each has a status, and the run goes on."""
    path = write_video(tmp_path / f"v.{ending}", 20, codec=codec, options=options)
    data, rng = path.read_bytes(), np.random.default_rng(0)
    paths = [str(tmp_path / f"{i}.{ending}") for i in range(56)]
    for i, damaged_path in enumerate(paths):
        Path(damaged_path).write_bytes(damage(data, DAMAGES[i % len(DAMAGES)], rng))
    decode = partial(probe_video, checked="decoded")
    results = dict(map_limited(decode, [*paths, str(path)], 2, Limits(seconds=20, megabytes=1000)))
    assert results.keys() == {*paths, str(path)}
    found = [result["status"] if isinstance(result, dict) else result.status for result in results.values()]
    assert set(found) <= NAMED
    assert {"ok", "damaged"} <= set(found)
    assert results[str(path)]["frames"] == 20


def test_a_decode_confirms_the_number_of_frames(tmp_path):
    for name, options in (("a.mp4", {}), ("b.mp4", {"pts": [40 * i - 200 for i in range(20)]}), ("c.avi", {})):
        path = write_video(tmp_path / name, 20, **options)
        assert probe_video(path, "decoded") == probe_video(path)
        assert probe_video(path)["frames"] == probe(path).frames


def test_a_decode_that_gives_fewer_frames_than_the_packets_promise(tmp_path):
    path = write_video(tmp_path / "v.mkv", 20, codec="mpeg4")
    with av.open(str(path)) as container:
        packet = [bytes(packet) for packet in container.demux(video=0)][10]
    not_coded = packet[:5] + bytes([packet[5] & ~0x20]) + packet[6:]  # vop_coded (ISO/IEC 14496-2, 6.2.5)
    path.write_bytes(path.read_bytes().replace(packet, not_coded))
    assert probe_video(path)["frames"] == 20
    assert probe_video(path, "decoded") == {
        "status": "wrong_count",
        "reason": f"{path}: its packets promise 20 frames, but 19 can be decoded; make a training copy",
    }


def test_what_nvdec_decodes(tmp_path):
    def info(ending="mp4", **options):
        return probe_video(write_video(tmp_path / f"v.{ending}", 3, **options))

    assert why_not_nvdec(info()) == why_not_nvdec(info(full_range=True)) == why_not_nvdec(info(codec="hevc")) == ""
    for codec in ("vp8", "vp9", "av1", "mpeg4"):
        assert why_not_nvdec(info("mkv", codec=codec)) == f"codec {codec}"
    assert why_not_nvdec(info(codec="hevc", pix_fmt="yuv420p10le")) == "pixel format yuv420p10le"
    assert why_not_nvdec(info(pix_fmt="yuv444p")) == "pixel format yuv444p"
    assert why_not_nvdec(info(rotation=90)) == "shown turned or mirrored"
    assert why_not_nvdec(info(options=x264("keyint=12:interlaced=1"))) == "interlaced"
    assert why_not_nvdec(info(size=(90, 128))) == why_not_nvdec(info(size=(96, 120))) != ""
