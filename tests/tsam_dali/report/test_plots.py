"""The pictures hold what was given: lines their numbers, cells their colors, in the right places."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib import cbook, rcParams
from PIL import Image

from tsam_dali.config.sections import OptimizerParam
from tsam_dali.report.contact_sheet import plot_contact_sheet
from tsam_dali.report.plots import plot_confusion, plot_curves, plot_steps

RED, GREEN, BLUE = np.eye(3)


def record(epoch, lr=0.1, validated=True):
    scores = {"loss": 2.0 - epoch / 10, "accuracy": 0.5 + epoch / 100, "balanced_accuracy": 0.4 + epoch / 100}
    other = {"loss": 3.0, "accuracy": 0.25, "balanced_accuracy": 0.2}
    return {"epoch": epoch, "training": scores, "lr": lr} | ({"validation": other} if validated else {})


def texts(labels):
    return [label.get_text() for label in labels]


def lines(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def color_at(figure, x, y, path):
    """Color 0..1 of the written PNG, which is cut out of the figure, at a place of the figure's only axes."""
    page = figure.get_tightbbox().padded(rcParams["savefig.pad_inches"])
    x, y = figure.axes[0].transData.transform((x, y)) / figure.dpi - page.min  # inches from the lower left
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    dots = pixels.shape[1] / page.width
    return pixels[round(pixels.shape[0] - y * dots), round(x * dots)] / 255


def test_curves_draw_each_epoch_and_leave_out_epochs_that_were_not_validated(tmp_path):
    figure = plot_curves([record(0), record(1, validated=False), record(2)], tmp_path / "curves.png")
    loss, accuracy, rate = figure.axes
    assert lines(loss) == {"training": [[0, 2.0], [1, 1.9], [2, 1.8]], "validation": [[0, 3.0], [2, 3.0]]}
    drawn = lines(accuracy)
    np.testing.assert_allclose(drawn["training"], [[0, 50], [1, 51], [2, 52]])
    np.testing.assert_allclose(drawn["training, balanced"], [[0, 40], [1, 41], [2, 42]])
    assert drawn["validation"] == [[0, 25], [2, 25]]
    assert drawn["validation, balanced"] == [[0, 20], [2, 20]]
    assert rate.lines[0].get_xydata().tolist() == [[0, 0.1], [1, 0.1], [2, 0.1]]
    assert accuracy.get_ylim() == (0, 100)


STEPS = [[0, 0.4], [0.5, 0.4], [0.5, 0.4], [1, 0.4], [1.5, 0.4], [1.5, 0.1], [2, 0.1]]


@pytest.mark.parametrize(
    ("smooth_epochs", "drawn"),
    [
        (0, STEPS),
        (2, [[0, 0.4], [1, 0.4], [1.5, 0.4], [1.5, 0.1], [2, 0.1]]),
        (math.inf, [[0, 0.4], [1, 0.4], [2, 0.1]]),
    ],
)
def test_a_rate_that_falls_in_steps_is_drawn_in_steps(tmp_path, smooth_epochs, drawn):
    """The first three epochs of lr_decay [0.25, 2]; of a warm-up, and of a cosine, the rate changes all the time."""
    records = [record(epoch, lr) for epoch, lr in enumerate((0.4, 0.4, 0.1))]
    figure = plot_curves(records, tmp_path / "curves.png", smooth_epochs)
    points, line = figure.axes[2].lines
    assert points.get_xydata().tolist() == [[0, 0.4], [1, 0.4], [2, 0.1]]
    assert line.get_xydata().tolist() == drawn


def test_windows_of_steps_end_where_the_rate_falls(tmp_path):
    figures = {"clips_per_second": 1, "data_wait": 0.5, "memory_mb": 1, "loss": 1, "gradient_norm": None}
    windows = [(0, 2, 0.4), (0, 4, 0.4), (1, 6, 0.1)]
    records = [figures | {"epoch": epoch, "step": step, "lr": lr} for epoch, step, lr in windows]
    figure = plot_steps(records, tmp_path / "steps.png")
    wait, rate = figure.axes[1], figure.axes[4]
    assert wait.get_ylim() == (0, 100)
    assert rate.lines[1].get_xydata().tolist() == [[2, 0.4], [2, 0.4], [2, 0.4], [4, 0.4], [4, 0.4], [4, 0.1], [6, 0.1]]


def test_no_label_reaches_into_the_plot_beside_it(tmp_path):
    """With numbers as long as they get."""
    records = [record(epoch, lr) for epoch, lr in enumerate((0.00125, 0.001, 0.0000001234))]
    large = {"clips_per_second": 91234.5, "data_wait": 0.5, "memory_mb": 98765, "loss": 1e-4, "gradient_norm": 2.5e-4}
    windows = [{name: value * (1 + step / 9) for name, value in large.items()} for step in range(3)]
    steps = [window | {"epoch": 0, "step": 100_000 * k, "lr": 1.25e-3 * k} for k, window in enumerate(windows)]
    for figure in (plot_curves(records, tmp_path / "a.png"), plot_steps(steps, tmp_path / "b.png")):
        boxes = [axes.get_tightbbox() for axes in figure.axes]
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
        page = figure.bbox
        assert all(page.x0 <= box.x0 and page.y0 <= box.y0 and box.x1 <= page.x1 and box.y1 <= page.y1 for box in boxes)


