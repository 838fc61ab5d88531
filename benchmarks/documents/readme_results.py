"""Write the README's results, between two marks, from benchmarks/results/*.json.

example:
  python -m benchmarks.documents.readme_results --check
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.baselines.decoders import OURS
from benchmarks.documents import run_results
from benchmarks.documents.verdict import verdict
from benchmarks.harness.markdown import Results, hardware, link, median, shown, table, wrapped, write_or_check
from benchmarks.harness.preparation import ROOT
from benchmarks.model.shift_variants import TSAM

README = ROOT / "README.md"
BEGIN = "<!-- results: written by python -m benchmarks.documents.readme_results -->"
END = "<!-- end of results -->"
GPU_RESULTS = "gpu"
"""Folder in benchmarks/results with the files of benchmarks/gpu.sh."""


def results_section(results: Results) -> str:
    """All paragraphs; what was not measured is said last."""
    paragraphs, missing, machines = [], [], defaultdict(list)
    for name, write in SECTIONS.items():
        found = results.load(name)
        if found is None:
            missing.append(f"`python -m benchmarks.{name}`")
        else:
            paragraphs.append(write(found))
            machines[hardware(found)].append(name)
    if machines:
        of = "; ".join(f"{', '.join(names)}: {machine}" for machine, names in machines.items())
        paragraphs.append(f"Machines, with the instruction sets of those that recorded them: {of}.")
    if missing:
        paragraphs.append(f"Not measured yet: {', '.join(missing)}.")
    if not list((results.folder / GPU_RESULTS).glob("*.json")):
        paragraphs.append(
            "Nothing of this was measured on a GPU: the ways in that decode with NVDEC and nvJPEG, and training on "
            "CUDA, have no figures yet. `benchmarks/gpu.sh` takes them."
        )
    return "\n\n".join(map(wrapped, "\n\n".join(paragraphs).split("\n\n")))


def _end_to_end(results: Mapping[str, Any]) -> str:
    figures = [figure for figure in results["figures"] if figure["kind"] == "way"]
    smallest = min(figure["segments"] for figure in figures)
    ways = {figure["way"]: figure for figure in figures if figure["segments"] == smallest}
    keys = (
        *("preparation_cpu_seconds_per_clip", "kilobytes_per_clip", "files_per_clip", "loader_clips_per_second"),
        *("loader_cpu_ms_per_clip", "training_clips_per_second", "data_wait"),
    )
    rows = []
    for figure in figures:
        if figure["missing"] == "needs a GPU":
            continue
        numbers = [median(figure, key) if key in figure else None for key in keys]
        wait = numbers.pop()
        note = f" ({figure['missing']})" if figure["missing"] else ""
        rows.append((str(figure["segments"]), figure["way"] + note, *numbers, wait and f"{wait:.0%}"))
    columns = ("frames", "way", "prepare, CPU s", "disk, kB", "files", "loader, clips/s", "CPU ms", "training, clips/s")
    method = results["method"]
    return (
        f"{verdict(ways, smallest)}\n\n"
        f"Per clip, on {hardware(results)}; {method['num_videos']} clips under {method['repeats']} names each; "
        f"training is that of `{method['arch']}` on pictures made {method['pool']} times smaller, so that loading "
        f"matters as it does beside a GPU ({link('end_to_end')}):\n\n{table((*columns, 'data wait'), rows)}"
    )


def _decode(results: Mapping[str, Any]) -> str:
    rows = []
    keys = dict.fromkeys((f["clips"], f["segments"]) for f in results["figures"] if f["rule"] == "validation")
    for clips, segments in keys:
        chosen = [
            f for f in results["figures"] if (f["clips"], f["segments"], f["rule"]) == (clips, segments, "validation")
        ]
        ours = next(f for f in chosen if f["decoder"] == OURS)
        peers = [f for f in chosen if f["decoder"] != OURS]
        best = min(peers, key=lambda f: median(f, "cpu_relative_to_ours"))
        ratio = f"{median(best, 'cpu_relative_to_ours'):.2f} times ours"
        cost = f"{shown(median(best, 'cpu_ms_per_clip'))} ({best['decoder']}, {ratio})"
        rows.append((clips, str(segments), median(ours, "cpu_ms_per_clip"), cost))
    equal = all(f["max_difference"] == 0 for f in results["figures"])
    same = "All of them give the same pictures to the last bit." if equal else ""
    columns = ("clips", "frames", "here", "the best other decoder")
    return (
        f"Decoding alone, the frames of validation, one core, CPU milliseconds per clip ({link('decode')}; peers: "
        f"PyAV's plain loop, torchcodec, decord, OpenCV):\n\n{table(columns, rows)}\n\n{same}".rstrip()
    )


def _copies(results: Mapping[str, Any]) -> str:
    figures = {figure["variant"]: figure for figure in results["figures"]}
    copies, jpegs = figures["copies as made by default"], figures["JPEG frames, 10 fps, height 256"]
    part = copies["bytes_relative"] / jpegs["bytes_relative"]
    return (
        f"Training copies take {copies['bytes_relative']:.0%} of the videos' bytes, audio included, and {part:.0%} of "
        f"those of JPEG frames at 10 a second; one takes {shown(copies['cpu_seconds_to_make'])} CPU seconds to make "
        f"({link('copies')} compares the settings of the encoder)."
    )


def _audio(results: Mapping[str, Any]) -> str:
    ways = {figure["way"]: figure for figure in results["figures"] if figure["kind"] == "picture"}
    store = next(figure for figure in results["figures"] if figure["kind"] == "store")
    stored, tsam = ways["log-mel store"], ways["TSAM's way, on the fly"]
    return (
        f"Audio ({link('audio')}): a picture from the log-mel store costs {shown(median(stored, 'cpu_ms_per_clip'))} "
        f"CPU ms a clip, made on the fly in TSAM's way {shown(median(tsam, 'cpu_ms_per_clip'))}. The store takes "
        f"{shown(store['bytes_per_clip_second'] / 1000)} kB for a second of a clip and is made at "
        f"{shown(store['files_per_second'])} files/s on {store['workers']} processes; its pictures differ from "
        f"librosa's in double precision by {shown(stored['mean_difference'])} on average, at most "
        f"{shown(stored['max_difference'])}, in ln(power); those of TSAM's way by {shown(tsam['mean_difference'])} and "
        f"{shown(tsam['max_difference'])}."
    )


def _loader(results: Mapping[str, Any]) -> str:
    loaders = {figure["loader"]: figure for figure in results["figures"] if figure["kind"] == "loader"}
    rates = "; ".join(
        f"{name.removeprefix('ours, ')} {shown(median(figure, 'rate_relative_to_baseline'))}"
        for name, figure in loaders.items()
        if name.startswith("ours, ")
    )
    return (
        f"The loader alone on {results['method']['cores']} cores, {results['method']['segments']} frames and the "
        f"audio, where TSAM's way (JPEG frames and .wav files) loads 1: {rates} ({link('loader')})."
    )


def _shift(results: Mapping[str, Any]) -> str:
    def milliseconds(way: str, dtype: str) -> float:
        chosen = [f for f in results["figures"] if (f["way"], f["dtype"], f["layout"]) == (way, dtype, "channels_last")]
        return sum(median(figure, "wall_ms") for figure in chosen)  # forward and backward

    speedups = ", ".join(
        f"{shown(milliseconds(TSAM, dtype) / milliseconds(OURS, dtype))} times as fast in {dtype}"
        for dtype in ("float32", "bfloat16")
    )
    return f"The shift, forward and backward, beside TSAM's way: {speedups} ({link('shift')})."


def _step(results: Mapping[str, Any]) -> str:
    best = max(results["figures"], key=lambda figure: median(figure, "wall_speedup"))
    method = results["method"]
    size = f"{method['batch_size']} clips of {method['segments']} frames and the audio"
    return (
        f"A step of training, {method['arch']}, {size} ({link('step')}): "
        f"{shown(median(best, 'wall_speedup'))} times as fast as in TSAM's way with `{best['variant']}`."
    )


def _overhead(results: Mapping[str, Any]) -> str:
    trainer = next(figure for figure in results["figures"] if figure["loop"] == "trainer")
    overhead = trainer["overhead"]
    spread = f"quartiles {overhead['q1']:.1%} and {overhead['q3']:.1%}"
    return (
        f"The trainer adds {overhead['median']:.1%} ({spread}) to the bare step of {results['method']['arch']} on "
        f"batches that are ready. On the example's videos, decoded on the same cores, it waits for data "
        f"{trainer['data_wait']:.1%} of the time ({link('overhead')})."
    )


def _scaling(results: Mapping[str, Any]) -> str:
    workers = [figure for figure in results["figures"] if figure["kind"] == "workers"]
    ranks = {figure["ranks"]: figure for figure in results["figures"] if figure["kind"] == "ranks"}
    rates = ", ".join(f"{f['workers']}: {shown(median(f, 'clips_per_second'))}" for f in workers)
    costs = ", ".join(f"{name} {median(f, 'overhead'):.1%}" for name, f in ranks.items() if f["overhead"])
    return (
        f"Clips/s by decode processes, training copies on {results['method']['cores']} cores: {rates}. What DDP adds "
        f"to a step of {results['method']['arch']} on the CPU: {costs} ({link('scaling')})."
    )


def _memory(results: Mapping[str, Any]) -> str:
    held = [f["highest"] for f in results["figures"] if f["process"] != "main" and f["quantity"] == "pss"]
    return (
        f"No decode worker held more than {shown(max(held))} MB, shared pages counted by their share, in "
        f"{results['method']['epochs']} epochs of the example and on large clips ({link('memory')} has all processes)."
    )


SECTIONS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "end_to_end": _end_to_end,
    "loader": _loader,
    "decode": _decode,
    "copies": _copies,
    "audio": _audio,
    "shift": _shift,
    "step": _step,
    "overhead": _overhead,
    "scaling": _scaling,
    "memory": _memory,
    "live": run_results.live,
    "startup": run_results.startup,
    "soak": run_results.soak,
    "faults": run_results.faults,
}


def with_results(text: str, results: Results) -> str:
    """The README with its results written anew."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{results_section(results)}\n\n{END}{after}"


def main() -> None:
    text = with_results(README.read_text(encoding="utf-8"), Results())
    write_or_check("python -m benchmarks.documents.readme_results", __doc__, README, text)


if __name__ == "__main__":
    main()
