"""One training copy of a video: small, upright, of square pixels, with its audio, and fast to take single frames from.

A copy is H.264 in MP4, 8 bit 4:2:0, both sides multiples of 16 (so that NVDEC can use a decoder again).
"""

import math
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from pipelines.audio.clock import BEGINS
from pipelines.audio.decode import AudioError
from pipelines.decode.bitstream.mp4 import COPY_MARK
from pipelines.decode.container import VideoError, open_video
from pipelines.decode.frames import shown_size
from pipelines.decode.orientation import Orientation, levelled, orientation, pixel_aspect
from pipelines.decode.reader import VideoReader
from pipelines.decode.rgb import color_range
from pipelines.files.atomic import temporary_path
from pipelines.sampling.plan import displayed_size
from pipelines.transcode.audio_track import AudioTrack, audio_start, decoding_time
from pipelines.transcode.copy_check import fault_of_copy, fields
from pipelines.transcode.copy_options import LARGEST, MULTIPLE, CopyOptions


class CopyError(ValueError):
    """No copy could be made of a video; the text names the file and the reason."""


def copy_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Height and width of the copy of a frame: the long side in proportion, rounded to a multiple of 16.

    360 x 640 at 256: 256 x 448.
    """
    scale = short_side / min(height, width)
    height, width = (max(1, round(side * scale / MULTIPLE)) * MULTIPLE for side in (height, width))
    return height, width


def write_copy(source: str | Path, target: str | Path, options: CopyOptions) -> int:
    """Write the copy of a video, as a whole or not at all, and read it back; the number of its frames.

    Frame i of the copy is frame i of the original (`pipelines.decode.frames` says how frames are counted). With `fps`,
    those are kept that are, for some whole j, the first one shown j / fps seconds after the first frame or later; none
    twice. Times stay as they are, but begin at 0; where those of the original begin later is noted. The audio is kept;
    what MP4 cannot hold becomes FLAC.

    Raises:
        CopyError: the original is damaged, or the copy is not as it should be.
        OSError: the copy cannot be written.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary_path(target) as temporary:
            written, audio_packets = _write(source, temporary, options)
            if fault := fault_of_copy(temporary, written, audio_packets, options.crf):
                raise CopyError(f"{source}: its copy {fault}")
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
    except (VideoError, AudioError) as error:
        raise CopyError(str(error)) from error
    except av.FFmpegError as error:
        raise CopyError(f"{source}: no copy could be made ({error.strerror})") from error
    return len(written)


def _write(source: str | Path, temporary: Path, options: CopyOptions) -> tuple[list[np.ndarray], int]:
    """Write the copy; the fields of its frames as they went in, and the number of its packets of audio."""
    written: list[np.ndarray] = []
    with VideoReader(source) as video, open_video(source) as audio_source, _new_file(temporary, options) as output:
        stream, timed, tick = video.stream, bool(video.demuxed.shown), _tick(video)
        track, size, reformatter = None, None, VideoReformatter()
        for ticks, frame in _kept(video, tick, options.fps):
            if track is None:
                size = shown_size(frame)
                displayed = displayed_size(*size, pixel_aspect(stream, orientation(frame)))
                height, width = copy_size(*displayed, options.short_side)
                _check_size(source, height, width)
                track = _video_track(output, frame, options, tick, stream)
                track.height, track.width = height, width
                first = (ticks if timed else stream.start_time or 0) * video.tick
                ahead = (first - _start(source, first)) / tick  # from what becomes 0 to the first frame
                before = round(ahead) if timed else math.ceil(ahead)  # the latter are long
                begins, zero = first - before * tick, ticks - before
                if begins:
                    output.metadata["description"] = BEGINS.format(f"{float(begins):.9f}")
                audio = AudioTrack(source, audio_source, output, begins)
            if shown_size(frame) != size:
                raise CopyError(f"{source}: its frames change their size; cut it into files of one size each")
            small = _small(frame, track.height, track.width, reformatter)
            written.append(fields(small))
            small.pts, small.time_base = ticks - zero, tick
            small.pict_type = PictureType.NONE  # the encoder chooses
            _mux(output, track.encode(small), audio)
        if track is None:
            raise CopyError(f"{source}: holds no frame")
        _mux(output, track.encode(None), audio)
        output.mux(list(audio.until(float("inf"))))
    return written, audio.packets


