"""Audio out of files: the right samples, and a clear reason where there are none."""

import os
from fractions import Fraction

import av
import ffmpeg
import numpy as np
import pytest
import soundfile

from pipelines.audio.log_mel import AudioImage
from pipelines.audio.read import AudioError, NoAudioError, read_audio
from pipelines.mel import log_mel_picture
from pipelines.transcode.ffmpeg import run_ffmpeg
from tests.helpers.audio_media import damage_audio_packet, noise, tone, write_clip
from tests.helpers.media import ffmpeg as media_ffmpeg


@pytest.mark.parametrize(("subtype", "step"), [("PCM_16", 2**-15), ("PCM_24", 2**-23), ("FLOAT", 1e-9)])
def test_a_wav_gives_its_samples(tmp_path, subtype, step):
    audio = noise(0.1, 22050, channels=2)
    soundfile.write(tmp_path / "a.wav", audio.T, 22050, subtype)
    found, rate = read_audio(tmp_path / "a.wav")
    assert rate == 22050
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, audio, atol=step, rtol=0)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".flv", ".wmv"])
def test_a_video_gives_the_samples_that_ffmpeg_extracts(tmp_path, ending):
    rate = 48000  # too loud in parts: clipped
    audio = np.concatenate([tone(500, 0.3, rate, 2, loudness=1.5), 0.1 * noise(0.25, rate, 2)], axis=1)
    clip = write_clip(tmp_path / f"a{ending}", audio, rate)
    media_ffmpeg("-i", clip, tmp_path / "a.wav")
    (extracted, _), (found, found_rate) = read_audio(tmp_path / "a.wav"), read_audio(clip)
    assert found_rate == rate
    np.testing.assert_array_equal(found, extracted)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mp4", "-c:a aac -ac 6"),
        ("a.mkv", "-c:a pcm_f32le -ac 1 -ar 22050"),
        ("a.mov", "-c:a pcm_s24le"),
        ("a.mkv", "-c:a flac -sample_fmt s32"),
        ("a.mp4", "-c:a libmp3lame -ar 44100"),
        ("a.mp4", "-c:a ac3 -ac 6"),
        ("a.mp4", "-c:a libopus"),
        ("a.mkv", "-c:a libvorbis"),
        ("a.avi", "-c:a pcm_u8 -ac 1 -ar 8000"),
    ],
)
def test_a_video_and_its_wav_give_the_same_picture(tmp_path, name, how):
    clip, source = tmp_path / name, ("-f", "lavfi", "-i", "anoisesrc=a=0.9:d=0.73:r=48000")
    media_ffmpeg(*source, "-af", "pan=5.1|c0=c0|c1=0.5*c0|c2=c0|c3=c0|c4=c0|c5=c0,volume=2", *how.split(), clip)
    media_ffmpeg("-i", clip, "-c:a", "pcm_s16le", tmp_path / "a.wav")
    options = AudioImage(n_mels=64, spec_size=(3, 64, 96))
    shown = [log_mel_picture(path, options, 2) for path in (clip, tmp_path / "a.wav")]
    np.testing.assert_allclose(*shown, atol=1e-3, rtol=0)


def test_aac_begins_where_the_audio_begins(tmp_path):
    """The encoder's 1024 priming samples are left out: a click stays where it was."""
    audio = np.zeros((1, 8000), np.float32)
    audio[0, 3000:3010] = 0.9
    found, _ = read_audio(write_clip(tmp_path / "a.mp4", audio, 16000))
    assert abs(int(np.argmax(np.abs(found[0]))) - 3005) <= 10


def test_rate_and_channels_that_change_on_the_way(tmp_path):
    path = tmp_path / "a.mkv"
    parts = [("mono", tone(440, 0.5, 44100), 44100), ("stereo", tone(440, 0.5, 22050, 2), 22050)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp3", rate=44100, layout="mono")
        start = Fraction(0)
        for layout, audio, rate in parts:
            for packet in mp3_packets(layout, audio, rate):
                packet.stream, packet.time_base = stream, Fraction(1, 1000)
                packet.pts = packet.dts = int(start * 1000)
                start += Fraction(1152 if rate == 44100 else 576, rate)
                container.mux(packet)
    found, rate = read_audio(path)
    assert (rate, found.shape[0]) == (44100, 1)
    assert found.shape[1] == pytest.approx(44100, abs=4 * 1152)
    for half in (found[0, 4000:18000], found[0, 26000:40000]):  # both are still 440 Hz
        assert np.argmax(np.abs(np.fft.rfft(half))) == pytest.approx(440 * len(half) / 44100, abs=1)


def mp3_packets(layout, audio, rate):
    encoder = av.CodecContext.create("mp3", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.time_base = rate, layout, "fltp", Fraction(1, rate)
    encoder.open()
    size = encoder.frame_size
    for start in range(0, audio.shape[1] - size, size):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio[:, start : start + size]), "fltp", layout)
        frame.sample_rate, frame.pts = rate, start
        yield from encoder.encode(frame)
    yield from encoder.encode(None)


