"""Without a terminal a line a minute stands for the bar; figures are the same."""

import logging

import pytest

from tsam_dali.training import progress
from tsam_dali.training.progress import Progress


def loop(shown=True):
    bar = Progress([1, 2, 3], "epoch 0", clips_per_step=8, show=shown)
    for _batch in bar:
        bar.show(loss="1.5")
    return bar


def test_a_short_epoch_without_a_terminal_says_nothing(caplog, capfd):
    with caplog.at_level(logging.INFO):
        bar = loop()
    assert caplog.messages == []
    assert capfd.readouterr().err == ""
    assert bar.first_batch == 1
    assert bar.clips_per_second > 0


def test_a_pass_without_figures_has_lines_too(caplog, monkeypatch):
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
    with caplog.at_level(logging.INFO):
        list(Progress([1, 2], "validation", clips_per_step=8, show=True))
    assert [line.split(", data")[0].split(" clips")[0] for line in caplog.messages] == [
        "validation: step 1 of 2,",
        "validation: step 2 of 2,",
    ]
    assert caplog.messages[-1].endswith(", 00:00 left")


@pytest.mark.parametrize("shown", [True, False])
def test_lines_of_the_log_come_at_their_interval(caplog, monkeypatch, shown):
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
    with caplog.at_level(logging.INFO):
        loop(shown)
    assert [line.split(", clips")[0] for line in caplog.messages] == [
        f"epoch 0: step {i} of 3, loss 1.5" for i in (1, 2, 3) if shown
    ]


def test_a_terminal_has_a_bar(caplog, capfd, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    with caplog.at_level(logging.INFO):
        loop()
    assert caplog.messages == []
    assert "epoch 0: 100%" in capfd.readouterr().err
