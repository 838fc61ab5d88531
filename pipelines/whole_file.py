"""What must be true of a video file before DALI decodes it whole, from its first frame to the last wanted one.

DALI counts packets, trusts the number of frames that the container claims and neither turns nor mirrors pictures: of a
file in which these differ from what is shown it would give other frames, black ones or rubbish, without an error.
"""

from collections.abc import Sequence

from pipelines.dataset.clips import Clip
from pipelines.decode.container import VideoError, damaged, open_video, video_stream
from pipelines.decode.decoder import selected_pictures
from pipelines.decode.demux import check_range, demux
from pipelines.decode.frames import shown_size
from pipelines.decode.orientation import Orientation, orientation


def check_whole(clip: Clip, frames: Sequence[int]) -> None:
    """Read the packets of a clip's file and decode its first picture.

    Raises:
        VideoError: see `open_video`, `video_stream` and `demux`; further `short` (a wanted frame is not there),
            `not_whole` (packets and frames are not the same), `rotated` and `changed` (another size than in the index).
    """
    path = clip.path
    remedy = "make a training copy of it, or set pipeline.decode to cpu"
    with open_video(path) as container:
        stream = video_stream(path, container)
        demuxed = demux(path, container, stream)
        sizes = [entry.size for entry in stream.index_entries] if "mp4" in container.format.name else []
        frames_only = demuxed.shown is not None and len(demuxed.shown) == len(demuxed.facts)
        if not frames_only or 0 in sizes[: len(demuxed.facts)]:  # empty samples at the end change no number
            raise VideoError("not_whole", f"{path}: not every packet is a frame that is shown; {remedy}")
        check_range(path, frames, len(demuxed.shown))
        pictures = selected_pictures(demuxed, stream.codec_context, {0})
    if pictures is None:
        raise damaged(path, "its first picture cannot be decoded")
    if orientation(pictures[0]) != Orientation():
        raise VideoError("rotated", f"{path}: is shown turned or mirrored; {remedy}")
    size, expected = shown_size(pictures[0]), (clip.height, clip.width)
    if size != expected:
        raise VideoError("changed", f"{path}: {size} pixels, but the index says {expected}; the file has changed")
