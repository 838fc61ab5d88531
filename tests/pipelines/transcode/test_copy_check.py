"""A copy that is as it should be passes, whatever it shows; one that is not is refused by the name of its original."""

import os

import av
import numpy as np
import pytest

from pipelines.decode.container import open_video
from pipelines.decode.frames import probe
from pipelines.transcode import training_copy
from pipelines.transcode.copy_check import fault_of_copy, fields
from pipelines.transcode.copy_options import CopyOptions
from pipelines.transcode.training_copy import CopyError, write_copy
from tests.helpers.media import write_video


@pytest.mark.parametrize(
    ("size", "side", "crf"), [((96, 128), 96, 51), ((17, 31), 16, 26), ((48, 48), 32, 40), ((2, 3), 512, 26)]
)
@pytest.mark.parametrize("adaptive", [False, True])
def test_noise_of_any_size(tmp_path, size, side, crf, adaptive):
    """What compresses worst: its copies are coarse."""
    source, target = tmp_path / "v.avi", tmp_path / "copies/v.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (12, *size, 3), np.uint8)
    with av.open(str(source), "w") as output:
        track = output.add_stream("ffv1", rate=25)
        track.height, track.width, track.pix_fmt = *size, "bgr0"
        for picture in noise:
            output.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="bgr0")))
        output.mux(track.encode(None))
    assert write_copy(source, target, CopyOptions(short_side=side, fps=0, crf=crf, adaptive=adaptive)) == 12
    assert probe(target).frames == 12


def test_a_copy_is_read_back(tmp_path):
    """Another number of frames, another frame or missing audio is noticed."""
    path = write_video(tmp_path / "v.mp4", 10, (64, 64), audio=True)
    with open_video(path) as container:
        packets = sum(packet.size > 0 for packet in container.demux(audio=0))
    with open_video(path) as container:
        written = [fields(picture) for picture in container.decode(video=0)]
    assert fault_of_copy(path, written, packets, 26) == ""
    assert fault_of_copy(path, written[:-1], packets, 26).startswith("has another number of frames than the 9")
    other = [*written[:4], written[4] + 9, *written[5:]]
    assert fault_of_copy(path, other, packets, 26).startswith("shows something else in frame 4")
    wrong_audio = f"has {packets} packets of audio, but {packets + 1} were written"
    assert fault_of_copy(path, written, packets + 1, 26) == wrong_audio
    path.write_bytes(path.read_bytes()[:-2000])
    assert fault_of_copy(path, written, packets, 26) == "cannot be read back (truncated)"


def test_what_is_not_as_it_was_written_does_not_become_the_copy(tmp_path, monkeypatch):
    write = training_copy._write

    def lose_a_frame(*arguments):
        written, packets = write(*arguments)
        return [*written, written[-1]], packets

    monkeypatch.setattr(training_copy, "_write", lose_a_frame)
    source = write_video(tmp_path / "v.mp4", 10)
    with pytest.raises(CopyError, match=f"^{source}: its copy has another number of frames"):
        write_copy(source, tmp_path / "copies/v.mp4", CopyOptions(short_side=64, preset="veryfast"))
    assert os.listdir(tmp_path / "copies") == []
