"""Write the tables of README.md and of pages in docs/ from benchmarks/results/*.json.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; the text around it is written by hand.

example:
  python -m benchmarks.documents.tables --check
"""

import json
import math
import re
import sys
from collections import defaultdict
from pathlib import Path

from benchmarks.baselines.decoders import OURS
from benchmarks.documents.decode_tables import decode, decoders, several_cores
from benchmarks.documents.deployment import deployment_scores, deployment_speed
from benchmarks.documents.real_videos import real_data, switches
from benchmarks.harness.markdown import Figure, Load, grouped, hardware, median, medians, named, shown, table, total
from benchmarks.harness.preparation import ROOT
from benchmarks.harness.results import FOLDER
from benchmarks.model.live_variants import IMAGE, STREAM, WINDOW
from benchmarks.model.shift_variants import TSAM as TSAM_SHIFT
from benchmarks.training.end_to_end_variants import (
    COPIES_OURS,
    DECORD,
    JPEG_OURS,
    NETWORK,
    TORCHCODEC,
    TSAM,
    VIDEOS_OURS,
)
from tsam_dali.cli.common import parser

DOCUMENTS = (
    ROOT / "README.md",
    *(ROOT / "docs" / name for name in ("benchmarks.md", "deploying.md", "learning.md", "real_videos.md")),
)
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SHORT, LONG = 8, 16  # frames of a clip
TSAM_LOADER, RATE = "TSAM's way", "clips_per_second"
STORE, TSAM_AUDIO = "log-mel store", "TSAM's way, on the fly"
STREAMS = {STREAM: "video alone", WINDOW: "the whole window again"}


def load(name: str, folder: Path = FOLDER) -> Figure:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def ways(load: Load, segments: int) -> dict[str, Figure]:
    """What was measured of a training on clips of so many frames, by way of reading them."""
    found = grouped(load("end_to_end"), "segments")[segments]
    return {way["way"]: way for way in found if way["kind"] == "way" and not way["missing"]}


def pays_after(videos: Figure, prepared: Figure) -> int:
    """Epochs after which what was prepared has saved the CPU time that preparing it took; ValueError: it saves none."""
    cost = prepared["preparation_cpu_seconds_per_clip"] - videos["preparation_cpu_seconds_per_clip"]
    saved = (median(videos, "loader_cpu_ms_per_clip") - median(prepared, "loader_cpu_ms_per_clip")) / 1000
    if saved <= 0:
        raise ValueError(f"{prepared['way']}: loading takes no less CPU time than that of the videos")
    return math.ceil(cost / saved)


def summary(load: Load) -> str:
    """The README's table."""
    of, kills = ways(load, SHORT), grouped(load("faults"), "kind")["kills"]
    rate = medians({name.removeprefix("ours, "): f for name, f in named(load("loader"), "loader").items()}, RATE)
    cost = {name: shown(median(way, "loader_cpu_ms_per_clip")) for name, way in of.items()}
    audio = {name: shown(cost) for name, cost in medians(named(load("audio"), "way"), "cpu_ms_per_clip").items()}
    step = list(medians(named(load("step"), "variant"), "wall_seconds").values())
    clip = f"{SHORT} frames + audio"
    peers = f"torchcodec {cost[TORCHCODEC]}, decord2 {cost[DECORD]}"
    rows = [
        (f"load training copies, {clip}, clips/s", rate["training copies"], f"TSAM {shown(rate[TSAM_LOADER])}"),
        (f"load videos as they are, {clip}, CPU ms", cost[VIDEOS_OURS], peers),
        *(
            (f"decode {frames} frames, {kind}, CPU ms", ours, f"{name} {shown(best)}")
            for kind, frames, ours, best, name, _ in decoders(load)
            if frames == str(SHORT)
        ),
        ("log-mel spectrogram from the store, CPU ms", audio[STORE], f"TSAM, from the .wav {audio[TSAM_AUDIO]}"),
        ("training step of ResNet-50, 4 clips, s", min(step), f"TSAM {shown(step[0])}"),
        ("killed runs that resume bit-identically", f"{total(kills, 'identical')} of {len(kills)}", None),
    ]
    return table("measured | here | compared with", rows)


