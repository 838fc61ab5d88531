"""What the README says of whole runs: faults, an hour of training, start-up, streams."""

from collections.abc import Mapping
from typing import Any

from benchmarks.harness.markdown import link, median, shown, table
from benchmarks.model.live_variants import IMAGE


def faults(results: Mapping[str, Any]) -> str:
    """The figures of benchmarks/reliability/faults.py."""
    of: dict[str, list[Mapping[str, Any]]] = {}
    for figure in results["figures"]:
        of.setdefault(figure["kind"], []).append(figure)
    (videos,), (checkpoints,), (left,) = of["videos"], of["checkpoints"], of["leftovers"]
    stops = {sent: of[sent] for sent in ("SIGTERM", "SIGUSR1")}
    ends = [*of["kills"], *stops["SIGTERM"], *stops["SIGUSR1"]]
    crashed = sum(videos.get(name, 0) for name in ("crashed", "failed"))
    hung = sum(videos.get(name, 0) for name in ("timeout", "out_of_memory"))
    rows = [
        ("runs killed at a random moment", len(of["kills"]), f"{_count(of['kills'], 'identical')} end bit-identical"),
        *(
            (
                f"runs stopped by {sent} in {', '.join(dict.fromkeys(run['phase'] for run in runs if 'phase' in run))}",
                len(runs),
                f"{_count(runs, 'identical')} end bit-identical, {_count(runs, 'steps_lost')} steps lost",
            )
            for sent, runs in stops.items()
        ),
        (
            "trainings with 1 % broken files (2 of 200; frozen BatchNorm, weights compared to 1e-5)",
            len(of["broken"]),
            f"{_count(of['broken'], 'same')} equal to training on the good ones",
        ),
        ("damaged checkpoints", checkpoints["damaged"], f"{checkpoints['detected']} detected"),
        (
            "damaged videos",
            videos["videos"],
            f"{crashed} crashes, {hung} hangs, {videos.get('wrong frames', 0)} with wrong frames that we pass and "
            f"FFmpeg's strictest decode does not, {videos.get('unseen', 0)} that both pass",
        ),
        (
            "processes and names in shared memory",
            "",
            f"{_count(ends, 'processes_left') + len(left['shared_memory_left'])} left behind",
        ),
    ]
    unseen = ", ".join(f"{codec} {count}" for codec, count in videos["unseen_by_codec"].items())
    return (
        f"What faults cost ({link('faults')}):\n\n{table(('fault', 'times', 'outcome'), rows)}\n\n"
        f"Damaged videos with wrong frames in which no strict decode of the whole file finds an error: {unseen}; "
        "pictures carry no checksum."
    )


def _count(runs: list[Mapping[str, Any]], key: str) -> int:
    return sum(run.get(key, 0) for run in runs)  # one that failed has no figures


def soak(results: Mapping[str, Any]) -> str:
    """The figures of benchmarks/reliability/soak.py."""
    run = next(figure for figure in results["figures"] if figure.get("kind") == "run")
    grown = {(f["process"], f["quantity"]): f for f in results["figures"] if f.get("kind") != "run"}
    trainer, workers = grown["trainer", "pss"], grown["decode workers", "pss"]
    files = grown["trainer", "open files"]
    return (
        f"In {results['method']['minutes']:.0f} minutes of training with {len(run['damaged'])} damaged files and "
        f"{run['workers_killed']} killed decode workers the trainer's memory changed by "
        f"{shown(trainer['slope_per_hour'])} MB an hour (of {shown(trainer['last'])}), a worker's by "
        f"{shown(workers['slope_per_hour'])} (of {shown(workers['last'])}), the trainer's open files by "
        f"{shown(files['slope_per_hour'])} (of {files['last']}); {run['processes_left']} processes and "
        f"{len(run['shared_memory_left'])} names in shared memory were left ({link('soak')})."
    )


def startup(results: Mapping[str, Any]) -> str:
    """The figures of benchmarks/loading/startup.py."""
    starts = ", ".join(f"{shown(median(f, 'start'))} s with {shown(f['clips'])} clips" for f in results["figures"])
    return f"From the command to the first batch: {starts} ({link('startup')})."


def live(results: Mapping[str, Any]) -> str:
    """The figures of benchmarks/model/live.py."""
    others = [figure for figure in results["figures"] if figure["way"] != IMAGE]
    costs = ", ".join(f"{f['variant']} {shown(median(f, 'cpu_relative_to_image'))}" for f in others)
    return f"A prediction after every frame of a stream costs, where one image costs 1: {costs} ({link('live')})."
