"""Which files count as videos."""

import os
import re
from pathlib import Path

# File ending -> the demuxer that may open it (FFmpeg's name). Forcing the demuxer keeps a playlist named x.mp4 from
# being opened as a playlist. The order is the order in which the endings of an id are tried.
DEMUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "matroska",
    ".avi": "avi",
    ".3gp": "mp4",
    ".3g2": "mp4",
    ".flv": "flv",
    ".wmv": "asf",
    ".asf": "asf",
    ".ogv": "ogg",
    ".ts": "mpegts",
    ".mts": "mpegts",
    ".m2ts": "mpegts",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
}
ENDINGS = " ".join(DEMUXERS)
"""For messages."""
ENDING_PATTERN = "|".join(map(re.escape, DEMUXERS))


def demuxer_of(path: str | Path) -> str | None:
    """The demuxer for a file by its ending, which may be in capitals; None: it is no video."""
    return DEMUXERS.get(os.path.splitext(path)[1].lower())
