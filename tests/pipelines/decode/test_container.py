"""Files that are not what they should be: each gets its named status, at once, and nothing else is ever raised."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.decode import decode_frames
from pipelines.decode.frames import VideoError, probe
from pipelines.decode.remux import remux
from tests.helpers.damage import DAMAGES, damage
from tests.helpers.media import AUDIO_RATE, as_ffmpeg_shows_it, ffmpeg, frame_numbers, write_video

FASTSTART = {"movflags": "faststart"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}


def statuses(path: Path) -> set[str]:
    """What the three ways to read a file say of it."""
    found = set()
    for read in (probe, lambda path: decode_frames(path, [0, 5]), lambda path: remux(path, [0, 5])):
        with pytest.raises(VideoError) as error:
            read(path)
        assert str(path) in str(error.value)
        found.add(error.value.status)
    return found


def test_missing(tmp_path):
    assert statuses(tmp_path / "v.mp4") == {"missing"}
    (tmp_path / "link.mp4").symlink_to(tmp_path / "gone.mp4")
    assert statuses(tmp_path / "link.mp4") == {"missing"}


def test_not_a_file(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "fifo.mp4")  # reading it would block for ever
    assert statuses(tmp_path / "folder.mp4") == statuses(tmp_path / "fifo.mp4") == {"not_a_file"}


def test_empty(tmp_path):
    (tmp_path / "v.mp4").touch()
    assert statuses(tmp_path / "v.mp4") == {"empty"}


def test_an_avi_that_was_written_to_a_pipe(tmp_path):
    """Its writer could not go back to say how long it is."""
    video = write_video(tmp_path / "v.avi", 10)
    content = video.read_bytes()
    video.write_bytes(content[:4] + b"\xff" * 4 + content[8:])
    assert probe(video).frames == 10


@pytest.mark.parametrize("name", ["v\0.mp4", "v" * 300 + ".mp4"])
def test_unreadable(tmp_path, name):
    assert statuses(tmp_path / name) == {"unreadable"}


@pytest.mark.parametrize("name", ["v.txt", "v", "v.m3u8"])
def test_unknown_ending(tmp_path, name):
    write_video(tmp_path / "v.mp4", 10)
    shutil.copy(tmp_path / "v.mp4", tmp_path / name)
    assert statuses(tmp_path / name) == {"unknown_ending"}


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "ffconcat version 1.0\nfile sibling.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nsibling.mp4\n#EXT-X-ENDLIST\n",
        "x",
    ],
)
@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "webm", "avi", "flv", "wmv", "ogv", "ts", "mpg"])
def test_text(tmp_path, text, ending):
    """A playlist is not followed to the files that it names."""
    write_video(tmp_path / "sibling.mp4")
    (tmp_path / f"v.{ending}").write_text(text)
    assert statuses(tmp_path / f"v.{ending}") == {"not_a_video"}


def test_wrong_ending(tmp_path):
    write_video(tmp_path / "v.mkv", 10)
    (tmp_path / "v.mkv").rename(tmp_path / "v.mp4")
    assert statuses(tmp_path / "v.mp4") == {"not_a_video"}


def test_audio_alone(tmp_path):
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = AUDIO_RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    assert statuses(tmp_path / "v.mp4") == {"no_video"}


def test_video_without_frames(tmp_path):
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        container.start_encoding()
    assert statuses(tmp_path / "v.mkv") == {"damaged"}


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("mp4", {}),
        ("mp4", FASTSTART),
        ("mp4", FRAGMENTS),
        ("mov", FASTSTART),
        ("mkv", {}),
        ("avi", {}),
        ("asf", {}),
        ("ts", {}),
    ],
)
@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_truncated(tmp_path, ending, options, part):
    path = write_video(tmp_path / f"v.{ending}", options={"bf": "0", "g": "40"}, container_options=options, audio=True)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    assert statuses(path) <= {"truncated", "damaged"}


@pytest.mark.parametrize("ending", ["flv", "ogv", "mpg", "ts"])
def test_formats_that_do_not_say_how_long_they_are(tmp_path, ending):
    """Cut short, they are damaged or a shorter video; its frames are the right ones."""
    path = tmp_path / f"v.{ending}"
    codecs = {"ogv": "libtheora", "mpg": "mpeg2video"}
    write_video(tmp_path / "source.mp4", options={"crf": "1"})
    ffmpeg("-i", tmp_path / "source.mp4", "-c:v", codecs.get(ending, "libx264"), "-bf", 0, "-q:v", 3, path)
    data = path.read_bytes()
    for part in np.linspace(0.1, 0.95, 12):
        path.write_bytes(data[: int(len(data) * part) // 188 * 188])
        with suppress(VideoError):
            frames = decode_frames(path, range(probe(path).frames))
            assert frame_numbers(frames)[:-1].tolist() == list(range(len(frames) - 1))  # the last one may be cut
    path.write_bytes(data)
    assert probe(path).frames == 40


@pytest.mark.parametrize(("before", "behind"), [(0, 0), (4, 0), (0, 16)])
def test_a_transport_stream_that_begins_inside_a_packet(tmp_path, before, behind):
    """A part of a recording has the frames that FFmpeg finds in it."""
    source = write_video(tmp_path / "source.ts", options={"g": "10"}, audio=True).read_bytes()
    packets = [source[i : i + 188] for i in range(0, len(source), 188)]
    data, path = b"".join(bytes(before) + packet + bytes(behind) for packet in packets), tmp_path / "v.ts"
    for start, end in ((100, 0), (1234, 77), (len(data) // 2 + 7, 1)):
        path.write_bytes(data[start : len(data) - end])
        expected = as_ffmpeg_shows_it(path, 96, 128)
        assert len(expected) >= 10
        np.testing.assert_array_equal(decode_frames(path, range(probe(path).frames)), expected)


def test_what_is_no_transport_stream_at_any_place(tmp_path):
    lines = "".join(f"G{i:186}\n" for i in range(2)) + "#EXTINF:9,\nsibling.mp4\n" * 5000
    video = write_video(tmp_path / "v.mp4").read_bytes()
    for content in (lines.encode(), b"<html>G</html>" * 5000, video, bytes(10**5), b"G" * 10**5, os.urandom(10**5)):
        (tmp_path / "v.ts").write_bytes(content)
        assert statuses(tmp_path / "v.ts") == {"not_a_video"}


@pytest.mark.parametrize("inside", [0, 10])
def test_truncated_without_a_size(tmp_path, inside):
    """The box of media data may reach "to the end of the file", wherever that is."""
    path = write_video(tmp_path / "v.mp4", container_options=FASTSTART)
    with av.open(str(path)) as container:
        last = max(packet.pos for packet in container.demux(video=0) if packet.size)
    data = path.read_bytes()
    at = data.index(b"mdat") - 4
    path.write_bytes((data[:at] + bytes(4) + data[at + 4 :])[: last + inside])  # up to, or into, the last packet
    assert statuses(path) == {"damaged"}


def test_rubbish_after_the_end_is_harmless(tmp_path):
    for ending in ("mp4", "mkv", "avi"):
        path = write_video(tmp_path / f"v.{ending}", options={"bf": "0"})
        path.write_bytes(path.read_bytes() + b"rubbish" * 50)
        assert frame_numbers(decode_frames(path, [20]))[0] == 20


@pytest.mark.parametrize(
    "name", ["a:b.mp4", "concat:a|b.mp4", "-i.mp4", "$(touch x).mp4", "a b\n.mp4", "ä.mp4", "%d.mp4", "V.MP4"]
)
def test_odd_names_are_only_names(tmp_path, monkeypatch, name):
    write_video(tmp_path / "v.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert probe(name).frames == probe(tmp_path / name).frames == 40
    assert os.listdir(tmp_path) == [name]


def seen_or_unseen(path: Path, data: bytes, original: np.ndarray, frames: np.ndarray) -> str:
    """Read a damaged file in every way; "error", "equal" to the original, or "unseen" damage."""
    path.write_bytes(data)
    for read in (probe, lambda path: remux(path, frames)):
        with suppress(VideoError):
            read(path)
    try:
        pictures = decode_frames(path, frames)
    except VideoError:
        return "error"
    return "equal" if np.array_equal(pictures, original[frames]) else "unseen"


@pytest.mark.parametrize(
    ("codec", "ending", "options", "unseen"),
    [
        ("h264", "mp4", {"g": "20"}, 0.15),
        ("h264", "mkv", {"g": "20"}, 0.15),
        ("hevc", "mp4", {}, 0.35),
        ("vp9", "webm", {"g": "20"}, 0.55),
        ("av1", "mp4", {"g": "20"}, 0.1),
        ("mpeg4", "avi", {"g": "20"}, 0.2),
    ],
)
def test_random_damage(tmp_path, codec, ending, options, unseen):
    """A damaged file gives a named error or the right frames, except for damage that no decoder can see.

    Entropy coding has no checksums: changed bits inside a coded picture may decode without any error (of these small
    files they are the better part), and a demuxer goes on after lost Matroska blocks. `unseen` bounds their share.
    """
    path = write_video(tmp_path / f"v.{ending}", codec=codec, options=options)
    original, data = decode_frames(path, range(40)), path.read_bytes()
    rng = np.random.default_rng(0)
    results = []
    for number in range(42):
        damaged = damage(data, DAMAGES[number % len(DAMAGES)], rng)
        results.append(seen_or_unseen(path, damaged, original, rng.integers(0, 40, 4)))
    assert results.count("unseen") / len(results) <= unseen
    assert {"error", "equal"} <= set(results)


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1", "mpeg4"])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_much_random_damage(tmp_path, codec, ending):
    path = write_video(tmp_path / f"v.{ending}", codec=codec, audio=True)
    original, data = decode_frames(path, range(40)), path.read_bytes()
    rng = np.random.default_rng(1)
    for number in range(1000):
        seen_or_unseen(path, damage(data, DAMAGES[number % len(DAMAGES)], rng), original, rng.integers(0, 40, 4))
