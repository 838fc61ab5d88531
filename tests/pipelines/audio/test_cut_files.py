"""A piece of a file beside the same seconds that ffmpeg cuts out of it without encoding, at a random access point."""

from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.audio import entry
from pipelines.audio.piece_samples import piece_samples
from pipelines.audio.read import audio_pieces, open_audio, read_audio
from pipelines.decode import decode_frames
from tests.helpers.media import ffmpeg

RATE, GROUP = 48000, 24
NOISY = f"aevalsrc=0.3*sin(2*PI*(150+170*t)*t)+0.1*(random(0)-0.5):d=5:s={RATE}"
"""With noise, which AAC and Opus make anew when they decode, by numbers that depend on what was decoded before."""


MP4 = [(codec, "mp4", b_frames) for codec in ("aac", "libopus", "libmp3lame") for b_frames in (0, 2)]
MKV = [(codec, "mkv", 0) for codec in ("aac", "libopus", "libmp3lame", "libvorbis", "flac")]
"""Without B-frames, with which ffmpeg cuts Matroska a group earlier."""


def access_points(path: Path) -> list[float]:
    """When the frames are shown that need no other, in seconds."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        return [float(packet.pts * stream.time_base) for packet in container.demux(stream) if packet.is_keyframe]


@pytest.mark.parametrize("fps", ["25", "30000/1001"])
@pytest.mark.parametrize(("codec", "ending", "b_frames"), MP4 + MKV)
def test_a_cut_file_is_the_piece(tmp_path, codec, ending, b_frames, fps):
    long, cut = tmp_path / f"long.{ending}", tmp_path / f"cut.{ending}"
    video = ("-c:v", "libx264", "-g", GROUP, "-sc_threshold", 0, "-bf", b_frames)
    ffmpeg("-f", "lavfi", "-i", f"testsrc=s=64x48:r={fps}:d=5", "-f", "lavfi", "-i", NOISY, *video, "-c:a", codec, long)
    start, end = access_points(long)[2:5:2]
    ffmpeg("-ss", start, "-i", long, "-t", end - start, "-c", "copy", cut)
    first = 2 * GROUP
    np.testing.assert_array_equal(decode_frames(cut, range(GROUP)), decode_frames(long, range(first, first + GROUP)))
    _, (piece, rate), _ = piece_samples(long, [(0.5, 1.0), (start, end), (start + 0.1, end)])
    ((own, _),) = piece_samples(cut, [(0.0, end - start)])
    whole, own_rate = read_audio(cut)
    assert rate == own_rate == RATE
    np.testing.assert_array_equal(piece, own)
    np.testing.assert_array_equal(piece, whole[:, : piece.shape[1]])
    assert whole.shape[1] - piece.shape[1] < 0.025 * RATE  # what its last packet holds beyond the end
    assert piece.shape[1] / RATE == pytest.approx(end - start, abs=0.05)
    assert piece.std() > 0.1


@pytest.mark.parametrize(("ending", "group"), [("ts", 10), ("mp4", 400)])
def test_where_no_access_point_is_near_the_file_is_read_from_its_beginning(tmp_path, ending, group):
    path = tmp_path / f"long.{ending}"
    sources = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=40", "-f", "lavfi", "-i", NOISY.replace("d=5", "d=40"))
    ffmpeg(*sources, "-c:v", "libx264", "-g", group, "-sc_threshold", 0, path)
    whole = np.concatenate([piece.samples for piece in audio_pieces(path)], axis=1)
    begin = next(audio_pieces(path)).time
    parts = [(begin + start, begin + start + 0.5) for start in (0.0, 35.0, 35.25, 38.0)]
    for (start, _), (piece, rate) in zip(parts, piece_samples(path, parts), strict=True):
        first = round((start - begin) * rate)
        np.testing.assert_array_equal(piece, whole[:, first : first + rate // 2])


def test_a_file_is_opened_once_for_all_pieces(tmp_path, monkeypatch):
    path, opened = tmp_path / "long.mp4", []
    sources = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=5", "-f", "lavfi", "-i", NOISY)
    ffmpeg(*sources, "-c:v", "libx264", "-g", 10, path)
    monkeypatch.setattr(entry, "open_audio", lambda path: opened.append(path) or open_audio(path))
    found = list(piece_samples(path, [(start / 4, start / 4 + 1) for start in range(8, 16)]))
    assert [piece.shape[1] for piece, _ in found] == [RATE] * 8
    assert opened == [path]


def test_a_piece_from_the_beginning_is_the_beginning(tmp_path):
    path = tmp_path / "long.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=5", "-f", "lavfi", "-i", NOISY, "-c:v", "libx264", "-bf", 0, path
    )
    ((piece, _),) = piece_samples(path, [(0.0, 2.0)])
    np.testing.assert_array_equal(piece, read_audio(path)[0][:, : 2 * RATE])
