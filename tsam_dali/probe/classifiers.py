"""The linear and the k-NN probe: scikit-learn on one vector for each clip. N clips, F features, C classes."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np

from tsam_dali.probe.folds import Fold

STRENGTHS = tuple(10.0**power for power in range(-5, 2))
"""Of which the inverse regularisation `C` of the logistic regression is chosen."""
NEIGHBORS = (1, 3, 5, 10, 20)
FEW = 5000
"""Clips for which one thread is enough: several only wait for each other."""
LEAST = 1e-6
"""Probability that a choice counts for a class which a fold's training clips do not have."""


class Linear(NamedTuple):
    """Logits are x @ weight.T + bias: the standardisation of the features is in both."""

    weight: np.ndarray  # float64 (C, F)
    bias: np.ndarray  # float64 (C,)
    chosen: float

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """(N, F) -> (N, C)."""
        from scipy.special import softmax

        return softmax(x @ self.weight.T + self.bias, axis=1)


class Scaling(NamedTuple):
    """Mean and spread of each feature; no feature is divided by less than the mean spread, which would blow up those
    that hardly change."""

    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> "Scaling":
        """Of clips (N, F)."""
        spread = x.std(0)
        return cls(x.mean(0), np.maximum(spread, spread.mean() or 1.0))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (x - self.mean) / self.spread


def few_threads(clips: int) -> AbstractContextManager:
    """A context in which the libraries under NumPy and scikit-learn have the threads that so many clips are worth."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1 if clips <= FEW else None)


def fit_linear(x: np.ndarray, label: np.ndarray, num_class: int, fold: Fold) -> Linear:
    """A logistic regression on the training clips of a fold; the strength of its regularisation is that with the
    lowest cross-entropy on the inner folds.

    Args:
        x: float64 (N, F), of all clips.
        label: int (N,).
    """
    losses = np.zeros(len(STRENGTHS))
    for training, held in fold.inner:
        path = _path(x[training], label[training], num_class, STRENGTHS)
        losses += [cross_entropy(found.probabilities(x[held]), label[held]) * len(held) for found in path]
    best = STRENGTHS[int(losses.argmin())]
    (found,) = _path(x[fold.training], label[fold.training], num_class, (best,))
    return found


def _path(x: np.ndarray, label: np.ndarray, num_class: int, strengths: Sequence[float]) -> list[Linear]:
    """A regression for each strength."""
    from sklearn.linear_model import LogisticRegression

    scaling, classes = Scaling.of(x), np.unique(label)
    weight, bias = np.zeros((num_class, x.shape[1])), np.full(num_class, np.log(LEAST) - 20)
    if len(classes) == 1:
        bias[classes] = 0.0
        return [Linear(weight, bias, strength) for strength in strengths]
    # The penalty does not change when the axes are turned: with few clips, all lies in as many directions as there are
    # clips, and the regression there is several times as fast.
    scaled = scaling(x)
    left, sizes, axes = np.linalg.svd(scaled, full_matrices=False)
    turned = left * sizes
    found = []
    for strength in strengths:
        model = LogisticRegression(C=strength, max_iter=2000).fit(turned, label)
        coefficients, offsets = model.coef_ @ axes, model.intercept_
        if len(classes) == 2:  # scikit-learn gives the difference of the two
            coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
            offsets = np.concatenate([-offsets / 2, offsets / 2])
        own_weight, own_bias = weight.copy(), bias.copy()
        own_weight[classes] = coefficients / scaling.spread
        own_bias[classes] = offsets - own_weight[classes] @ scaling.mean
        found.append(Linear(own_weight, own_bias, strength))
    return found


def knn_probabilities(x: np.ndarray, label: np.ndarray, num_class: int, fold: Fold) -> tuple[np.ndarray, int]:
    """The probabilities (n, C) of the scored clips of a fold, and the number of neighbors, which is that with the
    highest accuracy on the inner folds. Nearest are clips with the highest cosine of their standardised features."""
    right = np.zeros(len(NEIGHBORS))
    for training, held in fold.inner:
        for place, probabilities in enumerate(_votes(x, label, num_class, training, held, NEIGHBORS)):
            right[place] += (probabilities.argmax(1) == label[held]).sum()
    best = NEIGHBORS[int(right.argmax())]
    (found,) = _votes(x, label, num_class, fold.training, fold.scored, (best,))
    return found, best


def _votes(
    x: np.ndarray, label: np.ndarray, num_class: int, training: np.ndarray, held: np.ndarray, numbers: Sequence[int]
) -> list[np.ndarray]:
    """For each number of neighbors the share of their votes, weighted by closeness, that each class has."""
    from sklearn.neighbors import KNeighborsClassifier

    scaling = Scaling.of(x[training])
    found = []
    for number in numbers:
        model = KNeighborsClassifier(min(number, len(training)), weights="distance", metric="cosine")
        model.fit(scaling(x[training]), label[training])
        votes = np.zeros((len(held), num_class))
        votes[:, model.classes_] = model.predict_proba(scaling(x[held]))
        found.append(votes)
    return found


def cross_entropy(probabilities: np.ndarray, label: np.ndarray) -> float:
    """The mean over clips; (N, C), (N,)."""
    return float(-np.log(probabilities[np.arange(len(label)), label].clip(LEAST)).mean())
