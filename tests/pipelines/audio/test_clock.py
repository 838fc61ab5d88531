"""Audio on the clock of its file: gaps, overlaps, clocks that are rounded or reset."""

from itertools import pairwise

import numpy as np
import pytest

from pipelines.audio.clock import Tape
from pipelines.audio.decode import Piece

RATE = 1000


def tape_of(*pieces):
    """Of (time, number of samples); each sample has the number of its piece, from 1 on."""
    tape = Tape()
    for number, (time, samples) in enumerate(pieces, 1):
        tape.add(Piece(np.full((1, samples), number, np.float32), RATE, time))
    return tape


def played(tape, start=0.0, end=None):
    """Runs of equal samples: (value, length)."""
    (samples,) = tape.cut(start, tape.end if end is None else end)
    edges = [0, *(np.flatnonzero(np.diff(samples)) + 1), len(samples)]
    return [(int(samples[a]), int(b - a)) for a, b in pairwise(edges)]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([(0.0, 500), (None, 300), (0.8, 200)], [(1, 500), (2, 300), (3, 200)]),
        ([(0.0, 500), (0.59, 100), (0.51, 100)], [(1, 500), (2, 100), (3, 100)]),  # late or early by less than 0.1 s
        ([(0.0, 500), (0.62, 100)], [(1, 500), (0, 120), (2, 100)]),  # a gap
        ([(0.0, 500), (0.3, 500)], [(1, 500), (2, 300)]),  # what has come already counts
        ([(0.0, 500), (0.1, 200), (0.5, 100)], [(1, 500), (3, 100)]),  # all of it
        ([(0.0, 1500), (0.4, 300), (0.7, 300)], [(1, 1500), (2, 300), (3, 300)]),  # begins again: joined
        ([(0.0, 1500), (0.0, 300), (0.5, 300)], [(1, 1500), (2, 300), (0, 200), (3, 300)]),  # with its own gaps
        ([(0.25, 100)], [(0, 250), (1, 100)]),
    ],
)
def test_what_is_played_when(pieces, expected):
    assert played(tape_of(*pieces)) == expected


def test_what_is_forgotten():
    tape = tape_of((0.0, 500), (None, 500), (None, 500))
    tape.forget(0.5)
    assert played(tape) == [(0, 500), (2, 500), (3, 500)]
    assert (tape.start, tape.end) == (0.0, 1.5)
    assert played(tape, 0.75, 1.25) == [(2, 250), (3, 250)]


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [(0.95, 1.59, 0.5), (0.9, 1.59, 0.6), (1.2, 1.4, 0.2), (0.5, 1.55, 1.0), (0.0, 1.0, 0), (0.4, 1.7, 1.3)],
)
def test_short_silence_at_the_ends_is_left_out(start, end, seconds):
    """Of audio from 1 to 1.5 s."""
    found = tape_of((1.0, 500)).recorded(start, end)
    assert found.shape == (1, round(seconds * RATE))
