"""The log-mel store beside log-mel spectrograms made on the fly in TSAM's way: time, size, accuracy.

The store is made by tools/precompute_audio.py; training reads the columns of a clip from it, cuts and resizes them.
TSAM's way reads the .wav file of a clip and transforms it anew in every epoch. All are also computed directly
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
from benchmarks.harness.arguments import benchmark_parser, values_of
from benchmarks.harness.clips import add_clip_arguments, all_clips
from benchmarks.harness.linked_dataset import Repeated
from benchmarks.harness.material import CONFIG, check_videos
from benchmarks.harness.measure import quartiles, running, take_turns
from benchmarks.harness.plots import plot_figures
from benchmarks.harness.preparation import extract, precompute, run, timed_figure
from benchmarks.harness.processes import choose_cores
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.loading.audio_variants import Spectrograms, direct, librosa_reference, stored, tsam
from pipelines.audio.mel_store import MelStore
from pipelines.audio.read import read_audio
from tsam_dali.cli.common import friendly_errors
from tsam_dali.config import load_config

STORE, DIRECT, TSAM, KEPT = (
    "log-mel store",
    "ours, on the fly",
    "TSAM's way, on the fly",
    "TSAM's way, mel filters kept",
)
METHOD = {
    "cpu_ms_per_clip": "CPU time from the file to one spectrogram (3, 224, 224) of the first channel, one thread",
    "clips_per_second": "of one core, by the wall time",
    "difference": "of all spectrograms from librosa's in double precision, in natural logarithms of power; no cut",
    "store": "columns of the first channel; made on so many processes, without the program's start",
    "warm_up": "one uncounted round",
    "file_cache": "warm",
    "order": "one process per way, taking turns on one core; median and quartiles over the rounds",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    videos = all_clips(args)
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
    method = METHOD | values_of(args, ("rounds", "workers", "repeats"))
    _print(figures)
    write_results(args.output, "audio", method | {"num_videos": len(videos)}, figures, start)
    panels = {
        "CPU ms per clip, in every epoch: less is better": "cpu_ms_per_clip",
        "Mean difference from librosa in double precision, ln(power)": "mean_difference",
    }
    title = "The audio of a clip: from the file to the log-mel spectrogram"
    plot_figures(
        args.output,
        figures[:-1],
        "way",
        panels,
        ours=lambda way: way in (STORE, DIRECT),
        title=title,
    )


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("loading.audio", __doc__, rounds=5, workers=2, repeats=8)
    add_clip_arguments(command)
    return command.parse_args()


def _measure(root: Path, data: Path, names: Sequence[str], args: argparse.Namespace) -> list[dict[str, Any]]:
    options = load_config(data, CONFIG).data_augmentation.audio_image_param
    ids = [f"{name}_000" for name in names]
    wavs = [root / "audios" / f"{clip_id}.wav" for clip_id in ids]
    makers = {
        STORE: partial(Spectrograms, partial(stored, MelStore(root / "mels", options)), [Path(i) for i in ids]),
        DIRECT: partial(Spectrograms, partial(direct, options), wavs),
        TSAM: partial(Spectrograms, partial(tsam, options, mel_filters), wavs),
        KEPT: partial(Spectrograms, partial(tsam, options, kept_mel_filters), wavs),
    }
    reference = [librosa_reference(options, wav) for wav in wavs]
    with running(makers, choose_cores(1)) as variants:
        found = {variant.name: variant.call("spectrograms") for variant in variants}  # the warm-up, too
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


def difference(spectrograms: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> dict[str, float]:
    """Largest and mean absolute difference."""
    distances = [np.abs(found - expected) for found, expected in zip(spectrograms, reference, strict=True)]
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
        "kilobytes_per_channel_second": round(stored["kilobytes_per_clip"] / seconds, 2),
    }


def _print(figures: Sequence[Mapping[str, Any]]) -> None:
    *ways, store = figures
    print_figures(ways, ("way", "cpu_ms_per_clip", "clips_per_second", "max_difference", "mean_difference"))
    print(
        f"store: {store['files_per_second']} files/s on {store['workers']} processes, "
        f"{store['cpu_seconds_per_clip']} CPU s and {store['kilobytes_per_clip']} kB per clip, "
        f"{store['kilobytes_per_channel_second']} kB per second of its channel"
    )


if __name__ == "__main__":
    main()
