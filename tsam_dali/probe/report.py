"""The report of probes: table, confusion, classes, nearest neighbors, a map of the clips, suspect labels. N clips."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from pipelines.files.atomic import replacing
from pipelines.files.words import counted
from tsam_dali.probe.classifiers import Scaling, few_threads
from tsam_dali.probe.run import Probes, clip_vectors
from tsam_dali.probe.scores import ProbeScores, chance
from tsam_dali.probe.suspects import Suspect, find_suspects, write_suspects
from tsam_dali.report.page import write_page
from tsam_dali.report.parts import Section, drawn, fill, image_source, plot_source
from tsam_dali.report.plots import DPI, literally
from tsam_dali.report.sections import (
    classes_section,
    confusion_section,
    numbers_section,
    reasons_section,
    settings_section,
)

QUERIES, NEIGHBORS = 12, 6
"""Clips whose nearest neighbors are shown, and how many of these."""
ON_MAP, PICTURES_ON_MAP = 3000, 250
"""Clips that are drawn, as points and as thumbnails: more hide each other."""
NAMED_CLASSES = 20
"""In the legend."""
COLUMNS, MOST_ON_SHEET = 8, 64


def write_report(folder: Path, probes: Probes) -> list[Suspect]:
    """Write report.html, suspects.csv and suspects.png; the suspect clips. All is about the best linear probe."""
    best, features = probes.best_linear, probes.features
    scored = np.flatnonzero(best.scored)
    found = find_suspects(best.probabilities[scored], features.label[scored])
    suspects = [one._replace(row=int(scored[one.row])) for one in found]
    names, thumbnails = features.class_names, features.read("thumbnail")
    write_suspects(folder / "suspects.csv", suspects, features.ids, names)
    shown = suspects[:MOST_ON_SHEET]
    titles = [f"{features.ids[one.row][-24:]}\n{names[one.label]} → {names[one.suggested]}" for one in shown]
    images = thumbnails[[one.row for one in shown]]
    with replacing(folder / "suspects.png") as temporary, temporary.open("wb") as file:
        plot_sheet(images, titles, file)
    matrix = _confusion(best, features.label, len(names))
    makers = {
        "Best linear probe": lambda: _numbers(probes),
        "Probes": lambda: _table(probes),
        "Confusion": lambda: confusion_section(matrix, names, f"linear probe on {best.inputs}"),
        "Classes": lambda: classes_section(matrix, names),
        "Nearest neighbors": lambda: _neighbors(probes, thumbnails),
        "Map": lambda: _map(probes, thumbnails),
        "Suspect labels": lambda: _suspects(suspects, probes, images, titles),
        **({"Left out": lambda: _left_out(features.unreadable)} if features.unreadable else {}),
        "Settings": lambda: settings_section({key: features.about[key] for key in ("config", "lists", "weights")}),
    }
    title = f"Probes of {features.config.dataset.name or features.config.dataset.root.name}"
    with few_threads(len(features.ids)):
        sections = [drawn(name, make) for name, make in makers.items()]
    write_page(folder / "report.html", title, sections)
    return suspects


def _confusion(scores: ProbeScores, label: np.ndarray, num_class: int) -> np.ndarray:
    matrix = np.zeros((num_class, num_class), int)
    np.add.at(matrix, (label[scores.scored], scores.probabilities[scores.scored].argmax(1)), 1)
    return matrix


def _numbers(probes: Probes) -> Section:
    best, label = probes.best_linear, probes.features.label
    spread = best.spread("accuracy")
    numbers = [
        ("accuracy", f"{best.mean('accuracy'):.1%}" + ("" if spread is None else f" ± {spread:.1%}")),
        ("balanced accuracy", f"{best.mean('balanced_accuracy'):.1%}"),
        ("calibration error", f"{best.mean('calibration_error'):.1%}"),
        ("clips", str(len(label))),
        ("input", best.inputs),
    ]
    return numbers_section("Best linear probe", numbers, chance(label, len(probes.features.class_names)))


def _table(probes: Probes) -> Section:
    how = counted(len(probes.scores[0].folds), "fold") if probes.options.split == "folds" else "the lists"
    grouped = f", groups {probes.options.group!r}" if probes.options.group else ""
    note = f"scores on clips that a probe was not trained on, mean and standard deviation (n - 1) over {how}{grouped}"
    rows = [one.row() for one in probes.scores]
    return Section("Probes", fill("outputs.html", columns=list(rows[0]), rows=rows), note)


def _neighbors(probes: Probes, thumbnails: np.ndarray) -> Section:
    """Clips that the linear probe gets wrong, then others, each with those that have the most similar features."""
    from sklearn.neighbors import NearestNeighbors

    best, features, names = probes.best_linear, probes.features, probes.features.class_names
    x = clip_vectors(features)[best.inputs]
    scaled = Scaling.of(x)(x)
    wrong = best.scored & (best.probabilities.argmax(1) != features.label)
    surest = np.argsort(-best.probabilities.max(1), kind="stable")
    order = [*(row for row in surest if wrong[row]), *(row for row in surest if best.scored[row] and not wrong[row])]
    number = min(NEIGHBORS, len(x) - 1)
    index = NearestNeighbors(n_neighbors=number + 1, metric="cosine").fit(scaled)
    clips = []
    for row in map(int, order[:QUERIES]):
        near = [other for other in index.kneighbors(scaled[row : row + 1])[1][0].tolist() if other != row][:number]
        images = [
            {"source": image_source(thumbnails[other]), "caption": names[features.label[other]]} for other in near
        ]
        first = {"source": image_source(thumbnails[row]), "caption": "this clip"}
        predicted = names[int(best.probabilities[row].argmax())]
        note = f"{names[features.label[row]]}, predicted {predicted} ({best.probabilities[row].max():.0%})"
        clips.append({"title": features.ids[row], "note": note, "frames": [first, *images], "spectrograms": []})
    note = "the surest mistakes of the linear probe, and the clips with the most similar features"
    return Section("Nearest neighbors", fill("clips.html", clips=clips), note)


def _map(probes: Probes, thumbnails: np.ndarray) -> Section:
    features, x = probes.features, clip_vectors(probes.features)[probes.best_linear.inputs]
    rows = np.arange(len(x))
    if len(rows) > ON_MAP:
        rows = np.sort(np.random.default_rng(probes.options.seed).choice(rows, ON_MAP, replace=False))
    places = map_of(Scaling.of(x[rows])(x[rows]), probes.options.seed)
    label, names = features.label[rows], features.class_names
    source = plot_source(lambda file: plot_map(places, label, thumbnails[rows], names, file))
    note = (
        "clips with similar features lie together (t-SNE); the color is the class, distances between groups say little"
    )
    return Section("Map", fill("plot.html", source=source, alt="map of the clips"), note)


def _suspects(suspects: list[Suspect], probes: Probes, images: np.ndarray, titles: list[str]) -> Section:
    scored = int(probes.best_linear.scored.sum())
    note = (
        f"{len(suspects)} of {counted(scored, 'clip')}: a probe that was trained without them is sure of another class "
        "(label → suggested); all are in suspects.csv. Where probes are often wrong, so are these"
    )
    if not suspects:
        return reasons_section("Suspect labels", {}, note)
    source = plot_source(lambda file: plot_sheet(images, titles, file))
    return Section("Suspect labels", fill("plot.html", source=source, alt="clips with suspect labels"), note)


def _left_out(unreadable: dict[str, str]) -> Section:
    return reasons_section("Left out", unreadable, f"{counted(len(unreadable), 'clip')} that cannot be read")


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
