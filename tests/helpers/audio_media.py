"""Small clips with a given audio, for tests."""

import re
from pathlib import Path

import av
import numpy as np

AUDIO_ENCODERS = {".webm": "libopus", ".avi": "mp3", ".mkv": "flac"}  # AAC in others


def tone(frequency: float, seconds: float, rate: int, channels: int = 1, loudness: float = 0.3) -> np.ndarray:
    """A sine, float32 (channels, samples)."""
    time = np.arange(round(seconds * rate)) / rate
    wave = loudness * np.sin(2 * np.pi * frequency * time)
    return np.tile(wave.astype(np.float32), (channels, 1))


def noise(seconds: float, rate: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """White noise, float32 (channels, samples)."""
    shape = (channels, round(seconds * rate))
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def write_clip(path: str | Path, audio: np.ndarray | None, rate: int = 16000, frames: int = 5) -> Path:
    """Write a video of `frames` grey pictures at 10 frames per second with `audio` (channels, samples) or none."""
    path = Path(path)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libvpx" if path.suffix == ".webm" else "libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        track = None
        if audio is not None:
            layout = "mono" if len(audio) == 1 else "stereo"
            track = container.add_stream(AUDIO_ENCODERS.get(path.suffix, "aac"), rate=rate, layout=layout)
        for number in range(frames):
            picture = np.full((48, 64, 3), 20 * number, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(video.encode(None))
        if track is not None:
            samples = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio), format="fltp", layout=layout)
            samples.sample_rate, samples.pts = rate, 0  # without a time, nothing says which samples are priming
            resampler = av.AudioResampler(format=track.format, frame_size=track.frame_size or 1024)
            for piece in [*resampler.resample(samples), *resampler.resample(None)]:
                container.mux(track.encode(piece))
            container.mux(track.encode(None))
    return path


def without_decoder(clip: Path, *tracks: int) -> Path:
    """Give these tracks of AAC in an MP4 file a name that no decoder has; the container stays whole."""
    content = bytearray(clip.read_bytes())
    places = [found.start() for found in re.finditer(b"mp4a", content)]
    for track in tracks:
        content[places[track] : places[track] + 4] = b"zzzz"
        at = content.index(b"esds", places[track])
        content[at : at + 4] = b"free"
    clip.write_bytes(content)
    return clip


def damage_audio_packet(clip: Path, number: int) -> None:
    """Overwrite a packet of the audio; the container stays whole."""
    with av.open(str(clip)) as container:
        packet = [packet for packet in container.demux(audio=0) if packet.size][number]
    content = bytearray(clip.read_bytes())
    content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    clip.write_bytes(content)
