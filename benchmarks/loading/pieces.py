"""Ten seconds of an hour-long file beside the same ten seconds as a file of their own: CPU time and bytes to read them.

The first clip is put behind itself, without encoding, until the file is so long. A piece in its middle and the clip
itself are read as in training, frames and log-mel, with the same draws; both are indexed before. benchmarks/README.md
describes the method.

example:
  python -m benchmarks.loading.pieces --rounds 9 --draws 16
"""

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import av

from benchmarks.harness.arguments import benchmark_parser, values_of
from benchmarks.harness.clips import add_clip_arguments, all_clips
from benchmarks.harness.material import CONFIG
from benchmarks.harness.measure import quartiles, ratios, running, take_turns
from benchmarks.harness.plots import plot_figures
from benchmarks.harness.preparation import precompute, run
from benchmarks.harness.processes import choose_cores
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.harness.sample_reading import Reading
from tsam_dali.cli.common import friendly_errors

KINDS = {"MP4": "mp4", "Matroska": "mkv"}
PIECE, FILE = "a piece of the long file", "a file of its own"
CLOSE = 0.002
"""Seconds before the first frame at which a piece begins: Matroska rounds times."""
SPLITS = {PIECE: "training", FILE: "validation"}
METHOD = {
    "cpu_ms_per_clip": "CPU time of one process to read frames and log-mel of a sample, with training's draws",
    "kilobytes_read": "what read calls gave, of a sample; the log-mel store is mapped and not among them",
    "relative": "those of the piece, by those of the file of its own in the same round",
    "warm_up": "one uncounted round",
    "file_cache": "warm",
    "order": "one process per way, taking turns on one core; median and quartiles over the rounds",
}


@friendly_errors
def main() -> None:
    args = _arguments()
    clip, start = all_clips(args)[0], origin()
    with tempfile.TemporaryDirectory(prefix="pieces_benchmark_") as folder:
        data, megabytes = make_data(Path(folder), clip, args.minutes)
        run(precompute(data, CONFIG, 1))
        figures = _measure(data, args)
    print_figures(figures, ("container", "way", "cpu_ms_per_clip", "kilobytes_read"))
    print_figures(figures[::2], ("container", "cpu_relative", "bytes_relative", "equal_frames"))
    method = METHOD | values_of(args, ("rounds", "draws", "segments", "minutes")) | {"long_files_mb": megabytes}
    write_results(args.output, "pieces", method, figures, start)
    panels = {"CPU ms for a sample: less is better": "cpu_ms_per_clip", "kB read for a sample": "kilobytes_read"}
    named = [figure | {"name": f"{figure['container']}, {figure['way']}"} for figure in figures]
    plot_figures(args.output, named, "name", panels, ours=lambda name: PIECE in name, title="A piece of a long file")


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("loading.pieces", __doc__, rounds=9, draws=16, segments=8, minutes=60)
    add_clip_arguments(command)
    return command.parse_args()


def make_data(root: Path, clip: Path, minutes: int) -> tuple[Path, dict[str, float]]:
    """A data set whose training list holds the pieces, and whose validation list the files of their own; its data file,
    and the megabytes of the long files."""
    (root / "videos").mkdir()
    pieces, files, sizes = "", "", {}
    for kind, ending in KINDS.items():
        long, own = root / f"videos/long_{ending}.{ending}", root / f"videos/own_{ending}.{ending}"
        first, seconds = repeat(clip, own, 1)
        times = max(3, round(60 * minutes / seconds))
        repeat(clip, long, times)
        start, end = (first + part * seconds - CLOSE for part in (times // 2, times // 2 + 1))
        pieces += f"{long.stem} {start:.6f} {end:.6f} 0\n"
        files += f"{own.stem} 0\n"
        sizes[kind] = round(long.stat().st_size / 1e6, 1)
    (root / "training.txt").write_text(pieces)
    (root / "validation.txt").write_text(files)
    (root / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(root)}}))
    return root / "data.json", sizes


def repeat(source: Path, target: Path, times: int) -> tuple[float, float]:
    """Write the packets of a clip so many times, one after the other; when the first frame of the result is shown, and
    the seconds of one of them."""
    with av.open(str(target), "w") as after:
        for number in range(times):
            with av.open(str(source)) as before:
                streams: list[Any] = [before.streams.video[0], *before.streams.audio[:1]]
                packets: list[Any] = [packet for packet in before.demux(streams) if packet.size]
                seconds = sum(packet.stream is streams[0] for packet in packets) / streams[0].average_rate
                if not number:
                    copies = [after.add_stream_from_template(stream) for stream in streams]
                first = {stream: min(one.pts for one in packets if one.stream is stream) for stream in streams}
                for packet in packets:
                    stream, shift = packet.stream, round(number * seconds / packet.time_base)
                    if (packet.pts - first[stream] + packet.duration) * packet.time_base > seconds + CLOSE:
                        continue  # audio that would lie above the next one's
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = copies[streams.index(stream)]
                    after.mux(packet)
    with av.open(str(target)) as written:
        video: Any = written.streams.video[0]
        return float(video.start_time * video.time_base), float(seconds)


def _measure(data: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    figures = []
    for row, kind in enumerate(KINDS):
        makers = {way: partial(Reading, data, split, row, args.segments, args.draws) for way, split in SPLITS.items()}
        with running(makers, choose_cores(1)) as variants:
            frames = {variant.name: variant.call("frames") for variant in variants}  # the warm-up, too
            turns = take_turns(variants, args.rounds, lambda variant: variant.call("read"))
        cpu, read = ({way: [turn[which] for turn in turns[way]] for way in SPLITS} for which in (0, 1))
        equal = sum(one == other for one, other in zip(frames[PIECE], frames[FILE], strict=True))
        for way in SPLITS:
            figure = {
                "container": kind,
                "way": way,
                "cpu_ms_per_clip": quartiles([1000 * seconds / args.draws for seconds in cpu[way]]),
                "kilobytes_read": quartiles([size / args.draws / 1000 for size in read[way]]),
            }
            if way == PIECE:
                figure |= {
                    "cpu_relative": ratios(cpu[PIECE], cpu[FILE]),
                    "bytes_relative": ratios(read[PIECE], read[FILE]),
                    "equal_frames": f"{equal} of {args.draws} samples",
                }
            figures.append(figure)
    return figures


if __name__ == "__main__":
    main()
