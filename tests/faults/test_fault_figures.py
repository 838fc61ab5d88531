"""The command that counts what faults cost: a short run of it, and its verdict."""

import json

import pytest
import torch

from benchmarks.documents.tables import faults
from benchmarks.reliability.damaged_files import damaged_checkpoints, mutated_videos
from benchmarks.reliability.faults import SHORT, judge
from benchmarks.reliability.killed_runs import same
from tests.helpers.processes import run
from tsam_dali.weights.checkpoint import save_checkpoint

FOUND = [
    {"kind": "kills", "identical": True, "processes_left": 0, "steps_lost": 2, "most_lost": 2},
    {"kind": "SIGTERM", "identical": True, "processes_left": 0, "steps_lost": 0, "exit_code": 75, "state": "preempted"}
    | {"ranks": 1, "in_phase": True, "phase": "saving"},
    {"kind": "checkpoints", "damaged": 3, "detected": 3},
    {"kind": "videos", "videos": 4, "flagged": 3, "unseen": 1, "unseen_by_codec": {"h264": 1}},
    {"kind": "leftovers", "shared_memory_left": []},
    {"kind": "broken", "same": True},
]
COUNTS = {"kills": 1, "SIGTERM": 1, "SIGUSR1": 0, "broken": 1, "checkpoints": 3, "videos": 4}


def test_good_figures_are_as_expected():
    assert all(expected == found for _, expected, found in judge(FOUND, COUNTS))


@pytest.mark.parametrize(
    ("number", "worse"),
    [
        *((0, {"identical": False}), (0, {"processes_left": 1}), (1, {"identical": False}), (1, {"steps_lost": 1})),
        *((0, {"steps_lost": 3}), (1, {"state": "running"}), (1, {"in_phase": False})),
        *((1, {"exit_code": 1}), (2, {"detected": 2}), (3, {"crashed": 1}), (3, {"timeout": 1})),
        *((3, {"wrong frames": 1}), (4, {"shared_memory_left": ["psm_x"]}), (5, {"same": False})),
    ],
)
def test_each_worse_figure_is_noticed(number, worse):
    figures = [figure | worse if i == number else figure for i, figure in enumerate(FOUND)]
    assert sum(expected != found for _, expected, found in judge(figures, COUNTS)) == 1


def test_the_table_of_the_documents():
    said = faults(lambda _: {"figures": [*FOUND, FOUND[1] | {"kind": "SIGUSR1"}]})
    assert "| runs stopped by SIGTERM | 1 | 1 bit-identical, 0 steps lost |" in said
    assert "| damaged videos | 4 | 0 crashes or hangs |" in said
    assert "| wrong frames that neither detects | 4 | 1 (h264 1) |" in said


def test_states_are_compared_to_the_last_bit():
    def state(value: float) -> dict:
        weights = {"weight": torch.tensor([1.0, value])}
        return {"model": weights, "ema": weights, "optimizer": {"state": {0: weights}}, "history": []}

    assert same(state(2.0), state(2.0))
    assert not same(state(2.0), state(2.0000002))
    assert not same(state(2.0), state(2.0) | {"history": [{"validation": 1}]})


def test_every_damage_of_a_checkpoint_is_detected(tmp_path):
    save_checkpoint(tmp_path / "step", {"model": {"weight": torch.arange(1000.0)}})
    assert damaged_checkpoints(tmp_path / "step", 400) == {"damaged": 400, "detected": 400, "whole_one_loads": 1}


def test_damaged_videos_neither_crash_nor_hang_nor_give_wrong_frames_unflagged(tmp_path):
    found = mutated_videos(tmp_path, 42, 1)
    assert set(found) <= {"videos", "flagged", "flagged late", "right frames", "unseen", "unseen_by_codec"}
    assert found["flagged"] > 15
    assert sum(found["unseen_by_codec"].values()) == found.get("unseen", 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_short_run(tmp_path):
    output = tmp_path / "faults.json"
    done = run("-m", "benchmarks.reliability.faults", "--short", "--folder", tmp_path, "--output", output, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = [figure["kind"] for figure in json.loads(output.read_text())["figures"]]
    assert kinds.count("kills") == SHORT["kills"]
