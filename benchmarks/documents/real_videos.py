"""The tables of docs/real_videos.md, and of single switches in docs/learning.md."""

from collections.abc import Mapping
from statistics import mean

from benchmarks.harness.markdown import Load, table
from benchmarks.real_data.pictures import Figures, by_variant
from benchmarks.real_data.variants import ABLATIONS, WHOLE

SWITCHES = [variant.name for variant in ABLATIONS]


def real_data(load: Load) -> str:
    """Accuracy of frozen features and of each variant, and what a training costs."""
    rows = []
    for name, variants in by_variant(load("real_data")["figures"]).items():
        for variant, members in variants.items():
            if variant in SWITCHES:
                continue
            scores = [100 * figure["accuracy"] for figure in members]
            seeds = "" if len(scores) == 1 else f"{min(scores):.1f} to {max(scores):.1f}"
            trained = [figure["cpu_seconds"] / 60 for figure in members if "cpu_seconds" in figure]
            minutes = mean(trained) if trained else None
            rows.append((name, variant, f"{mean(scores):.1f}", seeds, minutes))
    return table("set | variant | accuracy, % | seeds | training, CPU minutes", rows)


def switches(load: Load) -> str:
    """What a single change of a recipe does: accuracy, and its difference to the recipe with the same seeds."""
    sets = {
        name: variants
        for name, variants in by_variant(load("real_data")["figures"]).items()
        if variants.keys() & set(SWITCHES)
    }
    rows = [("the recipe", *map(_recipe, sets.values()))]
    for switch in SWITCHES:
        if any(switch in variants for variants in sets.values()):
            rows.append((switch, *(_change(variants, switch) for variants in sets.values())))
    return table(" | ".join(("changed", *(f"{name}, %" for name in sets))), rows)


def _recipe(variants: Mapping[str, Figures]) -> str:
    """Its accuracy with the seeds of the changed ones."""
    seeds = {figure["seed"] for switch in SWITCHES for figure in variants.get(switch, ())}
    return f"{100 * mean(score for seed, score in _scores(variants[WHOLE]).items() if seed in seeds):.1f}"


def _change(variants: Mapping[str, Figures], switch: str) -> str:
    if switch not in variants:
        return "–"
    changed, recipe = (_scores(variants[name]) for name in (switch, WHOLE))
    points = mean(100 * (score - recipe[seed]) for seed, score in changed.items())
    return f"{100 * mean(changed.values()):.1f} ({points:+.1f})"


def _scores(members: Figures) -> dict[int, float]:
    """Of each seed."""
    return {figure["seed"]: figure["accuracy"] for figure in members}
