"""Probe, fine-tuned network and small network from random weights: which one is kept."""

import json
import math
import sys
from pathlib import Path
from typing import NamedTuple

from tsam_dali.fit.data import Data
from tsam_dali.fit.steps import Steps
from tsam_dali.probe.run import AS_NETWORK
from tsam_dali.probe.store import read_about
from tsam_dali.weights.checkpoint import copy_checkpoint

FEATURES, PROBE, RUN, SCRATCH, MODEL = "features", "probe", "fine_tuned", "scratch", "model"
"""Names in the folder of a fit."""
SCORE = "balanced"
"""Of classes: the score that decides, as in the checkpoint `balanced_best` of a run."""
AT_ONCE = 4
"""Clips that a network sees at a time on a CPU: more need gigabytes of memory, and are not faster."""


class Weights(NamedTuple):
    """A backbone, by its timm name, and the file with what it has learnt from images."""

    arch: str
    file: str


class Candidate(NamedTuple):
    """A network that may be kept."""

    name: str
    checkpoint: Path
    scores: dict[str, float]  # on the validation clips
    report: Path


def probed(weights: Weights, data: Data, out: Path, on_cpu: bool, steps: Steps) -> dict[str, float]:
    """Train the probe, unless it is there. Accuracy of the linear probes on `frames`, `audio`, ...

    Raises:
        ValueError: the folder holds the probe of another backbone.
    """
    features, folder = out / FEATURES, out / PROBE
    if not (folder / "report.html").is_file():
        steps.decide(
            f"probe: what {weights.arch} sees in the clips, without training it, and a linear classifier on that; "
            "trained on the training list, scored on the validation list"
        )
        network = ("--arch", weights.arch, "--weights", weights.file)
        words = (*network, "--set", f"model.audio_segments={int(data.audio)}", *steps.device)
        small = ("--batch_size", AT_ONCE) if on_cpu else ()
        steps.run("embed", features, "--data", data.path, *words, *small)
        steps.run("probe", features, "--split", "lists", "--output", folder)
    there = read_about(features)["config"]["model"]
    if (there["arch"], there["weights"]) != weights:
        raise ValueError(f"{out}: its probe is one of {there['arch']}, {there['weights']}; choose another --out")
    return {inputs: scores["accuracy"] for inputs, scores in _linear(folder).items()}


def _linear(folder: Path) -> dict[str, dict[str, float]]:
    records = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    return {record["input"]: record["mean"] for record in records if record["probe"] == "linear"}


def is_finished(run: Path) -> bool:
    try:
        return json.loads((run / "status.json").read_text())["state"] == "finished"
    except (OSError, ValueError):
        return False


def candidates(out: Path) -> list[Candidate]:
    """The networks in the folder of a fit, the cheaper ones first."""
    found = []
    if (folder := out / PROBE / "report.html").is_file():
        linear = {inputs: scores for inputs, scores in _linear(out / PROBE).items() if inputs in AS_NETWORK}
        best = max(linear.values(), key=lambda scores: scores["accuracy"])  # that of the checkpoint
        scores = {SCORE: best["balanced_accuracy"], "unbalanced": best["accuracy"]}
        found.append(Candidate("probe", out / PROBE / "checkpoint", scores, folder))
    for name in (SCRATCH, RUN):
        try:
            scores = json.loads((out / name / "result.json").read_text(encoding="utf-8"))["best_score"]
        except (OSError, ValueError):
            continue  # not a single epoch
        best_of = out / name / "checkpoints" / f"{SCORE if SCORE in scores else next(iter(scores))}_best"
        if best_of.is_file():
            found.append(Candidate(name.replace("_", "-"), best_of, scores, out / name / "report.html"))
    return found


def keep_best(out: Path, data: Data, steps: Steps) -> None:
    """Copy the network with the best score to `model`, and say how to use it.

    Raises:
        ValueError: there is none yet.
    """
    found = candidates(out)
    if not found:
        raise ValueError(f"{out}: no network yet; the same command goes on, with the --minutes said above")
    score = SCORE if SCORE in found[0].scores else next(iter(found[0].scores))
    best = max(found, key=lambda one: one.scores[score])
    copy_checkpoint(best.checkpoint, out / MODEL)
    number = len(data.clips["validation"])
    print(f"\n{'network':12}{'accuracy':>10}{'balanced':>10}" if score == SCORE else f"\n{'network':12}{score:>10}")
    for one in found:
        cells = [one.scores["unbalanced"], one.scores[score]] if score == SCORE else [one.scores[score]]
        row = "".join(f"{cell:10.1%}" if score == SCORE else f"{cell:10.3f}" for cell in cells)
        print(f"{one.name:12}{row}{'  kept' if one is best else ''}")
    if score == SCORE:
        share = (best.scores["unbalanced"] * number + 2) / (number + 4)  # of Agresti and Coull: not 0 at 100 %
        spread = 1.96 * math.sqrt(share * (1 - share) / (number + 4))
        steps.say(
            f"scores are those on {number} validation clips: by chance they may lie up to {100 * spread:.0f} points "
            "beside the accuracy on new clips. Of trainings it is the best epoch, chosen by these clips, too"
        )
    tsam = "tsam" if sys.argv[0].startswith("tsam ") else "python -m tsam_dali."
    gap = " " if tsam == "tsam" else ""
    print(f"model: {out / MODEL}\nreport: {best.report}")
    print(f"predict: {tsam}{gap}predict --checkpoint {out / MODEL} VIDEOS")
    print(f"export: {tsam}{gap}export --checkpoint {out / MODEL} {out / 'model.onnx'}")
