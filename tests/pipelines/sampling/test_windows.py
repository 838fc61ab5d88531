"""Windows of long videos: their seconds, their frames, their audio."""

from itertools import pairwise

import numpy as np
import pytest

from pipelines.audio.clock import Tape
from pipelines.audio.decode import Piece
from pipelines.audio.from_video import window_spectrograms
from pipelines.audio.log_mel import AudioImage, log_mel_columns, silent_spectrogram, spectrogram
from pipelines.audio.read import AudioError, read_audio
from pipelines.decode.probe import probe_times
from pipelines.decode.timestamps import frame_times
from pipelines.sampling import validation_frames
from pipelines.sampling.windows import Span, WindowViews, span_frames, window_spans
from tests.helpers.audio_media import noise, write_clip
from tests.helpers.media import ffmpeg, write_video

SMALL = AudioImage(n_mels=16, spec_size=(3, 24, 24))


@pytest.mark.parametrize(
    ("duration", "window", "stride", "expected"),
    [
        (25, 10, 5, [(0, 10), (5, 15), (10, 20), (15, 25)]),
        (27, 10, 5, [(0, 10), (5, 15), (10, 20), (15, 25), (17, 27)]),
        (25.4, 10, 5, [(0, 10), (5, 15), (10, 20), (15, 25.4)]),
        (10.04, 10, 5, [(0, 10.04)]),
        (4, 10, 5, [(0, 4)]),
        (23, 5, 10, [(0, 5), (10, 15), (18, 23)]),  # windows that leave gaps
        (17, 5, 10, [(0, 5), (10, 15), (12, 17)]),
        (15.4, 5, 10, [(0, 5), (10, 15.4)]),
        (19, 2, 8, [(0, 2), (8, 10), (16, 18), (17, 19)]),
    ],
)
def test_windows_by_hand(duration, window, stride, expected):
    assert np.allclose(window_spans(duration, window, stride), expected)


def test_windows_cover_the_video_whatever_its_length():
    for duration in np.linspace(0.1, 40, 200):
        spans = window_spans(duration, 7.5, 2.5)
        assert spans[0].start == 0
        assert spans[-1].end == duration
        assert all(after.start <= before.end for before, after in pairwise(spans))
        if duration > 8.25:
            assert all(7.5 - 1e-9 <= end - start <= 8.25 for start, end in spans)


@pytest.mark.parametrize("stride", [0.5, 3, 7.5, 8, 20, 100])
def test_the_last_window_ends_with_the_video_whatever_the_stride(stride):
    for duration in np.linspace(0.1, 60, 150):
        spans = window_spans(duration, 7.5, stride)
        assert spans[-1].end == duration
        assert [span.start for span in spans[:-1]] == [stride * number for number in range(len(spans) - 1)]
        assert all(before.start < after.start for before, after in pairwise(spans))


def test_frames_of_a_window():
    times = np.arange(100) / 10
    assert span_frames(times, Span(2, 5)) == (20, 50)
    assert span_frames(times, Span(0.1 * 3, 5)) == (3, 50)  # a rounding away from the frame's time
    assert span_frames(np.array([0, 1, 9.0]), Span(3, 6)) == (1, 2)  # no frame begins: the one that is still shown
    views = WindowViews(frames=[(0, 30), (70, 100)])
    plan = views.plan(100, 48, 64, 4, seed=0, row=1, view=0)
    assert plan.frames.tolist() == (70 + validation_frames(30, 4)).tolist()
    assert plan.crop == (0, 8, 48, 48)


def test_times_of_frames(tmp_path):
    even = write_video(tmp_path / "even.mp4", 20, fps=10)
    assert np.allclose(probe_times(even)["times"], np.arange(20) / 10)
    shown = [0, 40, 80, 1000, 1040, 3000]
    uneven = write_video(tmp_path / "uneven.mp4", 6, pts=shown)
    assert np.allclose(probe_times(uneven)["times"], np.array(shown) / 1000)
    without = write_video(tmp_path / "without.avi", 20, fps=10, codec="mpeg4")
    assert np.allclose(frame_times(without, 20, 10.0)[1], np.arange(20) / 10)
    (tmp_path / "text.mp4").write_text("no video")
    assert probe_times(tmp_path / "text.mp4")["status"] == "not_a_video"


