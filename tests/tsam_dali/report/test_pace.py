"""Drawing takes at most a tenth of the time of a run."""

import pytest

from tsam_dali.report import pace
from tsam_dali.report.pace import SHARE, Pace


@pytest.mark.parametrize(("epoch", "drawing"), [(0.5, 1.0), (3.0, 1.5), (60.0, 4.0)])
def test_share_of_the_time(monkeypatch, epoch, drawing):
    now, drawn = [100.0], 0
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    pictures = Pace()
    for done in range(1, 401):
        now[0] += epoch
        if pictures.due:
            with pictures.drawing():
                now[0] += drawing
            drawn += 1
        passed = now[0] - 100
        assert drawn * drawing <= SHARE * max(passed, done * epoch)
    assert drawn == 400 or drawn * drawing >= 0.8 * SHARE * passed
