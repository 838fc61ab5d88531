"""Copies that keep fewer frames: the right ones, once each, whatever the original is."""

from itertools import islice

import numpy as np
import pytest

from pipelines.decode import decode_frames, reader
from pipelines.decode.frames import probe
from pipelines.transcode.copy_options import CopyOptions
from tests.helpers.copies import ORIGINALS, VARIABLE, copied, times
from tests.helpers.media import frame_numbers, write_video


@pytest.mark.parametrize(("rate", "fps", "expected"), [(30, 10, range(0, 45, 3)), (25, 10, None), (10, 25, range(45))])
def test_thinned(tmp_path, rate, fps, expected):
    source = write_video(tmp_path / "v.mp4", 45, fps=rate)
    target, info = copied(source, CopyOptions(short_side=64, preset="veryfast", fps=fps))
    if expected is None:  # by the rule: the first frame at or after each tenth of a second
        expected = [int(np.ceil(j / fps * rate - 1e-6)) for j in range(18)]
    numbers = frame_numbers(decode_frames(target, range(info.frames)))
    assert numbers.tolist() == list(expected)
    np.testing.assert_allclose(times(target), np.array(expected) / rate, atol=1e-4)


@pytest.mark.parametrize("name", ["hevc.mkv", "vp9.webm", "order_unknown.avi", "stream.ts", "edit_list.mp4"])
@pytest.mark.parametrize("breaks_a_rule", [False, True])
def test_thinned_whatever_the_original_is(tmp_path, monkeypatch, name, breaks_a_rule):
    """Frames are kept once each, and in turn, also where a stream turns out not to be as its headers say."""
    source = write_video(tmp_path / name, **{"frames": 40} | ORIGINALS[name])
    if breaks_a_rule:
        decode_run = reader._decode_run

        def stop_early(codec, demuxed, run):
            yield from islice(decode_run(codec, demuxed, run), 3)
            raise reader._SelectionError

        monkeypatch.setattr(reader, "_decode_run", stop_early)
    target, _ = copied(source, CopyOptions(short_side=64, preset="veryfast", fps=10))
    monkeypatch.undo()
    shown = np.array(times(source)) - times(source)[0]
    if name == "order_unknown.avi":  # of which nobody knows
        shown = np.arange(40) / 25
    originals, expected = frame_numbers(decode_frames(source, range(probe(source).frames))), []
    for number, time in enumerate(shown):
        if not expected or int(time * 10 + 1e-6) > int(shown[expected[-1]] * 10 + 1e-6):
            expected.append(number)
    found = frame_numbers(decode_frames(target, range(probe(target).frames)))
    assert found.tolist() == originals[expected].tolist()


def test_thinned_variable_rate(tmp_path):
    source = write_video(tmp_path / "v.mp4", len(VARIABLE), pts=VARIABLE)
    target, info = copied(source, CopyOptions(short_side=64, preset="veryfast", fps=10))
    numbers = frame_numbers(decode_frames(target, range(info.frames)))
    assert numbers.tolist() == [0, 3, 5, 7, 9]  # at 0, 160, 300, 600, 700 ms; nothing is shown anew at 400 and 500
