"""The log-mel store beside log-mel pictures made on the fly in TSAM's way: time, size, accuracy.

The store is made by tools/precompute_audio.py; training reads the columns of a clip from it, cuts and resizes them.
TSAM's way reads the .wav file of a clip and transforms it in every epoch anew. All pictures are also computed directly
from librosa's own mel spectrogram, in double precision. benchmarks/README.md describes the method.

example:
  python -m benchmarks.loading.audio --data my_data/videos
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.baselines.tsam_audio import kept_mel_filters, mel_filters
from benchmarks.harness.arguments import add_numbers
from benchmarks.harness.clips import add_clip_arguments, clip_groups
from benchmarks.harness.linked_dataset import Repeated
from benchmarks.harness.material import CONFIG, check_videos
from benchmarks.harness.measure import quartiles, running, take_turns
from benchmarks.harness.plots import Bar, Panel, plot_bars
from benchmarks.harness.preparation import extract, precompute, run, timed_figure
from benchmarks.harness.processes import choose_cores
from benchmarks.harness.results import add_output_argument, origin, print_table, write_results
from benchmarks.loading.audio_variants import Pictures, direct_picture, librosa_picture, stored_picture, tsam_picture
from pipelines.audio.mel_store import MelStore
from pipelines.audio.read import read_audio
from tsam_dali.cli.common import friendly_errors, parser
from tsam_dali.config import load_config

STORE, DIRECT, TSAM, KEPT = (
    "log-mel store",
    "ours, on the fly",
    "TSAM's way, on the fly",
    "TSAM's way, mel filters kept",
)
METHOD = {
    "cpu_ms_per_clip": "CPU time from the file to one picture (3, 224, 224) of the first channel, one thread",
    "clips_per_second": "of one core, by the wall time",
    "difference": "of all pictures from librosa's in double precision, in natural logarithms of power; no cut",
    "store": "columns of all channels (two at most) as float16; made on so many processes, without the program's start",
    "warm_up": "one uncounted round",
    "file_cache": "warm",
    "order": "one process per way, taking turns on one core; median and quartiles over the rounds",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    videos = [path for paths in clip_groups(args).values() for path in paths]
    check_videos(videos, args.repeats, batch_size=1)
    start = origin()
    with tempfile.TemporaryDirectory(prefix="audio_benchmark_") as folder:
        root, names = Path(folder) / "data", [path.stem for path in videos]
        data = Repeated(names, args.repeats).make(root, {"videos": videos})
        run(extract(data, args.workers, "--audio"))
        making = precompute(data, CONFIG, args.workers)
        stored = timed_figure(STORE, root / "mels", len(videos) * args.repeats, making)
        figures = _measure(root, data, names, args)
        seconds = _seconds([root / "audios" / f"{name}_000.wav" for name in names])
    figures.append(_store_figure(stored, seconds, args.workers))
    method = METHOD | {name: getattr(args, name) for name in ("rounds", "workers", "repeats")}
    _print(figures)
    write_results(args.output, "audio", method | {"num_videos": len(videos)}, figures, start)
    _plot(figures, args.output.with_suffix(".png"))


def _arguments() -> argparse.Namespace:
    command = parser("python -m benchmarks.loading.audio", __doc__)
    add_clip_arguments(command)
    add_numbers(command, rounds=5, workers=2, repeats=8)
    add_output_argument(command, "audio")
    return command.parse_args()


def _measure(root: Path, data: Path, names: Sequence[str], args: argparse.Namespace) -> list[dict[str, Any]]:
    options = load_config(data, CONFIG).data_augmentation.audio_image_param
    ids = [f"{name}_000" for name in names]
    wavs = [root / "audios" / f"{clip_id}.wav" for clip_id in ids]
    makers = {
        STORE: partial(Pictures, partial(stored_picture, MelStore(root / "mels", options)), [Path(i) for i in ids]),
        DIRECT: partial(Pictures, partial(direct_picture, options), wavs),
        TSAM: partial(Pictures, partial(tsam_picture, options, mel_filters), wavs),
        KEPT: partial(Pictures, partial(tsam_picture, options, kept_mel_filters), wavs),
    }
    reference = [librosa_picture(options, wav) for wav in wavs]
    with running(makers, choose_cores(1)) as variants:
        found = {variant.name: variant.call("pictures") for variant in variants}  # the warm-up, too
        times = take_turns(variants, args.rounds, lambda variant: variant.call("time"))
    return [
        {
            "kind": "picture",
            "way": name,
            "cpu_ms_per_clip": quartiles([1000 * cpu / len(names) for cpu, _ in turns]),
            "clips_per_second": quartiles([len(names) / wall for _, wall in turns]),
            **difference(found[name], reference),
        }
        for name, turns in times.items()
    ]


def difference(pictures: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> dict[str, float]:
    """Largest and mean absolute difference."""
    distances = [np.abs(found - expected) for found, expected in zip(pictures, reference, strict=True)]
    largest, mean = max(d.max() for d in distances), np.mean([d.mean() for d in distances])
    return {"max_difference": float(f"{largest:.3g}"), "mean_difference": float(f"{mean:.3g}")}


def _seconds(wavs: Sequence[Path]) -> float:
    """Mean length of the audio."""
    return float(np.mean([audio.shape[1] / rate for audio, rate in map(read_audio, wavs)]))


def _store_figure(stored: Mapping[str, Any], seconds: float, workers: int) -> dict[str, Any]:
    return {
        **stored,
        "kind": "store",
        "workers": workers,
        "files_per_second": round(1 / stored["seconds_per_clip"], 1),
        "audio_seconds_per_clip": round(seconds, 2),
        "bytes_per_clip_second": round(1000 * stored["kilobytes_per_clip"] / seconds),
    }


def _print(figures: Sequence[Mapping[str, Any]]) -> None:
    *ways, store = figures
    distances = ("max_difference", "mean_difference")
    columns = ("way", "CPU ms per clip", "q1", "q3", "clips/s", "max difference", "mean difference")
    rows = [
        (f["way"], *f["cpu_ms_per_clip"].values(), f["clips_per_second"]["median"], *(f[key] for key in distances))
        for f in ways
    ]
    print_table(columns, rows)
    print(
        f"store: {store['files_per_second']} files/s on {store['workers']} processes, "
        f"{store['cpu_seconds_per_clip']} CPU s and {store['kilobytes_per_clip']} kB per clip, "
        f"{store['bytes_per_clip_second']} bytes per second of audio"
    )


def _plot(figures: Sequence[Mapping[str, Any]], path: Path) -> None:
    ways = [figure for figure in figures if figure["kind"] == "picture"]
    panels = [
        Panel("Cost in every epoch: less is better", "CPU ms per clip", _bars(ways, "cpu_ms_per_clip")),
        Panel("Difference from librosa in double precision", "mean, in ln(power)", _bars(ways, "mean_difference")),
    ]
    plot_bars(path, panels, title="The audio of a clip: from the file to the picture")


def _bars(ways: Sequence[Mapping[str, Any]], key: str) -> list[Bar]:
    numbers = [f[key] if isinstance(f[key], dict) else dict.fromkeys(("median", "q1", "q3"), f[key]) for f in ways]
    return [Bar(f["way"], **n, ours=f["way"] in (STORE, DIRECT)) for f, n in zip(ways, numbers, strict=True)]


if __name__ == "__main__":
    main()
