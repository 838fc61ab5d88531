"""Which of several tracks of audio is heard, and what is said where none can be decoded."""

import numpy as np
import pytest
import soundfile

from pipelines.audio.read import AudioError, read_audio
from pipelines.decode.frames import probe
from tests.helpers.audio_media import tone, without_decoder
from tests.helpers.media import ffmpeg


@pytest.mark.parametrize("undecodable", [0, 1])
@pytest.mark.parametrize("default", [0, 1])
def test_of_several_tracks_one_that_can_be_decoded_is_heard(tmp_path, undecodable, default):
    clip = two_tracks(tmp_path / "a.mp4", default)
    expected = [read_audio(path)[0] for path in (tmp_path / "0.wav", tmp_path / "1.wav")][1 - undecodable]
    without_decoder(clip, undecodable)
    np.testing.assert_allclose(read_audio(clip)[0][:, 2000:-2000], expected[:, 2000:16000], atol=0.05)
    assert (probe(clip).audio_rate, probe(clip).audio_channels) == (16000, 1)


def test_of_several_tracks_the_one_that_ffmpeg_extracts(tmp_path):
    low, high = ("-f", "lavfi", "-i", "sine=300:duration=1"), ("-f", "lavfi", "-i", "sine=3000:duration=1")
    maps = ("-map", 0, "-map", 1, "-map", 2, "-c:a:0", "aac", "-c:a:1", "libmp3lame", "-disposition:a", 0)
    for name, more in (("first.mkv", ()), ("channels.mkv", ("-ac:a:1", 2)), ("default.mkv", ("-disposition:a:1", 1))):
        ffmpeg("-f", "lavfi", "-i", "testsrc=d=1", *low, *high, *maps, *more, clip := tmp_path / name)
        ffmpeg("-i", clip, extracted := tmp_path / f"{name}.wav")
        np.testing.assert_array_equal(read_audio(clip)[0], read_audio(extracted)[0])


def two_tracks(path, default=0):
    """A video with a low and a high tone, of which one is the default."""
    inputs = ["-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=1.125"]
    for number, hertz in enumerate((300, 3000)):
        soundfile.write(path.parent / f"{number}.wav", tone(hertz, 1.125, 16000)[0], 16000)
        inputs += ["-i", path.parent / f"{number}.wav"]
    marks = ["-disposition:a", 0, f"-disposition:a:{default}", "default"]
    ffmpeg(*inputs, "-map", 0, "-map", 1, "-map", 2, "-c:a", "aac", *marks, path)
    return path


def test_only_tracks_without_a_decoder_are_an_error_that_names_them(tmp_path):
    clip = without_decoder(two_tracks(tmp_path / "a.mp4"), 0, 1)
    with pytest.raises(AudioError, match=r"a\.mp4: the audio cannot be read \(no decoder for zzzz\); convert it"):
        read_audio(clip)
    assert probe(clip).audio_rate == -1


def test_a_format_that_the_file_does_not_name(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", clip := tmp_path / "a.mkv")
    clip.write_bytes(clip.read_bytes().replace(b"A_AAC", b"A_XYZ"))
    with pytest.raises(AudioError, match="no decoder for its format"):
        read_audio(clip)
