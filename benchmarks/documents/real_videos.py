"""The table of docs/real_videos.md."""

from benchmarks.harness.markdown import Load, table
from benchmarks.real_data.pictures import by_variant


def real_data(load: Load) -> str:
    """Accuracy of frozen features and of each variant, and what a training costs."""
    rows = []
    for name, variants in by_variant(load("real_data")["figures"]).items():
        for variant, members in variants.items():
            scores = [100 * figure["accuracy"] for figure in members]
            seeds = "" if len(scores) == 1 else f"{min(scores):.1f} to {max(scores):.1f}"
            trained = [figure["cpu_seconds"] / 60 for figure in members if "cpu_seconds" in figure]
            minutes = sum(trained) / len(trained) if trained else None
            rows.append((name, variant, f"{sum(scores) / len(scores):.1f}", seeds, minutes))
    return table("set | variant | accuracy, % | seeds | training, CPU minutes", rows)
