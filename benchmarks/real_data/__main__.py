"""Learn real videos: what do frozen features, fine-tuning, the temporal shift, audio and training copies bring?

--data names folders with videos/, training.txt and validation.txt (ID and class). Of clips without audio, a second set
is made: the same clips forwards and backwards, where the order of the frames alone decides. Each training is the
command `python -m tsam_dali.train` with one thread; as many run side by side as there are cores.

What is made lies in --work. Trainings that are finished are kept: run the same command again after an interruption,
or after a variant has been added. A run that is ended early has them in its results, too.

example:
  python -m benchmarks.real_data --data my/strokes my/sentences --weights lite0.pth
"""

import argparse
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.arguments import benchmark_parser
from benchmarks.harness.preparation import ROOT
from benchmarks.harness.results import origin, print_table, write_results
from benchmarks.real_data.pictures import by_variant, plot_accuracies, plot_confusions
from benchmarks.real_data.probe import probe
from benchmarks.real_data.sets import make_sets, prepare
from benchmarks.real_data.trainings import Training, empty_config, kept, trained
from benchmarks.real_data.variants import ABLATIONS, RECIPES, VARIANTS
from tsam_dali.cli.common import check_checkpoint, friendly_errors

METHOD = {
    "accuracy": "of the validation clips (0..1) after the last epoch",
    "best_accuracy": "of the best epoch",
    "training_accuracy": "of the augmented clips of the last epoch, while they were trained on",
    "seconds": "wall time of the training command, with its start; as many run side by side as there are cores",
    "confusion": "validation clips by label (rows) and prediction (columns)",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    check_checkpoint(args.weights)
    cores = len(os.sched_getaffinity(0))
    start, work, weights = origin(), args.work.resolve(), args.weights.resolve()
    sets = make_sets(args.data, work)
    figures: list[dict[str, Any]] = []

    def add(figure: dict[str, Any]) -> None:
        figures.append(figure)
        print(json.dumps({key: figure[key] for key in ("set", "variant", "seed", "accuracy")}), flush=True)
        write_results(args.output, "real_data", METHOD | {"recipes": RECIPES, "variants": _changes()}, figures, start)

    for real_set in sets:
        prepare(real_set, empty_config(work), [*VARIANTS[0].settings(real_set.kind), *args.set], cores)
        add(probe(real_set, args.set, weights, work))
    chosen = [one for one in (*VARIANTS, *ABLATIONS) if one.name in (*args.variants, *args.ablations)]
    trainings = [
        Training(real_set, variant, seed, args.set)
        for seed in args.seeds
        for variant in chosen
        for real_set in sets
        if real_set.kind in variant.kinds
    ]
    trainings.sort(key=lambda one: kept(one, weights, work) is None)
    try:
        with ThreadPoolExecutor(cores) as pool:
            for figure in pool.map(partial(trained, weights=weights, work=work), trainings):
                add(figure)
    finally:  # a run that is ended early leaves what it has
        _print(figures)
        plot_accuracies(figures, args.output.with_suffix(".png"))
        plot_confusions(figures, {one.name: one.class_names for one in sets}, args.output)


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("real_data", __doc__)
    add = command.add_argument
    add("--data", type=Path, nargs="+", required=True, metavar="FOLDER", help="data sets, see above")
    add("--weights", type=Path, required=True, metavar="FILE", help="initial weights of tf_efficientnet_lite0")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="of each variant (default: 0 1 2)")
    for option, some, default, what in (
        ("--variants", VARIANTS, "all", "what is trained"),
        ("--ablations", ABLATIONS, "none", "beside them: recipes with a single switch changed"),
    ):
        names = [variant.name for variant in some]
        about = f"{what}: {', '.join(names)} (default: {default})"
        add(option, nargs="+", choices=names, metavar="NAME", default=names if default == "all" else [], help=about)
    change = "change a setting of all recipes; may be repeated"
    add("--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help=change)
    work = ROOT / "results" / "real_data"
    add("--work", type=Path, default=work, metavar="FOLDER", help="for what is made (default: results/real_data)")
    return command.parse_args()


def _changes() -> dict[str, Mapping[str, Any]]:
    return {variant.name: variant.changes for variant in (*VARIANTS, *ABLATIONS)}


def _print(figures: list[dict[str, Any]]) -> None:
    rows = []
    for name, variants in by_variant(figures).items():
        for variant, members in variants.items():
            scores = [figure["accuracy"] for figure in members]
            mean = f"{sum(scores) / len(scores):.1%}"
            rows.append((name, variant, len(scores), f"{min(scores):.1%}", mean, f"{max(scores):.1%}"))
    print_table(("set", "variant", "seeds", "worst", "mean", "best"), rows)


if __name__ == "__main__":
    main()