def verdict(load: Load) -> str:
    """What each way of storing the clips costs."""
    of, rows = ways(load, SHORT), []
    kept = ("preparation_cpu_seconds_per_clip", "kilobytes_per_clip", "files_per_clip")
    for name in (TSAM, JPEG_OURS, VIDEOS_OURS, COPIES_OURS):
        numbers = [median(of[name], key) for key in (*kept, "loader_cpu_ms_per_clip")]
        rows.append((name, *numbers, None if name == VIDEOS_OURS else pays_after(of[VIDEOS_OURS], of[name])))
    headings = "way | prepare, CPU s | disk, kB | files | load, CPU ms | pays off after epochs"
    return table(headings, rows)


def end_to_end(load: Load) -> str:
    """A training on every way of reading."""
    keys = ("loader_cpu_ms_per_clip", "training_cpu_ms_per_clip")
    rows = []
    for segments in (SHORT, LONG):
        for name, way in ways(load, segments).items():
            decoded = None if name == NETWORK else way["decoded_frames_per_clip"]
            rows.append(
                (str(segments), name, decoded, *(median(way, key) for key in keys), f"{median(way, 'data_wait'):.0%}")
            )
    headings = "frames | way | frames decoded | loader, CPU ms | training, CPU ms | data wait"
    return table(headings, rows)


def copies(load: Load) -> str:
    """The settings of the encoder that were compared."""
    keys = ("variant", "bytes_relative", "psnr_db", "cpu_seconds_to_make", "cpu_ms_8_frames", "cpu_ms_16_frames")
    headings = "variant | bytes | PSNR, dB | make, CPU s | 8 frames, CPU ms | 16 frames, CPU ms"
    return table(headings, [[median(figure, key) for key in keys] for figure in load("copies")["figures"]])


def backbones(load: Load) -> str:
    """What each backbone costs."""
    keys = ("arch", "shifted_blocks", "million_parameters", "gflops", "wall_seconds", "cpu_seconds", "peak_mb")
    headings = "backbone | shifted blocks | parameters, M | GFLOPs | step, s | step, CPU s | MB"
    return table(headings, [[median(figure, key) for key in keys] for figure in load("backbones")["figures"]])


def demo(load: Load) -> str:
    """Accuracy of the demo."""
    found = grouped(load("demo"), "variant") | grouped(load("demo_transformer"), "variant")
    scores = {name: [run["accuracy"] for run in runs] for name, runs in found.items()}
    rows = [(name, len(runs), *(f"{each:.1%}" for each in (min(runs), max(runs)))) for name, runs in scores.items()]
    return table("trained with | runs | worst | best", rows)


def figures(load: Load) -> str:
    """Single figures, each with its file; where one line has several, their names stand in the same order."""
    scaling, overhead = grouped(load("scaling"), "kind"), named(load("overhead"), "loop")["trainer"]
    loaders = {f["loader"].removeprefix("ours, "): f for f in grouped(load("loader"), "kind")["loader"]}
    audio, starts = named(load("audio"), "way"), load("startup")["figures"]
    ranks = {f["ranks"]: f"{median(f, 'overhead'):.1%}" for f in scaling["ranks"] if f["overhead"]}
    workers = {str(f["workers"]): median(f, "clips_per_second") for f in scaling["workers"]}
    dtypes = {d: shift_ms(load, TSAM_SHIFT, d) / shift_ms(load, OURS, d) for d in ("float32", "bfloat16")}
    held = [f["highest"] for f in load("memory")["figures"] if f["process"] != "main" and f["quantity"] == "pss"]
    streams = {
        f"{STREAMS.get(f['way'], 'with new audio')}, {f['segments']}": median(f, "cpu_relative_to_image")
        for f in load("live")["figures"]
        if f["way"] != IMAGE
    }
    run, *grown = load("soak")["figures"]
    memory = {f["process"]: f["slope_per_hour"] for f in grown if f["quantity"] == "pss"}
    memory["processes left behind"] = run["processes_left"] + len(run["shared_memory_left"])
    pieces = {f["container"]: f for f in load("pieces")["figures"] if "cpu_relative" in f}
    pieces_cost = {f"CPU time, {name}": cost for name, cost in medians(pieces, "cpu_relative").items()}
    pieces_cost |= {f"bytes read, {name}": read for name, read in medians(pieces, "bytes_relative").items()}
    disk = {f["kind"]: f["megabytes"] for f in grouped(load("installation"), "package")["all"]}
    rows = [
        ("loader", "loading speed, TSAM's way = 1", medians(loaders, "rate_relative_to_baseline")),
        ("audio", "log-mel of a clip, CPU ms", medians(audio, "cpu_ms_per_clip")),
        ("pieces", "ten seconds of an hour, as a file of their own = 1", pieces_cost),
        ("shift", "shift, forward and backward, times as fast as TSAM's", dtypes),
        ("step", "step of ResNet-50, times as fast as TSAM's", medians(named(load("step"), "variant"), "wall_speedup")),
        ("overhead", "the trainer adds to a bare step", {"ResNet-50": f"{median(overhead, 'overhead'):.1%}"}),
        ("scaling", "clips/s from training copies, by decode processes", workers),
        ("scaling", "DDP adds to a step of ResNet-18 on the CPU", ranks),
        ("memory", "largest decode worker, MB", {"shared pages by their share": max(held)}),
        ("live", "a frame of a stream costs, one image = 1", streams),
        ("startup", "start to first batch, s, by clips", {shown(f["clips"]): median(f, "start") for f in starts}),
        ("soak", "an hour of training with faults, MB gained", memory),
        ("installation", "disk for predictions, and what only a GPU needs, MB", disk),
    ]
    lines = [
        (what, "<br>".join(f"{name}: {shown(value)}" for name, value in values.items()), link(file))
        for file, what, values in rows
    ]
    return table("measured | figures | file", lines)