@pytest.mark.parametrize("channels", [1, 2])
def test_a_window_is_heard_with_its_own_audio(tmp_path, channels):
    path = write_clip(tmp_path / "a.mkv", noise(6, 8000, channels), 8000)
    audio, rate = read_audio(path)
    spans = [Span(0, 2), Span(1, 3.5), Span(3, 5), Span(4, 6), Span(5, 7), Span(7, 9)]
    found = list(window_spectrograms(path, spans, SMALL, 2))
    assert len(found) == len(spans)
    audio = np.pad(audio, ((0, 0), (0, rate)))  # behind its end it is silent
    for (start, end), shown in zip(spans[:5], found, strict=False):
        piece = audio[:2, round(start * rate) : round(end * rate)]
        assert np.array_equal(shown, spectrogram(log_mel_columns(piece, rate, SMALL), SMALL, 2))
    assert np.array_equal(found[5], silent_spectrogram(SMALL, 2))


def test_a_video_without_audio_is_silent_and_a_broken_one_an_error(tmp_path):
    path = write_clip(tmp_path / "a.mp4", None)
    (shown,) = window_spectrograms(path, [Span(0, 1)], SMALL, 1)
    assert np.array_equal(shown, silent_spectrogram(SMALL, 1))
    (tmp_path / "b.mp4").write_text("no video")
    with pytest.raises(AudioError, match=r"b\.mp4: the audio cannot be read"):
        next(window_spectrograms(tmp_path / "b.mp4", [Span(0, 1)], SMALL, 1))


@pytest.fixture(scope="module")
def gap(tmp_path_factory):
    """8 s of video; a tone from 1 s to 3 s and from 5 s to 7 s."""
    folder = tmp_path_factory.mktemp("clock")
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=8", "-bf", 2, folder / "video.mkv")
    sine = ("-itsoffset", 1, "-f", "lavfi", "-i", "sine=440:r=16000:d=6")
    cut = ("-af", "aselect='not(between(t,3,5))'")
    ffmpeg("-i", folder / "video.mkv", *sine, *cut, "-c:v", "copy", "-c:a", "flac", folder / "gap.mkv")
    return folder / "gap.mkv"


def loud(path):
    """Of each second of a video whether a tone is heard in it."""
    first_frame = probe_times(path)["first_frame"]
    shown = window_spectrograms(path, [Span(k, k + 1) for k in range(8)], SMALL, 1, first_frame)
    return "".join("#" if (picture.max(axis=(0, 1, 2)) > -6).mean() > 0.5 else "." for picture in shown)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mkv", "-c copy"),
        ("a.mp4", "-c:v copy -c:a aac"),
        ("a.mov", "-c:v copy -c:a alac"),
        ("a.mp4", "-c:v copy -c:a aac -movflags frag_keyframe+empty_moov"),
        ("a.flv", "-c:v copy -c:a aac"),
        ("a.ts", "-c:v copy -c:a mp2 -output_ts_offset 95440"),  # the clock overflows on the way
    ],
)
def test_audio_that_begins_late_and_has_a_gap_keeps_its_times(gap, tmp_path, name, how):
    path = tmp_path / name
    ffmpeg("-copyts", "-i", gap, *how.split(), path)
    assert loud(path) == ".##..##."
    joined, rate = read_audio(path)
    assert joined.shape[1] == pytest.approx(4 * rate, abs=0.3 * rate)  # as ffmpeg extracts it


def test_audio_that_begins_before_the_video_is_heard_from_the_first_frame_on(gap, tmp_path):
    ffmpeg("-itsoffset", 2, "-i", gap, "-i", gap, "-map", "0:v", "-map", "1:a", "-c", "copy", tmp_path / "a.mkv")
    assert loud(tmp_path / "a.mkv") == "#..##..."


def test_a_tape_follows_clocks_that_round_overlap_jump_and_start_anew():
    def tape(*times, size=100):
        result = Tape()
        for number, time in enumerate(times, 1):
            result.add(Piece(np.full((1, size), number, np.float32), 100, time))
        return result.cut(0, 8)[0, ::10].astype(int).tolist()

    assert tape(0, 1.04, None)[:31] == [1] * 10 + [2] * 10 + [3] * 10 + [0]
    assert tape(0, 0.5, 2.5)[:35] == [1] * 10 + [2] * 5 + [0] * 10 + [3] * 10
    assert tape(4, 5, 0, 1)[39:] == [0] + [1] * 10 + [2] * 10 + [3] * 10 + [4] * 10  # after 6 s, a clock set anew
    assert tape(0, 10**9)[:11] == [1] * 10 + [0]
