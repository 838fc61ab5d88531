"""Frames against the CPU's, and which clips stand for a data set."""

import re

import numpy as np
import pytest

from pipelines.check_gpu.kinds import CLIPS_PER_KIND, MOST_KINDS, Kind, find_kinds
from pipelines.check_gpu.verdict import neighbours, what_differs
from pipelines.dataset.clips import Clip
from tests.helpers.media import numbered_picture

WANTED, COUNT = [0, 7, 7, 9], 10
REFERENCE = {number: numbered_picture(number) for number in neighbours(WANTED, COUNT)}


def test_what_is_needed_of_a_clip():
    assert neighbours(WANTED, COUNT) == [0, 1, 6, 7, 8, 9]


def found(change=lambda frame: frame, numbers=WANTED):
    return np.stack([change(numbered_picture(number)) for number in numbers])


def test_right_ones():
    assert what_differs(found(), WANTED, REFERENCE) == ""
    assert what_differs(found(lambda frame: frame + (frame < 255)), WANTED, REFERENCE) == ""  # as rounding does


@pytest.mark.parametrize("late", [-1, 1])
def test_a_neighbour_in_its_place(late):
    why = what_differs(found(numbers=[0, 7, 7 + late, 9]), WANTED, REFERENCE)
    assert why == f"frame 7 is nearer to the CPU's frame {7 + late}"


def test_chroma_that_begins_two_lines_early():
    weights = np.array([0.299, 0.587, 0.114])

    def early(frame):
        luma = (frame @ weights)[..., None]
        return (luma + np.roll(frame - luma, -2, 0)).clip(0, 255).round().astype(np.uint8)

    assert re.fullmatch("frame 0: C[br] differs by .* levels", what_differs(found(early), WANTED, REFERENCE))


def test_other_levels_and_sizes():
    assert what_differs(found(lambda frame: frame - 3), WANTED, REFERENCE) == "frame 0 differs by 3.0 levels"
    cut = what_differs(found()[:, :90], WANTED, REFERENCE)
    assert cut == "4 frames of 128 x 90 pixels in place of 4 frames of 128 x 96 pixels"
    assert what_differs(found()[:3], WANTED, REFERENCE).startswith("3 frames")
    assert what_differs(found()[0], WANTED, REFERENCE).startswith("an array of shape (96, 128, 3)")


def test_a_still_clip():
    """Nothing tells its frames apart: rounding must not."""
    still = {number: numbered_picture(3) for number in REFERENCE}
    still[8] = still[8] + np.eye(96, 128, dtype=np.uint8)[..., None]
    given = np.stack([still[8]] * 4)
    assert what_differs(given, WANTED, still) == ""


def info(height=96, width=128, **fields):
    plain = {"codec": "h264", "pix_fmt": "yuv420p", "rotation": 0, "mirrored": False}
    return plain | {"height": height, "width": width} | fields


def clip(name) -> Clip:
    return Clip(name, 0, name, 20, 96, 128, "")


def test_the_most_frequent_kinds():
    sizes = {f"{side}-{i}": 16 * side for side in range(1, 12) for i in range(side)}
    kinds = find_kinds(map(clip, [*sizes, *sizes]), {name: info(side) for name, side in sizes.items()})
    assert [kind.height for kind in kinds.clips] == [16 * side for side in range(11, 11 - MOST_KINDS, -1)]
    for kind, members in kinds.clips.items():
        assert len({member.path for member in members}) == CLIPS_PER_KIND
        assert all(sizes[member.path] == kind.height for member in members)
    assert kinds.share == (11 + 10 + 9 + 8 + 7 + 6) / 66
    assert kinds.refused == ""


def test_ranges_are_kinds_of_their_own():
    kinds = find_kinds(map(clip, "ab"), {"a": info(), "b": info(pix_fmt="yuvj420p")})
    assert list(map(str, kinds.clips)) == ["h264 128 x 96", "h264 128 x 96 full range"]
    assert list(kinds.clips) == [Kind("h264", "yuv420p", 96, 128), Kind("h264", "yuvj420p", 96, 128)]


def test_what_does_not_belong_on_nvdec_is_counted():
    kinds = find_kinds(map(clip, "abcd"), {"a": info(), "b": info(100), "c": info(108)})
    expected = "3 of 4 clips (sides that are no multiples of 16 pixels: 2, not in the index: 1)"
    assert kinds.refused == expected
    assert find_kinds([], {}).clips == {}
