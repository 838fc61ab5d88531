"""Run exported networks: PyTorch, ONNX Runtime, and OpenVINO in float and in eight bits.

Each network is exported and, in eight bits, scored on the validation list of its run, whose videos must be at hand.
Then one clip at a time of random numbers is computed, without reading videos. On the CPU.

example:
  python -m benchmarks.model.deployment --checkpoints demo=results/demo/checkpoints/balanced_best
"""

import argparse
import logging
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness.arguments import benchmark_parser, values_of
from benchmarks.harness.measure import present_and_missing, quartiles, ratios, running, take_turns
from benchmarks.harness.plots import plot_figures
from benchmarks.harness.processes import choose_cores
from benchmarks.harness.results import origin, print_figures, write_results
from benchmarks.model.deployment_variants import PYTORCH, WAYS, Running
from tsam_dali.cli.common import check_checkpoint, friendly_errors
from tsam_dali.config.load import change_config
from tsam_dali.inference.export.formats import ExportError, write_network
from tsam_dali.inference.export.int8 import int8_path, write_int8
from tsam_dali.inference.export.options import Int8Options
from tsam_dali.inference.preprocessing import preprocessing
from tsam_dali.training.tasks import task_of
from tsam_dali.weights.trained import network_of, read_trained

METHOD = {
    "wall_ms": "of a clip, the mean of a round's clips; median and quartiles over the rounds",
    "cpu_ms": "the same, CPU time of all threads",
    "wall_relative": "by the wall time of PyTorch in the same round",
    "cpu_relative": "by the CPU time of PyTorch in the same round",
    "PyTorch": "as a prediction runs it, in float32 and channels_last",
    "as it chooses": "OpenVINO takes bfloat16 where the CPU has it, and so does what int8 leaves in float",
    "scores": "of the center view of the validation clips",
    "warm_up": "a round of each variant that is not counted",
    "order": "one process per variant, taking turns, pinned to the same cores; each round begins with another variant",
}
CLOCKS = ("cpu", "wall")


@friendly_errors
def main() -> None:
    args = _arguments()
    logging.getLogger().setLevel(logging.WARNING)  # the ONNX exporter logs every constant
    cores, start = choose_cores(args.threads), origin()
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        stems = {name: Path(folder, str(number)) for number, name in enumerate(args.checkpoints)}
        for name, checkpoint in args.checkpoints.items():
            figures.append({"kind": "scores", "network": name, **_export(checkpoint, stems[name])})
        for name, checkpoint in args.checkpoints.items():
            makers = {way: partial(Running, way, checkpoint, stems[name], args.threads) for way in WAYS}
            with running(makers, cores) as started:
                variants, missing = present_and_missing(started)
                take_turns(variants, 1, lambda variant: variant.call("clips", args.clips), show=False)
                rounds = take_turns(variants, args.rounds, lambda variant: variant.call("clips", args.clips))
            figures += [_figure(name, way, rounds) for way in rounds]
            figures += [{"kind": "missing", "network": name, "way": way, "why": why} for way, why in missing.items()]
    print_figures([f for f in figures if f["kind"] == "scores"], ("network", "score", "clips", "float", "int8"))
    speed = [figure for figure in figures if figure["kind"] == "speed"]
    print_figures(speed, ("network", "way", "wall_ms", "cpu_ms", "wall_relative", "cpu_relative"))
    sizes = values_of(args, ("rounds", "threads", "clips"))
    write_results(args.output, "deployment", METHOD | sizes, figures, start)
    for_plot = [figure | {"label": f"{figure['network']}: {figure['way']}"} for figure in speed]
    panels = {"Wall time, ms per clip": "wall_ms", "CPU time, ms per clip": "cpu_ms"}
    ours = ("OpenVINO", "ONNX")
    title = "A clip through an exported network"
    plot_figures(
        args.output, for_plot, "label", panels, ours=lambda label: any(one in label for one in ours), title=title
    )


def _export(checkpoint: str, stem: Path) -> dict[str, Any]:
    """Write ONNX, OpenVINO and its int8; the scores and sizes."""
    trained = read_trained(checkpoint)
    config = change_config(trained.config)
    network = network_of(trained, checkpoint)
    about = preprocessing(trained, network)
    xml = stem.with_suffix(".xml")
    differences = {path.suffix: write_network(path, network, about) for path in (stem.with_suffix(".onnx"), xml)}
    found: dict[str, Any] = {
        "arch": config.model.arch,
        "frames": config.model.video_segments,
        "spectrograms": config.num_spectrograms,
        "pixels": config.data_augmentation.video_image_param.output_size,
        "onnx_difference": differences[".onnx"],
        "openvino_difference": differences[".xml"],
        "megabytes": round(xml.with_suffix(".bin").stat().st_size / 1e6, 2),
    }
    task = task_of(config.dataset, config.training_param, len(trained.class_names))
    try:
        compared = write_int8(xml, network, config, task, Int8Options())
    except ExportError as error:
        return found | {"refused": str(error)}
    small = int8_path(xml).with_suffix(".bin").stat().st_size
    scores = {"score": compared.title, "clips": compared.clips, "float": compared.floating, "int8": compared.int8}
    return found | scores | {"megabytes_int8": round(small / 1e6, 2)}


def _figure(name: str, way: str, rounds: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    figure: dict[str, Any] = {"kind": "speed", "network": name, "way": way}
    for number, clock in enumerate(CLOCKS):
        own, pytorch = ([one[number] for one in rounds[who]] for who in (way, PYTORCH))
        figure |= {f"{clock}_ms": quartiles(own), f"{clock}_relative": ratios(own, pytorch)}
    return figure


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("model.deployment", __doc__, rounds=9, threads=2, clips=4)
    named = "networks to measure, each with a name for the tables"
    command.add_argument("--checkpoints", metavar="NAME=CKPT", nargs="+", required=True, help=named)
    args = command.parse_args()
    if wrong := [one for one in args.checkpoints if "=" not in one]:
        command.error(f"--checkpoints: expected NAME=CKPT, got {wrong[0]}")
    args.checkpoints = dict(one.split("=", 1) for one in args.checkpoints)
    for checkpoint in args.checkpoints.values():
        check_checkpoint(checkpoint)
    return args


if __name__ == "__main__":
    main()
