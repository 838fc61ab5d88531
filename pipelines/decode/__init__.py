"""Frames of video files, decoded on the CPU."""

from pipelines.decode.frames import decode_frames as decode_frames
