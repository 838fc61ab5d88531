"""The plot of the network's inputs. Shapes: B clips, S video and A audio segments."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from tsam_dali.report.mistakes import stretched
from tsam_dali.report.plots import DPI, literally


def plot_contact_sheet(
    video: np.ndarray, audio: np.ndarray | None, titles: Sequence[str], path: str | Path, rows: int = 6
) -> Figure:
    """Draw the inputs of the network as a PNG: a row per clip, its segments in their order, then its audio.

    Args:
        video: (B, S, 3, H, W), 0..1.
        audio: (B, A, 3, H, W), log-mel spectrograms with the lowest band in row 0, or None. The planes (three window
            lengths) are drawn as red, green and blue, each stretched to its own range; low frequencies at the bottom.
        titles: B texts, written to the left of the rows; may have several lines.
        path: PNG file to write.
        rows: at most so many clips are drawn, the first of the batch.
    """
    rows = min(rows, len(video))
    images = video[:rows].clip(0, 1)
    names = [f"frame {s + 1}" for s in range(video.shape[1])]
    if audio is not None:
        images = np.concatenate([images, stretched(torch.from_numpy(audio[:rows])).numpy()[..., ::-1, :]], axis=1)
        names += ["audio"] if audio.shape[1] == 1 else [f"audio {a + 1}" for a in range(audio.shape[1])]
    images = images.transpose(0, 1, 3, 4, 2)  # (B, T, 3, H, W) -> (B, T, H, W, 3)

    columns, height, width = images.shape[1:4]
    inches = min(1.2, 24 / columns)  # per image; 24 inches hold 20 of full size
    figure = Figure(figsize=(inches * columns, rows * inches * height / width))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_title("Network inputs: the segments of each clip from left to right")
    gap = 1 + width // 16
    images = np.pad(images, [(0, 0), (0, 0), (0, gap), (0, gap), (0, 0)], constant_values=1)
    height, width = height + gap, width + gap
    axes.imshow(images.swapaxes(1, 2).reshape(rows * height, columns * width, 3))
    axes.set_xticks(np.arange(columns) * width + (width - gap) / 2, names)
    axes.set_yticks(np.arange(rows) * height + (height - gap) / 2, [literally(title) for title in titles[:rows]])
    axes.tick_params(length=0, labelsize=9, labelbottom=False, labeltop=True)
    axes.spines[:].set_visible(False)
    figure.savefig(path, dpi=DPI, bbox_inches="tight")  # the page grows by the names
    return figure
