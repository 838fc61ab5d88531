"""Training copies for tests, and the originals that they are made of."""

import os

from pipelines.decode.container import open_video, video_stream
from pipelines.decode.frames import probe
from pipelines.transcode.copy_options import CopyOptions
from pipelines.transcode.training_copy import write_copy

SMALL = CopyOptions(short_side=64, fps=0, crf=20, preset="veryfast", group=16, b_frames=7)
VARIABLE = [0, 40, 80, 160, 170, 300, 340, 600, 610, 700]

ORIGINALS = {
    "h264.mp4": {"audio": True},
    "hevc.mkv": {"codec": "hevc", "audio": True},
    "vp9.webm": {"codec": "vp9", "audio": True},
    "av1.mp4": {"codec": "av1"},
    "mpeg4.avi": {"codec": "mpeg4", "audio": True},
    "order_unknown.avi": {"options": {"bf": "3", "x264-params": "b-adapt=0"}},
    "mjpeg.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "full_range": True},
    "odd_size.mp4": {"size": (91, 131), "pix_fmt": "yuv444p"},
    "ten_bit.mkv": {"codec": "hevc", "pix_fmt": "yuv420p10le"},
    "edit_list.mp4": {"pts": [40 * (i - 4) for i in range(40)]},
    "late_start.mkv": {"pts": [5000 + 40 * i for i in range(40)]},
    "stream.ts": {},
    "flash.flv": {},
    "one_frame.mp4": {"frames": 1},
    "three_frames.mp4": {"frames": 3},
    "large.mp4": {"size": (240, 426)},
}


def times(path) -> list[float]:
    """When each frame is shown, in seconds."""
    with open_video(path) as container:
        stream = video_stream(path, container)
        return [float(picture.pts * picture.time_base) for picture in container.decode(stream)]


def copied(source, options=SMALL):
    """The copy of a video in a folder of its own."""
    target = source.parent / "copies" / f"{source.stem}.mp4"
    frames = write_copy(source, target, options)
    info = probe(target)
    assert info.frames == frames
    assert os.listdir(target.parent) == [target.name]
    return target, info
