"""Training copies: frames, times and audio of the original, whatever it is; nothing left behind where that fails."""

import os
from dataclasses import replace

import av
import numpy as np
import pytest

from pipelines.audio.read import audio_pieces, read_audio
from pipelines.decode import decode_frames
from pipelines.decode.demux import demux_plain
from pipelines.decode.frames import probe
from pipelines.transcode.copy_folder import make_copy, not_made
from pipelines.transcode.copy_options import PROFILES, CopyOptions
from pipelines.transcode.training_copy import CopyError, copy_size, write_copy
from tests.helpers.audio_media import damage_audio_packet
from tests.helpers.copies import ORIGINALS, SMALL, VARIABLE, copied, times
from tests.helpers.decoding import demuxed
from tests.helpers.media import ffmpeg, frame_numbers, write_video


@pytest.mark.parametrize("name", ORIGINALS)
def test_frame_i_of_the_copy_is_frame_i_of_the_original(tmp_path, name):
    source = write_video(tmp_path / name, **{"frames": 40} | ORIGINALS[name])
    before, content = probe(source), source.read_bytes()
    target, info = copied(source)
    assert info.frames == before.frames
    everything = range(info.frames)
    original, copy = decode_frames(source, everything), decode_frames(target, everything)
    assert frame_numbers(copy).tolist() == frame_numbers(original).tolist()
    assert (info.height, info.width) == copy_size(before.height, before.width, 64)
    assert (info.codec, info.pix_fmt, info.rotation) == ("h264", "yuv420p", 0)
    assert abs(original.mean(axis=(1, 2)) - copy.mean(axis=(1, 2))).max() < 3  # colors
    if info.frames > 1:
        assert info.fps == pytest.approx(before.fps, rel=0.01)
        assert demux_plain(target) is not None
        shown = np.array(times(source)) - times(source)[0]
        if name != "order_unknown.avi":  # of which nobody knows
            np.testing.assert_allclose(times(target), shown, atol=1e-4)
    assert source.read_bytes() == content


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_pictures_are_turned_upright(tmp_path, rotation):
    source = write_video(tmp_path / "v.mp4", 10, (96, 128), rotation=rotation)
    target, info = copied(source, CopyOptions(short_side=96, fps=0, crf=10))
    original, copy = decode_frames(source, range(10)), decode_frames(target, range(10))
    assert original.shape == copy.shape  # 96 x 128 or 128 x 96: nothing is scaled
    assert np.abs(original.astype(int) - copy).mean() < 4
    assert info.rotation == 0


def test_times_of_a_variable_rate_are_kept(tmp_path):
    source = write_video(tmp_path / "v.mp4", len(VARIABLE), pts=VARIABLE)
    target, info = copied(source)
    assert info.variable_rate
    np.testing.assert_allclose(times(target), np.array(VARIABLE) / 1000, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        *(("v.mp4", "aac"), ("v.mkv", "libmp3lame"), ("v.mkv", "libopus"), ("v.avi", "pcm_s16le")),
        *(("v.avi", "adpcm_ms"), ("v.ts", "aac"), ("v.ts", "mp2"), ("v.flv", "aac"), ("v.wmv", "wmav2")),
    ],
)
def test_audio_is_kept(tmp_path, name, encoder):
    plain = write_video(tmp_path / "plain.mp4", audio=True)
    source = tmp_path / name
    ffmpeg("-i", plain, "-c:v", "copy", "-bf", 0, "-c:a", encoder, source)
    target, info = copied(source)
    (original, rate), (copy, copy_rate) = read_audio(source), read_audio(target)
    assert rate == copy_rate == info.audio_rate
    assert abs(original.shape[1] - copy.shape[1]) < 2000  # the padding at the end
    shifts = [0] if name.endswith(("mp4", "avi")) else range(-47, 48)  # Matroska and others count in milliseconds
    assert min(difference(original, copy, shift) for shift in shifts) < 2**-14


def test_plain_samples_are_the_same_and_keep_their_gap(tmp_path):
    picture, cut = "testsrc=s=96x64:r=10:d=4", "aselect='not(between(t,1,3))'"
    source = tmp_path / "v.mkv"
    sine = ("-f", "lavfi", "-i", "sine=440:r=16000:d=4", "-af", cut, "-c:a", "pcm_f32le")
    ffmpeg("-f", "lavfi", "-i", picture, *sine, source)
    target, _ = copied(source)
    np.testing.assert_array_equal(read_audio(source)[0], read_audio(target)[0])
    times = np.array([piece.time for piece in audio_pieces(target)])
    assert np.diff(times).max() == pytest.approx(2.2, abs=0.3)  # a packet takes 0.25 s
    assert times[0] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("name", "encoder"), [("v.mp4", "aac"), ("v.avi", "adpcm_ms")])