def test_a_packet_that_cannot_be_decoded_is_passed_over(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", noise(1.0, 16000), 16000)
    whole, _ = read_audio(clip)
    damage_audio_packet(clip, 5)
    found, _ = read_audio(clip)
    assert whole.shape[1] - 3 * 1024 <= found.shape[1] < whole.shape[1]


def test_no_audio(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros((0, 1)), 16000)
    silent = write_clip(tmp_path / "silent.mp4", None)
    for path in (tmp_path / "empty.wav", silent):
        with pytest.raises(NoAudioError, match=path.name):
            read_audio(path)


@pytest.mark.parametrize("riff", [None, b"\0\0\0\0", b"\xff\xff\xff\xff"])
@pytest.mark.parametrize("before", [b"", b"LIST\x07\0\0\0INFOabc\0"])
def test_a_wav_whose_head_was_never_finished_is_read_to_its_end(tmp_path, riff, before):
    path, audio = tmp_path / "a.wav", noise(0.1, 16000)
    soundfile.write(path, audio.T, 16000, "PCM_16")
    whole = path.read_bytes()
    at = whole.index(b"data")
    head = whole[:4] + (riff or whole[4:8]) + whole[8:at] + before
    for length in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
        path.write_bytes(head + b"data" + length + whole[at + 8 :])
        np.testing.assert_allclose(read_audio(path)[0], audio, atol=2**-15)
    path.write_bytes(head + b"data\0\0\0\0" + whole[at + 8 : -101])  # and cut short: what is there
    assert read_audio(path)[0].shape == (1, 1549)


def test_a_wav_without_samples_is_silent_unless_something_follows(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((0, 1)), 16000, "PCM_16")
    empty = path.read_bytes()
    path.write_bytes(empty + b"LIST\x0c\0\0\0INFOISFT\0\0\0\0")  # a title is no audio
    with pytest.raises(NoAudioError):
        read_audio(path)
    large = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0" + bytes(28) + empty[12:-4] + b"\xff\xff\xff\xff"
    path.write_bytes(large + bytes(100))
    with pytest.raises(AudioError, match=r"a\.wav: its head speaks of no samples, but 100 bytes follow"):
        read_audio(path)


@pytest.mark.parametrize("name", ["a.wav", "a.mp4", "a.mkv"])
@pytest.mark.parametrize("content", [None, b"", b"something else " * 100, b"ffconcat version 1.0\nfile other.mp4\n"])
def test_a_file_that_is_something_else(tmp_path, name, content):
    """A playlist must not be taken for the file that it names."""
    write_clip(tmp_path / "other.mp4", tone(440, 0.2, 16000))
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError, match=rf"{name}: .*\(.+\)"):
        read_audio(path)


def test_a_wav_that_is_cut_short(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(0.1, 16000).T, 16000, "PCM_16")
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    with pytest.raises(AudioError, match=r"a\.wav: cut short, 1000 of at least 3244 bytes are there; extract it again"):
        read_audio(path)
    place = whole.index(b"data") + 4
    for length in (b"\xff\xff\xff\xff", b"\x00\xf0\xff\x7f"):  # as ffmpeg and sox write to a pipe
        path.write_bytes(whole[:place] + length + whole[place + 4 :])
        assert read_audio(path)[0].shape == (1, 1600)
    path.write_bytes(whole + b"LIST\x09\0\0\0abc")  # what is missing is no audio
    assert read_audio(path)[0].shape == (1, 1600)


def test_an_unknown_ending(tmp_path):
    with pytest.raises(AudioError, match=r"a\.txt: unknown ending; expected \.wav or a video: \.mp4"):
        read_audio(tmp_path / "a.txt")


def test_values_that_are_no_numbers(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.0, np.nan, 0.5], np.float32), 16000, "FLOAT")
    with pytest.raises(AudioError, match="not finite"):
        read_audio(tmp_path / "a.wav")


def test_audio_of_which_nothing_can_be_decoded(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", noise(0.5, 16000), 16000)
    content = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        for packet in container.demux(audio=0):
            if packet.size:
                content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    clip.write_bytes(content)
    with pytest.raises(AudioError, match=r"a\.mp4: the audio cannot be read"):
        read_audio(clip)


def test_a_fifo_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")  # it would wait for a writer
    with pytest.raises(AudioError, match="is a folder, FIFO or device"):
        read_audio(tmp_path / "a.mp4")


def test_tags_need_not_be_utf8(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", noise(0.2, 16000), 16000)
    tagged = tmp_path / "tagged.mp4"
    run_ffmpeg(ffmpeg.output(ffmpeg.input(str(clip)), str(tagged), c="copy", metadata="title=QQQQ"))
    content = tagged.read_bytes()
    assert b"QQQQ" in content
    tagged.write_bytes(content.replace(b"QQQQ", b"caf\xe9"))
    np.testing.assert_array_equal(read_audio(tagged)[0], read_audio(clip)[0])


@pytest.mark.parametrize("name", ["concat:a|b.mp4", "-i.mp4", "$(touch x).mp4", "%d.mp4"])
def test_odd_names_are_only_names(tmp_path, monkeypatch, name):
    write_clip(tmp_path / "a.mp4", noise(0.2, 16000), 16000).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert read_audio(name)[1] == 16000
    assert os.listdir(tmp_path) == [name]