def faults(load: Load) -> str:
    """What was lost to faults."""
    of = grouped(load("faults"), "kind")
    (videos,), (checkpoints,), (rest,) = of["videos"], of["checkpoints"], of["leftovers"]
    runs = {"killed at a random moment": of["kills"]} | {f"stopped by {s}": of[s] for s in ("SIGTERM", "SIGUSR1")}
    ends = [
        f"{total(some, 'identical')} bit-identical, {total(some, 'steps_lost')} steps lost" for some in runs.values()
    ]
    left = sum(total(some, "processes_left") for some in runs.values()) + len(rest["shared_memory_left"])
    crashes = sum(videos.get(key, 0) for key in ("crashed", "failed", "timeout", "out_of_memory"))
    unseen = ", ".join(f"{codec} {count}" for codec, count in videos["unseen_by_codec"].items())
    rows = [
        *((f"runs {how}", len(some), end) for (how, some), end in zip(runs.items(), ends, strict=True)),
        ("trainings with 1 % broken files", len(of["broken"]), f"{total(of['broken'], 'same')} equal"),
        ("damaged checkpoints", checkpoints["damaged"], f"{checkpoints['detected']} detected"),
        ("damaged videos", videos["videos"], f"{crashes} crashes or hangs"),
        ("wrong frames that only FFmpeg detects", videos["videos"], videos.get("wrong frames", 0)),
        ("wrong frames that neither detects", videos["videos"], f"{videos.get('unseen', 0)} ({unseen})"),
        ("processes and shared memory left behind", None, left),
    ]
    return table("fault | times | outcome", rows)


def machines(load: Load) -> str:
    """Where the files of results come from."""
    found = defaultdict(list)
    for name in sorted(path.stem for path in FOLDER.glob("*.json")):
        found[hardware(load(name)), load(name)["date"][:10]].append(link(name))
    return table("machine | date | results", [(*key, ", ".join(links)) for key, links in found.items()])


def shift_ms(load: Load, way: str, dtype: str = "float32") -> float:
    """Milliseconds, forward and backward."""
    wanted = (way, dtype, "channels_last")
    return sum(median(f, "wall_ms") for f in load("shift")["figures"] if (f["way"], f["dtype"], f["layout"]) == wanted)


def link(name: str) -> str:
    return f"[{name}](../benchmarks/results/{name}.json)"


HERE = (summary, verdict, end_to_end, copies, backbones, demo, figures, faults, machines)
WRITERS = (*HERE, decode, several_cores, real_data, switches, deployment_scores, deployment_speed)
TABLES = {writer.__name__: writer for writer in WRITERS}


def with_tables(text: str, load: Load = load) -> str:
    """A document with its tables, each written by the function of its name."""
    return MARKED.sub(lambda match: f"{match[1]}\n{TABLES[match[2]](load)}\n\n{match[3]}", text)


def main() -> None:
    command = parser("python -m benchmarks.documents.tables", __doc__)
    command.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table is out of date")
    check = command.parse_args().check
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        if check and text != with_tables(text):
            sys.exit(f"{path.name} is not up to date with benchmarks/results: run make bench-documents")
        if not check:
            path.write_text(with_tables(text), encoding="utf-8")


if __name__ == "__main__":
    main()
