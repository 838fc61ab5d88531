"""The attentive probe: learned queries choose among the segments of a clip, whose places they know.

N clips, T segments, F features, C classes.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tsam_dali.probe.classifiers import LEAST, Scaling
from tsam_dali.probe.folds import Fold

WIDTH, QUERIES, DROPOUT = 128, 4, 0.5
LEARNING_RATE, WEIGHT_DECAY, BATCH = 3e-4, 0.05, 32
EPOCHS, PATIENCE = 120, 8
"""The most passes over the clips, and how many may follow the best one while it is looked for."""


class AttentiveProbe(nn.Module):
    """Segments (N, T, F) -> logits (N, C): queries attend to the segments, and a linear layer sees what they find."""

    def __init__(self, segments: int, features: int, num_class: int) -> None:
        super().__init__()
        self.project = nn.Linear(features, WIDTH)
        self.place = nn.Parameter(0.5 * torch.randn(segments, WIDTH))  # as large as what it is added to
        self.query = nn.Parameter(0.02 * torch.randn(QUERIES, WIDTH))
        self.key = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(QUERIES * WIDTH, num_class)

    def forward(self, segments: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """With a generator, which draws what is dropped, for training."""
        tokens = F.gelu(self.project(_dropped(segments, generator)) + self.place)  # (N, T, WIDTH)
        shares = (self.key(tokens) @ self.query.T / WIDTH**0.5).softmax(1)  # (N, T, QUERIES)
        found = (shares.transpose(1, 2) @ tokens).flatten(1)  # (N, QUERIES * WIDTH)
        return self.head(_dropped(found, generator))


def _dropped(values: Tensor, generator: torch.Generator | None) -> Tensor:
    """Dropout from a generator of its own: several probes are trained in turns."""
    if generator is None:
        return values
    return values * torch.rand(values.shape, generator=generator).gt_(DROPOUT).div_(1 - DROPOUT)


def attentive_probabilities(
    segments: np.ndarray, label: np.ndarray, num_class: int, fold: Fold, seed: int
) -> tuple[np.ndarray, int]:
    """The probabilities (n, C) of the scored clips of a fold, and the epochs of training, which are those with the
    lowest cross-entropy on the inner folds.

    Args:
        segments: float32 (N, T, F), of all clips.
        label: int (N,).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for so little, threads only wait for each other
    try:
        runs = [_epochs(segments, label, num_class, training, held, seed) for training, held in fold.inner]
        losses: list[float] = []
        for probabilities in zip(*runs, strict=True):
            pairs = zip(probabilities, fold.inner, strict=True)
            wanted = [found[np.arange(len(held)), label[held]] for found, (_, held) in pairs]
            losses.append(-float(np.log(np.concatenate(wanted).clip(LEAST)).sum()))
            if len(losses) - 1 - int(np.argmin(losses)) >= PATIENCE:
                break
        epochs = int(np.argmin(losses)) + 1
        run = _epochs(segments, label, num_class, fold.training, fold.scored, seed)
        *_, found = (next(run) for _ in range(epochs))
        return found, epochs
    finally:
        torch.set_num_threads(threads)


def _epochs(
    segments: np.ndarray, label: np.ndarray, num_class: int, training: np.ndarray, held: np.ndarray, seed: int
) -> Iterator[np.ndarray]:
    """The probabilities of the clips `held` after each epoch of training."""
    generator = torch.Generator().manual_seed(seed)
    scaling = Scaling.of(segments[training].reshape(-1, segments.shape[-1]))
    x, other = (torch.from_numpy(scaling(segments[rows]).astype(np.float32)) for rows in (training, held))
    y = torch.from_numpy(label[training])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = AttentiveProbe(segments.shape[1], segments.shape[2], num_class)
    optimizer = torch.optim.AdamW(probe.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(probe(x[rows], generator), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            found = probe(other).softmax(1).double().numpy()
        yield found
