"""Which frames of a file belong to a piece, by their times in the index."""

import base64
import zlib

import numpy as np
import pytest

from pipelines.dataset.index_file import Facts, PieceFacts
from pipelines.dataset.list_line import WHOLE


def pieces_of(ticks, spans, rate=30, later=0.0, **known):
    """Of a file whose frames are shown at these times, in parts of a second. known: of it for dense sampling."""
    files = Facts(1, "", [".mp4"], timed=True, dense=bool(known))
    steps = zlib.compress(np.diff(ticks, prepend=ticks[0]).astype("<i4").tobytes())
    clock = f"{ticks[0]} 1 {rate} {later} {base64.b64encode(steps).decode()}"
    files.add(0, {"status": "ok", "frames": len(ticks), "height": 8, "width": 8, "clock": clock, **known})
    return PieceFacts(files, [0] * len(spans), spans, [f"list:{i + 1}: a" for i in range(len(spans))])


@pytest.mark.parametrize(
    ("span", "first", "frames"),
    [
        ((0.0, 1.0), 0, 30),
        ((0.3, 0.7), 9, 12),  # both are times of frames
        ((0.333333, 0.5), 10, 5),
        ((0.333334, 0.5), 10, 5),  # frame 10 is shown at 1/3 s, a rounding before
        ((0.1, 0.333333), 3, 7),
        ((0.1, 0.333334), 3, 7),  # and not in what ends there
        ((0.34, 0.36), 0, 0),
        ((0.0, WHOLE), 0, 300),
    ],
)
def test_frames_that_begin_in_a_piece(span, first, frames):
    facts = pieces_of(np.arange(300), [span])
    assert facts.frames[0] == frames
    assert (0 in facts.faulty) == (frames == 0)
    assert facts.first[0] == first or not frames


def test_a_whole_file_has_all_of_its_frames():
    """Also those before 0 s, as an edit list can have them, and of a copy that begins late."""
    for ticks, later in ((np.arange(-15, 285), 0.0), (np.arange(300), 7.5)):
        facts = pieces_of(ticks, [(0.0, WHOLE), (8.0, 9.0)], later=later)
        assert (facts.first[0], facts.frames[0], facts.part(0)) == (0, 300, None)
        assert (facts.first[1], facts.frames[1]) == ((255, 30) if later == 0 else (15, 30))
        assert facts.part(1) == (8.0, 9.0)


def test_the_audio_of_a_piece_begins_with_the_piece():
    """Here before its first frame, that of a whole file where the file says."""
    facts = pieces_of(np.arange(300), [(0.31, 2.0), (0.5, 2.0), (0.0, WHOLE)], rate=30, fps=30.0, audio_start=0.25)
    assert list(facts.audio_start) == pytest.approx([0.31 - 1 / 3, 0, 0.25])
    assert list(facts.rate) == [30, 30, 30]


def test_a_piece_that_ends_far_behind_its_file_is_named():
    facts = pieces_of(np.arange(300), [(9.0, 10.0), (9.0, 10.4), (9.0, 10.6), (0.0, WHOLE)])
    assert facts.frames.tolist() == [30, 30, 30, 300]
    assert facts.beyond == {2: "list:3: a: ends at 10.6 s; the frames of the file are shown from 0.000 to 10.000 s"}
