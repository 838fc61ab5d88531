"""Several ranks read what one process reads; each validation clip counts once."""

import json
from itertools import chain

import pytest
import torch
import torch.distributed as dist

from tests.helpers.processes import ROOT, TORCHRUN, run
from tests.ranks.batches import SOUGHT
from tsam_dali import distributed
from tsam_dali.cli.common import friendly_errors
from tsam_dali.config.sections import TrainingParam
from tsam_dali.distributed import Job, check_batch_size

SETTINGS = ("training_param.batch_size=6", "model.audio_segments=0")


@pytest.fixture(scope="module")
def batches(example, tmp_path_factory):
    """number of ranks -> pass -> step -> (row, digest) of the global batch."""
    out = tmp_path_factory.mktemp("batches")
    found = {}
    for world in (1, 2):
        script = (ROOT / "tests/ranks/batches.py", example / "data.json", ROOT / "config/example_config.json", out)
        settings = (*SETTINGS, f"training_param.num_workers={2 * world - 2}")
        done = run(*((*TORCHRUN, world) if world > 1 else ()), *script, *settings)
        assert done.returncode == 0, done.stderr
        ranks = [json.loads((out / f"{world}_{rank}.json").read_text()) for rank in range(world)]
        found[world] = {
            name: [list(chain(*parts)) for parts in zip(*(rank[name] for rank in ranks), strict=True)]
            for name in ("training", "validation", "sought")
        }
    return found


def test_two_ranks_see_the_global_batches_of_one(batches):
    assert len(batches[1]["training"]) == 8
    assert batches[2]["training"] == batches[1]["training"]


@pytest.mark.parametrize("world", [1, 2])
def test_a_run_that_goes_on_sees_the_global_batches_of_one_rank(batches, world):
    """From a step in the middle of an epoch over the next one, whatever the number of ranks."""
    assert batches[world]["sought"] == batches[1]["training"][SOUGHT:]


def test_validation_takes_each_of_an_odd_number_of_clips_once(batches):
    for world in (1, 2):
        rows = [row for step in batches[world]["validation"] for row, _ in step]
        assert sorted(row for row in rows if row >= 0) == list(range(9))
        assert len(rows) % (world * 3) == 0


def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_sizes():
    job = Job(0, 4, 4, torch.device("cpu"))
    check_batch_size(TrainingParam(batch_size=24, accumulate=2), job)
    check_batch_size(TrainingParam(batch_size=24, accumulate=2, repeats=3), job)
    with pytest.raises(ValueError, match=r"20 does not divide into 4 ranks x 3 parts; nearest sizes: 12 or 24"):
        check_batch_size(TrainingParam(batch_size=20, accumulate=3), job)
    with pytest.raises(ValueError, match="nearest sizes: 12$"):
        check_batch_size(TrainingParam(batch_size=5, accumulate=3), job)
    with pytest.raises(ValueError, match=r"20 does not divide into 4 ranks x 1 part of 2 samples; nearest.*16 or 24"):
        check_batch_size(TrainingParam(batch_size=20, repeats=2), job)


@pytest.fixture
def end_with(monkeypatch, capsys):
    """What the ranks of a job print that end with these errors, one after another; "": that rank goes on."""
    store = dist.HashStore()
    monkeypatch.setattr(distributed, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist.distributed_c10d, "_get_default_store", lambda: store)

    def end_with(*errors):
        for rank, text in enumerate(errors):
            monkeypatch.setattr(dist, "get_rank", lambda rank=rank: rank)
            monkeypatch.setenv("RANK", str(rank))

            @friendly_errors
            def command(text=text):
                raise ValueError(text)

            if text:
                with pytest.raises(SystemExit, match="2"):
                    command()
        return capsys.readouterr().err.splitlines()

    return end_with


def test_an_error_of_all_ranks_is_printed_once(end_with):
    assert end_with("no such\nfile", "no such\nfile", "no such\nfile") == ["error: no such", "error: file"]


def test_an_error_of_one_rank_is_printed_by_it(end_with):
    assert end_with("", "", "too many clips") == ["rank 2: error: too many clips"]


def test_different_errors_are_all_printed(end_with):
    assert end_with("one clip", "another clip") == ["error: one clip", "rank 1: error: another clip"]


@pytest.mark.parametrize(("local_rank", "printed"), [(0, "rank 3: error: no GPU\n"), (1, "")])
def test_before_the_job_is_joined_one_rank_of_a_machine_prints(monkeypatch, capsys, local_rank, printed):
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("LOCAL_RANK", str(local_rank))

    @friendly_errors
    def command():
        raise ValueError("no GPU")

    with pytest.raises(SystemExit, match="2"):
        command()
    assert capsys.readouterr().err == printed


def local_rank_1_of_2(monkeypatch, **more):
    place = {"RANK": 1, "WORLD_SIZE": 2, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2} | more
    for name, value in place.items():
        monkeypatch.setenv(name, str(value))


def test_too_few_gpus_are_an_error_of_all_ranks_of_a_machine(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    local_rank_1_of_2(monkeypatch, TORCHELASTIC_RUN_ID="none")
    with pytest.raises(ValueError, match="1 GPU here for 2 ranks"):
        distributed.start("cuda")


@pytest.mark.parametrize(("visible", "number"), [(1, 0), (2, 1)])
def test_a_rank_that_torchrun_did_not_start_takes_the_only_gpu_that_it_sees(monkeypatch, visible, number):
    """As under Slurm, which shows each task its own GPU."""
    chosen, groups = [], []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: visible)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, timeout: groups.append(timeout))
    monkeypatch.setattr(torch.distributed, "new_group", lambda timeout, backend: groups.append(timeout))
    local_rank_1_of_2(monkeypatch)
    assert distributed.start("cuda").device == torch.device("cuda", number)
    assert chosen == [number]
    assert groups[0] < groups[1]  # a hang is told soon, work of rank 0 alone may take long
    distributed.stop()
