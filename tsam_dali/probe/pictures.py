"""The map of the clips, and sheets of thumbnails. Matplotlib is used through `Figure` alone. N clips."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from tsam_dali.report.plots import DPI, literally

ON_MAP, PICTURES_ON_MAP = 3000, 250
"""Clips that are drawn, as points and as thumbnails: more hide each other."""
NAMED_CLASSES = 20
"""In the legend."""
COLUMNS, MOST_ON_SHEET = 8, 64


def map_of(x: np.ndarray, seed: int) -> np.ndarray:
    """Features (N, F) -> places (N, 2) at which clips with like features lie together: t-SNE of 50 main components."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    components = PCA(min(50, *x.shape), random_state=seed).fit_transform(x)
    if len(x) < 5:
        return components[:, :2]
    perplexity = min(30.0, (len(x) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(components)


def plot_map(
    places: np.ndarray, label: np.ndarray, thumbnails: np.ndarray, names: Sequence[str], path: str | Path | BinaryIO
) -> Figure:
    """Draw the clips at their places as a PNG: a point each, and thumbnails with a frame of the color of the class.

    Args:
        places: (N, 2).
        label: int (N,).
        thumbnails: uint8 (N, 3, h, w).
    """
    figure = Figure(figsize=(12, 10), layout="constrained")
    axes = figure.subplots()
    colors = colormaps["tab20" if len(names) > 10 else "tab10"]
    of_class = [colors(number % colors.N) for number in range(len(names))]
    axes.scatter(places[:, 0], places[:, 1], c=[of_class[number] for number in label], s=12)
    step = max(1, len(places) // PICTURES_ON_MAP)
    for row in range(0, len(places), step):
        image = OffsetImage(thumbnails[row].transpose(1, 2, 0), zoom=0.36)
        frame = {"edgecolor": of_class[label[row]], "linewidth": 2}
        axes.add_artist(AnnotationBbox(image, places[row], pad=0.08, bboxprops=frame))
    axes.set(xticks=[], yticks=[])
    shown = range(min(len(names), NAMED_CLASSES))
    points = [Line2D([], [], marker="o", linestyle="", color=of_class[number]) for number in shown]
    axes.legend(points, [literally(names[number]) for number in shown], fontsize="small")
    figure.savefig(path, dpi=DPI)
    return figure


def plot_sheet(thumbnails: np.ndarray, titles: Sequence[str], path: str | Path | BinaryIO) -> Figure:
    """Draw thumbnails, uint8 (N, 3, h, w), with their titles as a PNG: a contact sheet."""
    rows = max(1, -(-len(titles) // COLUMNS))
    figure = Figure(figsize=(2.1 * COLUMNS, 2.3 * rows), layout="constrained")
    grid: list[Axes] = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for axes in grid:
        axes.axis("off")
    for axes, image, title in zip(grid, thumbnails, titles, strict=False):
        axes.imshow(image.transpose(1, 2, 0))
        axes.set_title(literally(title), fontsize=7)
    figure.savefig(path, dpi=DPI)
    return figure
