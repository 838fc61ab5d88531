"""The worst mistakes are the wrong clips with the largest loss, over batches and over ranks."""

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from pipelines.loader import Batch
from tsam_dali.report.mistakes import WorstMistakes


def batch(rows, labels, ok=None, audio=True):
    """Frames whose grey is the row / 255."""
    rows = torch.tensor(rows)
    video = (rows.clamp(min=0) / 255)[:, None, None, None, None].expand(-1, 2, 3, 16, 32)
    spectrogram = torch.linspace(-13, 2, 16)[:, None].expand(len(rows), 1, 3, 16, 32) if audio else None
    ok = torch.ones(len(rows), dtype=torch.bool) if ok is None else torch.tensor(ok)
    return Batch(video, spectrogram, torch.tensor(labels), rows, ok)


def sure_of(predictions):
    return 5.0 * torch.eye(3)[predictions]


def test_only_wrong_readable_clips_count_and_the_largest_losses_win():
    worst = WorstMistakes(2)
    worst.add(sure_of([0, 1, 1]), torch.tensor([9.0, 2.0, 8.0]), batch([10, 11, 12], [0, 0, 0], [True, True, False]))
    assert [mistake.row for mistake in worst.gather()] == [11]
    worst.add(sure_of([2, 2, 1]), torch.tensor([4.0, 1.0, 3.0]), batch([13, 14, 15], [0, 0, 0]))
    first, second = worst.gather()
    assert [(m.row, m.label, m.prediction, m.loss) for m in (first, second)] == [(13, 0, 2, 4.0), (15, 0, 1, 3.0)]
    assert abs(first.probability - torch.tensor([5.0, 0, 0]).softmax(0)[0].item()) < 1e-6
    assert first.frames.shape == (2, 3, 16, 32)
    assert np.all(first.frames == 13)
    assert (first.spectrograms[0, 0, 0, 0], first.spectrograms[0, 0, -1, 0]) == (0, 255)


def test_nothing_wrong_and_no_audio():
    worst = WorstMistakes(3)
    assert worst.gather() == []
    worst.add(sure_of([0]), torch.tensor([0.1]), batch([3], [0], audio=False))
    assert worst.gather() == []


def _rank(rank, address, results):
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    worst = WorstMistakes(3)
    worst.add(sure_of([1, 1]), torch.tensor([1.0 + rank, 3.0 + rank]), batch([2 * rank, 2 * rank + 1], [0, 0]))
    results.put((rank, [(mistake.row, mistake.loss) for mistake in worst.gather()]))
    dist.destroy_process_group()


def test_two_ranks_are_one_list_on_rank_0(tmp_path):
    results = mp.get_context("spawn").SimpleQueue()
    mp.spawn(_rank, (f"file://{tmp_path / 'meeting'}", results), nprocs=2)
    assert dict(results.get() for _ in range(2)) == {0: [(3, 4.0), (1, 3.0), (2, 2.0)], 1: []}
