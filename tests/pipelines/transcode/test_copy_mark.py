"""Copies whose pictures are told from the table of the file: exact, also where another program wrote it anew."""

import numpy as np
import pytest

from pipelines.decode import decode_frames
from pipelines.decode.bitstream.mp4 import COPY_MARK
from pipelines.decode.demux import demux_plain
from pipelines.decode.reader import VideoReader
from pipelines.transcode.copy_options import CopyOptions
from tests.helpers.copies import copied
from tests.helpers.media import ffmpeg, write_video


def read_by_the_mark(path) -> bool:
    """Whether the headers of its pictures are left unread. Whatever is read, wanted frames are those of all frames."""
    demuxed, _ = demux_plain(path)
    everything = decode_frames(path, range(len(demuxed.shown)))
    for frame in range(len(demuxed.shown)):
        np.testing.assert_array_equal(decode_frames(path, [frame])[0], everything[frame])
    some = [1, 2, 8, 9, 19]
    np.testing.assert_array_equal(decode_frames(path, some), everything[some])
    with VideoReader(path) as video:
        assert video.demuxed.shown == demuxed.shown
        assert [fact.start for fact in video.demuxed.facts] == [fact.start for fact in demuxed.facts]
    return demuxed.facts[0].order is None


@pytest.mark.parametrize("group", [1, 2, 5])
def test_the_pictures_of_a_copy_are_told_from_its_table(tmp_path, group):
    source = write_video(tmp_path / "v.mp4", 40, audio=True)
    target, _ = copied(source, CopyOptions(short_side=64, fps=0, group=group))
    assert read_by_the_mark(target)
    assert not read_by_the_mark(copied(source, CopyOptions(short_side=64, fps=0, group=8, b_frames=2))[0])
    target, _ = copied(source, CopyOptions(short_side=64, fps=0, group=group))
    data = target.read_bytes()
    target.write_bytes(data.replace(COPY_MARK, b"x" * len(COPY_MARK)))
    assert not read_by_the_mark(target)


@pytest.mark.parametrize(
    ("arguments", "marked"),
    [
        (("-ss", "0.5", "-c", "copy"), True),  # begins at another group
        (("-c:v", "libx264", "-bf", "2", "-g", "12"), False),
        (("-c:v", "libx264", "-bf", "0", "-slices", "2"), False),
        (("-c:v", "libx264", "-bf", "0", "-intra-refresh", "1", "-g", "8"), False),
        (("-c:v", "libx265", "-x265-params", "log-level=none:pools=none:frame-threads=1"), False),
    ],
)
def test_a_copy_that_another_program_wrote_anew_keeps_its_mark(tmp_path, arguments, marked):
    target, _ = copied(write_video(tmp_path / "v.mp4", 40), CopyOptions(short_side=64, fps=0, group=4))
    ffmpeg("-i", target, *arguments, anew := tmp_path / "anew.mp4")
    assert COPY_MARK in anew.read_bytes()
    if demux_plain(anew) is None:
        assert not marked
    else:
        assert read_by_the_mark(anew) == marked
