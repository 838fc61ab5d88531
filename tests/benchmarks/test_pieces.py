"""A piece of a long file reads no more than the same seconds as a file of their own."""

import pytest

from tests.benchmarks.read_results import results
from tests.helpers.media import write_video
from tests.helpers.processes import run

MOST_BYTES = 1.5


@pytest.mark.slow
def test_a_piece_reads_no_more_than_a_file_of_its_own(tmp_path):
    clip, output = tmp_path / "clips/clip.mp4", tmp_path / "pieces.json"
    clip.parent.mkdir()
    write_video(clip, 60, audio=True, options={"g": "25", "bf": "2"})
    options = ("--data", clip.parent, "--minutes", 1, "--rounds", 1, "--draws", 4, "--segments", 3)
    found = results(run("-m", "benchmarks.loading.pieces", *options, "--output", output), output)
    pieces = [figure for figure in found["figures"] if "bytes_relative" in figure]
    assert [figure["container"] for figure in pieces] == ["MP4", "Matroska"]
    for figure in pieces:
        assert figure["bytes_relative"]["median"] <= MOST_BYTES
        assert figure["equal_frames"] == "4 of 4 samples"
    assert found["method"]["long_files_mb"]["MP4"] > 10 * clip.stat().st_size / 1e6