def test_a_packet_of_audio_that_cannot_be_decoded_is_passed_over_as_in_training(tmp_path, name, encoder):
    plain = write_video(tmp_path / "plain.mp4", 30, audio=True)
    ffmpeg("-i", plain, "-c:v", "copy", "-bf", 0, "-c:a", encoder, tmp_path / name)
    damage_audio_packet(tmp_path / name, 3)
    np.testing.assert_allclose(read_audio(copied(tmp_path / name)[0])[0], read_audio(tmp_path / name)[0], atol=2**-14)


def difference(original, copy, shift: int) -> float:
    """The largest difference of two audios if the copy is `shift` samples late, without the ends."""
    length = min(original.shape[1], copy.shape[1]) - 100
    return np.abs(original[:, 50:length] - copy[:, 50 + shift : length + shift]).max()


@pytest.mark.parametrize(("name", "codec"), [("v.mkv", "copy"), ("v.ts", "mpeg2video")])
def test_audio_stays_with_the_pictures(tmp_path, name, codec):
    """Where the first frame comes later than the audio, both move alike, whenever the clock of the file begins."""
    plain = write_video(tmp_path / "plain.mp4", audio=True)
    tracks = ("-map", "0:v", "-map", "1:a", "-c:v", codec, "-c:a", "copy")
    ffmpeg("-itsoffset", 0.5, "-i", plain, "-i", plain, *tracks, source := tmp_path / name)

    def offset(path):
        with av.open(str(path)) as container:
            starts = [
                stream.start_time * stream.time_base for stream in (*container.streams.video, *container.streams.audio)
            ]
            return float(starts[1] - starts[0])

    target, _ = copied(source)
    assert offset(source) == pytest.approx(-0.5, abs=0.05)
    assert offset(target) == pytest.approx(offset(source), abs=0.002)


@pytest.mark.parametrize(("profile", "most"), [("fast", 2), ("small", 6), ("every_frame", 4)])
def test_few_packets_are_needed(tmp_path, profile, most):
    """Any frame needs at most the reference pictures of its group and itself."""
    options = replace(PROFILES[profile][0], short_side=64)
    target, info = copied(write_video(tmp_path / "v.mp4", 120), options)
    assert info.frames == (120 if options.fps == 0 else 48)
    found = demuxed(target)
    for frame in range(info.frames):
        (run,) = found.runs({frame})
        assert len(run.packets) <= most


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_damaged_original_has_no_copy(tmp_path, part):
    source = write_video(tmp_path / "v.mkv", 60)
    write_copy(source, tmp_path / "copies/v.mp4", SMALL)
    before = (tmp_path / "copies/v.mp4").read_bytes()
    data = source.read_bytes()
    source.write_bytes(data[: int(part * len(data))])
    with pytest.raises(CopyError, match="v.mkv"):
        write_copy(source, tmp_path / "copies/v.mp4", SMALL)
    assert os.listdir(tmp_path / "copies") == ["v.mp4"]
    assert (tmp_path / "copies/v.mp4").read_bytes() == before


def test_pictures_of_another_size_are_refused(tmp_path):
    sizes = [(64, 96), (96, 64)]
    settings = {"codec": "mjpeg", "pix_fmt": "yuvj420p", "full_range": True}
    parts = [write_video(tmp_path / f"{i}.avi", 5, size, **settings) for i, size in enumerate(sizes)]
    source = tmp_path / "v.mkv"
    with av.open(str(source), "w") as output:
        track = None
        for part in parts:
            with av.open(str(part)) as container:
                track = track or output.add_stream_from_template(container.streams.video[0])
                for packet in container.demux(video=0):
                    if packet.size:
                        new = av.Packet(bytes(packet))
                        new.pts = new.dts = packet.pts + (5 if part is parts[1] else 0)
                        new.time_base, new.stream = packet.time_base, track
                        output.mux(new)
    with pytest.raises(CopyError, match="change their size"):
        write_copy(source, tmp_path / "copies/v.mp4", SMALL)


@pytest.mark.parametrize("size", [0, 8, 100])
def test_sides_are_multiples_of_16(size):
    with pytest.raises(ValueError, match=f"multiple of 16 pixels, up to 16384, got {size}"):
        CopyOptions(short_side=size)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((360, 640), (256, 448)), ((640, 360), (448, 256)), ((270, 360), (256, 336)), ((8, 800), (256, 25600))],
)
def test_sizes(size, expected):
    assert copy_size(*size, 256) == expected


def test_an_original_that_has_gone_is_a_failure_like_any_other(tmp_path):
    record = make_copy(tmp_path / "copies", "a", tmp_path / "a.mp4", CopyOptions())
    assert record["status"] == "failed"
    assert "a.mp4" in record["reason"]
    (tmp_path / "a.mp4").write_bytes(b"")
    assert list(not_made(tmp_path / "copies", {"a": tmp_path / "a.mp4"}, CopyOptions())) == ["a"]