def test_how_long_the_rate_changes_with_every_step():
    assert OptimizerParam().smooth_epochs == 0
    assert OptimizerParam(warmup_epochs=1.5).smooth_epochs == 1.5
    assert OptimizerParam(warmup_epochs=1.5, schedule="cosine").smooth_epochs == math.inf


@pytest.mark.parametrize(
    ("rates", "scale"),
    [([0.05, 0.01, 0.0005], "log"), ([0.05, 0.03, 1e-7], "linear"), ([0.05, 0.0], "linear"), ([0.05], "linear")],
)
def test_learning_rate_is_logarithmic_only_where_steps_would_vanish(tmp_path, rates, scale):
    figure = plot_curves([record(epoch, lr) for epoch, lr in enumerate(rates)], tmp_path / "curves.png")
    assert figure.axes[2].get_yscale() == scale


def test_curves_without_any_validation(tmp_path):
    path = tmp_path / "curves.png"
    plot_curves([record(0, validated=False)], path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000


def test_contact_sheet_shows_each_segment_in_its_place(tmp_path):
    colors = np.array([[RED, GREEN, BLUE], [BLUE, RED, GREEN]])  # (B, S, 3)
    video = np.broadcast_to(colors[..., None, None], (2, 3, 3, 8, 8))
    path = tmp_path / "sheet.png"
    figure = plot_contact_sheet(video, None, ["first\nid_1", "second\nid_2"], path)
    (axes,) = figure.axes
    for row, y in enumerate(axes.get_yticks()):
        for column, x in enumerate(axes.get_xticks()):
            np.testing.assert_array_equal(color_at(figure, x, y, path), colors[row, column])
    assert texts(axes.get_yticklabels()) == ["first\nid_1", "second\nid_2"]
    assert texts(axes.get_xticklabels()) == ["frame 1", "frame 2", "frame 3"]


def test_contact_sheet_puts_low_frequencies_at_the_bottom_and_stretches_each_plane(tmp_path):
    video = np.zeros((1, 2, 3, 8, 8))
    audio = np.empty((1, 2, 3, 8, 8))
    audio[:, :, 0] = np.linspace(-13, 9, 8)[:, None]  # rises with the frequency
    audio[:, :, 1] = np.linspace(5, 4, 8)[:, None]  # falls
    audio[:, :, 2] = -13.8  # silence
    figure = plot_contact_sheet(video, audio, ["clip"], tmp_path / "sheet.png")
    (axes,) = figure.axes
    assert texts(axes.get_xticklabels()) == ["frame 1", "frame 2", "audio 1", "audio 2"]
    middle = round(axes.get_xticks()[2])
    picture = axes.images[0].get_array()[:, middle]
    np.testing.assert_allclose(picture[0], [1, 0, 0], atol=1e-6)  # top row: the highest band
    np.testing.assert_allclose(picture[7], [0, 1, 0], atol=1e-6)


def test_contact_sheet_draws_the_first_clips_only(tmp_path):
    video = np.zeros((5, 2, 3, 8, 16))
    figure = plot_contact_sheet(video, np.zeros((5, 1, 3, 8, 16)), list("abcde"), tmp_path / "sheet.png", rows=3)
    (axes,) = figure.axes
    assert texts(axes.get_yticklabels()) == ["a", "b", "c"]
    assert texts(axes.get_xticklabels()) == ["frame 1", "frame 2", "audio"]


def test_confusion_rows_are_labels(tmp_path):
    matrix = np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]])  # no clip of the second class
    path = tmp_path / "confusion.png"
    figure = plot_confusion(matrix, ["cat", "dog", "owl"], path)
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[75, 25, 0], [0, 0, 0], [0, 50, 50]])
    numbers = {text.get_position(): text.get_text() for text in axes.texts}  # (x, y) = (prediction, label)
    assert numbers[1, 0] == "1"
    assert numbers[1, 2] == "2"
    assert len(numbers) == 9
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "owl"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("prediction", "label")
    assert axes.get_title() == "Confusion: 62.5% of 8 clips correct"
    bar = figure.axes[1]
    assert bar.get_ylabel() == "color: share of the clips of a label (%); the numbers are clips"
    assert [bar.get_yticks()[place] for place in (0, -1)] == [0, 100]
    assert path.stat().st_size > 0


@pytest.mark.parametrize(("classes", "numbers", "names"), [(2, 4, 2), (12, 144, 12), (40, 0, 40), (400, 0, None)])
def test_confusion_of_few_and_many_classes_stays_readable(tmp_path, classes, numbers, names):
    path = tmp_path / "confusion.png"
    figure = plot_confusion(np.eye(classes, dtype=int), [f"class {i}" for i in range(classes)], path)
    axes = figure.axes[0]
    assert len(axes.texts) == numbers
    assert len(axes.get_xticks()) == names if names else len(axes.get_xticks()) < 15
    with Image.open(path) as picture:
        cell = axes.get_window_extent().width / figure.dpi / figure.get_figwidth() * picture.width / classes
        assert cell > 2.5  # pixels
        assert max(picture.size) < 2000
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(not a.overlaps(b) for a, b in pairwise(boxes))


def test_names_with_dollars_are_no_mathematics(tmp_path):
    names = ["a_$l_l_h$", "$5", r"\$x$"]
    figure = plot_confusion(np.eye(3, dtype=int), names, tmp_path / "a.png")
    assert not any(cbook.is_math_text(label.get_text()) for label in figure.axes[0].get_yticklabels())
    plot_contact_sheet(np.zeros((3, 1, 3, 8, 8)), None, names, tmp_path / "b.png")
