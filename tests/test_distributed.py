"""Several ranks read what one process reads; each validation clip counts once."""

import json
from itertools import chain

import pytest
import torch

from tests.processes import ROOT, TORCHRUN, run
from tsam_dali.distributed import Job, check_batch_size

SETTINGS = ("training_param.batch_size=6", "training_param.num_workers=2", "model.audio_segments=0")


@pytest.fixture(scope="module")
def batches(example, tmp_path_factory):
    """number of ranks -> split -> step -> (row, digest) of the global batch."""
    out = tmp_path_factory.mktemp("batches")
    found = {}
    for world in (1, 2):
        script = (ROOT / "tests" / "rank_batches.py", example / "data.json", ROOT / "config/example_config.json", out)
        done = run(*TORCHRUN, world, *script, *SETTINGS)
        assert done.returncode == 0, done.stderr
        ranks = [json.loads((out / f"{world}_{rank}.json").read_text()) for rank in range(world)]
        found[world] = {
            split: [list(chain(*parts)) for parts in zip(*(rank[split] for rank in ranks), strict=True)]
            for split in ("training", "validation")
        }
    return found


def test_two_ranks_see_the_global_batches_of_one(batches):
    assert len(batches[1]["training"]) == 8
    assert batches[2]["training"] == batches[1]["training"]


def test_validation_takes_each_of_an_odd_number_of_clips_once(batches):
    for world in (1, 2):
        rows = [row for step in batches[world]["validation"] for row, _ in step]
        assert sorted(row for row in rows if row >= 0) == list(range(9))
        assert len(rows) % (world * 3) == 0


def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_sizes():
    job = Job(0, 4, 4, torch.device("cpu"))
    check_batch_size(24, 2, job)
    with pytest.raises(ValueError, match=r"20 does not divide into 4 ranks x 3 parts; nearest sizes: 12 or 24"):
        check_batch_size(20, 3, job)
    with pytest.raises(ValueError, match="nearest sizes: 12$"):
        check_batch_size(5, 3, job)
