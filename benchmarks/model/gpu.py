"""What a GPU gives where neither DALI nor a data set is at hand: the temporal shift, and a step of training.

The shift of ResNet-50's layers is timed beside slices and beside a plain copy of the same tensor, and compared with the
slices to the last bit. Then the network is trained on random frames: eager, with cudnn.benchmark, and compiled as well.
The file is written anew after each figure; only PyTorch with Triton, timm, numpy and tqdm are needed.

example:
  python -m benchmarks.model.gpu --clips 32
"""

import argparse
import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.harness.arguments import add_arch, add_device, benchmark_parser, values_of
from benchmarks.harness.device_time import seconds_each
from benchmarks.harness.results import FigureFile, origin
from tsam_dali.cli.common import positive
from tsam_dali.model.shift import TemporalShift, shift_by_slices, temporal_shift, transposed_by_slices
from tsam_dali.model.shift_spec import ShiftSpec

LAYERS = ((64, 4), (256, 4), (512, 8), (1024, 16), (2048, 32))
"""Channels of the activations that ResNet-50 shifts, and how many times smaller they are than the frames."""
NUM_CLASS = 400
METHOD = {
    "shift": "f_div 4, depth 4, edge keep, one segment of audio behind those of video; channels-last",
    "gb_per_second": "10^9 bytes that a copy of the tensor reads and writes, by the time of this way",
    "share_of_copy": "time of the copy by that of this way",
    "images_per_second": "in a step of training: forward, loss, backward, limit of the gradient, optimizer; bf16",
    "peak_gb": "10^9 bytes, the most that PyTorch had in use on the GPU",
    "seconds_to_start": "of the first step: kernels are chosen, and compiled",
    "time": "of a round's passes, by their number, the GPU waited for before and after; the median of three rounds",
    "warm_up": "three uncounted passes or steps",
}


def main() -> None:
    args = _arguments()
    libraries = {"libnvcuvid": _loads("libnvcuvid.so.1"), "shared_memory_gib": _shared_memory_gib()}
    method = METHOD | libraries | values_of(args, ("device", "arch", "clips", "segments", "pixels", "repeats"))
    figures = FigureFile(args.output, "gpu", method, origin())
    spec = ShiftSpec(args.segments + 1, args.segments, f_div=4, depth=4, edge="keep")
    for figure in chain(shift_figures(args, spec), step_figures(args, spec)):
        figures.add(figure)
    sys.exit(figures.verdict())


def _arguments() -> argparse.Namespace:
    command = benchmark_parser("model.gpu", __doc__, segments=16, pixels=224)
    add_arch(command, "resnet50")
    add_device(command)
    help_clips = "clips of a batch; halved until they fit into the GPU's memory (default: %(default)s)"
    command.add_argument("--clips", type=positive, default=64, metavar="N", help=help_clips)
    help_repeats = "passes of each shift and steps of each training in a round; there are three (default: %(default)s)"
    command.add_argument("--repeats", type=positive, default=5, metavar="N", help=help_repeats)
    return command.parse_args()


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _shared_memory_gib() -> float:
    memory = os.statvfs("/dev/shm")
    return round(memory.f_blocks * memory.f_frsize / 2**30, 1)


def shift_figures(args: argparse.Namespace, spec: ShiftSpec) -> Iterator[dict[str, Any]]:
    """Every way and direction, for each layer and type."""
    for dtype in (torch.bfloat16, torch.float32):
        for channels, factor in LAYERS:
            side = max(1, args.pixels // factor)
            shape = (args.clips * spec.segments, channels, side, side)
            about = {"kind": "shift", "dtype": str(dtype).removeprefix("torch."), "shape": list(shape)}
            try:
                yield from (about | figure for figure in _ways_to_shift(shape, dtype, spec, args))
            except Exception as error:
                yield about | {"failed": repr(error)}


def _ways_to_shift(
    shape: Sequence[int], dtype: torch.dtype, spec: ShiftSpec, args: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    x = torch.empty(*shape, dtype=dtype, device=args.device, memory_format=torch.channels_last).normal_()
    backward = partial(torch.ops.tsam_dali.temporal_shift_backward, x, *spec)
    ways: dict[tuple[str, str], Callable[[], Tensor]] = {
        ("copy", "either"): x.clone,
        ("shift", "forward"): partial(temporal_shift, x, spec),
        ("shift", "backward"): backward,
        ("slices", "forward"): partial(shift_by_slices, x, spec),
        ("slices", "backward"): partial(transposed_by_slices, x, spec),
    }
    seconds_of = {name: seconds_each(action, args.repeats, x.device) for name, action in ways.items()}
    for (way, direction), seconds in seconds_of.items():
        figure: dict[str, Any] = {"way": way, "direction": direction, "milliseconds": 1000 * seconds}
        figure["gb_per_second"] = 2 * x.nbytes / seconds / 1e9
        figure["share_of_copy"] = seconds_of["copy", "either"] / seconds
        if way == "shift" and not torch.equal(ways[way, direction](), ways["slices", direction]()):
            figure["failed"] = "other values than slices give"
        yield figure


def step_figures(args: argparse.Namespace, spec: ShiftSpec) -> Iterator[dict[str, Any]]:
    """The network in each way; from the first on with as many clips as fit."""
    clips = args.clips
    for way in ("eager", "cudnn.benchmark", "compiled, cudnn.benchmark"):
        figure: dict[str, Any] = {}
        while not figure:
            try:
                figure = _step_figure(way, clips, spec, args)
            except torch.OutOfMemoryError as error:
                clips //= 2
                figure = {} if clips else {"failed": repr(error)}
            except Exception as error:
                figure = {"failed": repr(error)}
        yield {"kind": "step", "way": way, "clips": clips, **figure}


def _step_figure(way: str, clips: int, spec: ShiftSpec, args: argparse.Namespace) -> dict[str, Any]:
    device = torch.device(args.device)
    torch.backends.cudnn.benchmark = "cudnn.benchmark" in way
    network = make_network(args.arch, spec).to(device).to(memory_format=torch.channels_last)
    model = torch.compile(network) if way.startswith("compiled") else network
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)
    images = torch.rand(clips * spec.segments, 3, args.pixels, args.pixels, device=device)
    label = torch.arange(clips, device=device) % NUM_CLASS

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(images).unflatten(0, (clips, spec.segments)).mean(1)
        F.cross_entropy(logits.float(), label).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 20.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    first = seconds_each(step, 1, device, rounds=1, warm_up=0)
    seconds = seconds_each(step, args.repeats, device)
    figure = {"images_per_second": len(images) / seconds, "seconds_to_start": first}
    return figure | ({"peak_gb": torch.cuda.max_memory_allocated() / 1e9} if device.type == "cuda" else {})


def make_network(arch: str, spec: ShiftSpec) -> nn.Module:
    """A ResNet of timm with the shift in every second block of a stage, as TSAM has it."""
    network = timm.create_model(arch, num_classes=NUM_CLASS)
    for stage in range(1, 5):
        for block in getattr(network, f"layer{stage}")[::2]:
            TemporalShift(block.conv1.in_channels, spec).attach(block, block.conv1)
    return network


if __name__ == "__main__":
    main()