def _check_size(source: str | Path, height: int, width: int) -> None:
    if max(height, width) > LARGEST:
        message = f"{source}: is too narrow, its copy would have {height} x {width} pixels"
        raise CopyError(f"{message} (at most {LARGEST}); choose a smaller --short_side or leave it out of the list")


def _new_file(path: Path, options: CopyOptions) -> OutputContainer:
    # Times that begin at 0 without an edit list to move them: readers differ in how they follow one.
    output = av.open(f"file:{path.absolute()}", "w", format="mp4", options={"movflags": "negative_cts_offsets"})
    if options.b_frames == 0:
        output.metadata["comment"] = COPY_MARK.decode()
    return output


def _tick(video: VideoReader) -> Fraction:
    """Seconds in which the times of the frames are counted; without trustworthy times, those from frame to frame."""
    rate = video.stream.average_rate or video.stream.guessed_rate or Fraction(25)
    return video.tick if video.demuxed.shown else 1 / rate


def _start(source: str | Path, first_frame: Fraction) -> Fraction:
    """What becomes 0, in seconds: the first frame, or the audio, if that is played before it."""
    with open_video(source) as container:
        audio = audio_start(source, container)
    return first_frame if audio is None else min(first_frame, audio)


def _kept(video: VideoReader, tick: Fraction, fps: float) -> Iterator[tuple[int, av.VideoFrame]]:
    """Each frame that is kept, after its time in ticks. Of the others, only those that these need are decoded."""
    facts, shown = video.demuxed.facts, video.demuxed.shown
    if shown:
        times = [pts for i in shown if (pts := facts[i].pts) is not None]
        for number, frame in video.each(set(_thinned(times, tick, fps))):
            yield times[number], frame
        return
    numbers = _thinned(count(), tick, fps)
    due = next(numbers)
    for number, frame in enumerate(video.all_frames()):
        if number == due:
            due = next(numbers)
            yield number, frame


def _thinned(times: Iterable[int], tick: Fraction, fps: float) -> Iterator[int]:
    """The numbers of the frames that are kept."""
    first, due = None, 0
    for number, ticks in enumerate(times):
        first = ticks if first is None else first
        passed = float((ticks - first) * tick) * fps + 1e-6  # in frames of the copy
        if fps == 0 or passed >= due:
            due = int(passed) + 1
            yield number


def _video_track(
    output: OutputContainer, frame: av.VideoFrame, options: CopyOptions, tick: Fraction, stream: VideoStream
) -> VideoStream:
    track = output.add_stream("libx264", rate=stream.average_rate or round(1 / tick), options=options.encoder())
    track.pix_fmt = "yuv420p"
    track.codec_context.time_base = tick
    if not frame.format.is_rgb:  # brightness and colors stay as they are, and so does the name of their matrix
        track.codec_context.colorspace = frame.colorspace
    return track


def _small(frame: av.VideoFrame, height: int, width: int, reformatter: VideoReformatter) -> av.VideoFrame:
    """The frame as shown, in the given size: 4:2:0, 8 bit, limited range."""
    how = orientation(frame)
    small = reformatter.reformat(
        levelled(frame),
        width=height if how.sideways else width,
        height=width if how.sideways else height,
        format="yuv420p",
        src_colorspace=Colorspace.ITU601,  # the same on both sides: nothing is converted but RGB
        dst_colorspace=Colorspace.ITU601,
        src_color_range=color_range(frame),
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.BICUBIC,
        threads=1,
    )
    return _turned(small, how)


def _turned(frame: av.VideoFrame, how: Orientation) -> av.VideoFrame:
    """A 4:2:0 frame as shown."""
    if how == Orientation():
        return frame
    stacked, height = frame.to_ndarray(), frame.height  # (H * 3 / 2, W): brightness above the two color planes
    colors = stacked[height:].reshape(2, height // 2, frame.width // 2)
    planes = [how.shown(plane) for plane in (stacked[:height], *colors)]
    turned = np.concatenate([plane.reshape(-1, planes[0].shape[1]) for plane in planes])
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(turned), format="yuv420p")


def _mux(output: OutputContainer, packets: list[av.Packet], audio: AudioTrack) -> None:
    """Write packets of the video track, each after the audio before it."""
    for packet in packets:
        output.mux(list(audio.until(float(decoding_time(packet)))))
        output.mux(packet)
