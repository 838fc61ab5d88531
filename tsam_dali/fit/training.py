"""Fine-tuning of a backbone with weights, or a small network from random ones, as far as the time allows."""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

from pipelines.decode.frames import decode_frames
from pipelines.files.atomic import replacing
from pipelines.files.words import counted
from pipelines.parallel.processes import cores
from pipelines.sampling import validation_frames
from tsam_dali.config.load import Config, load_config
from tsam_dali.fit.choice import AT_ONCE, PROBE, RUN, SCRATCH, Weights, is_finished
from tsam_dali.fit.data import FEW_CLIPS, Data
from tsam_dali.fit.settings import (
    FEWEST_EPOCHS,
    SIZES,
    SMALL,
    START,
    Costs,
    Plan,
    base_settings,
    choose_frames,
    plan,
    wanted_epochs,
    with_plan,
)
from tsam_dali.fit.steps import Steps
from tsam_dali.model import build_model
from tsam_dali.model.precision import autocast, on_device
from tsam_dali.runs.signals import EXIT_CODE
from tsam_dali.weights.read import WeightsError
from tsam_dali.weights.timm_zoo import timm_file

SMALL_ARCH = "resnet18"
COPIES = "videos_256"


def weights_of(args: argparse.Namespace, data: Data, steps: Steps) -> Weights | None:
    """The backbone and its weights: those that are given, or timm's; None where these have not been downloaded.

    Raises:
        ConfigError: there is no such backbone.
        WeightsError: the weights cannot be downloaded.
    """
    arch = args.arch or ("resnet50" if device_of(args.device).type == "cuda" else "tf_efficientnet_lite0")
    load_config(data.path, FEW_CLIPS, [f"model.arch={arch}"])
    if args.weights:
        return Weights(arch, str(args.weights.absolute()))
    try:
        return Weights(arch, timm_file(arch, args.download))
    except WeightsError:
        if args.download:
            raise
    known = timm.get_pretrained_cfg(arch)
    where = f" (https://huggingface.co/{known.hf_hub_id})" if known and known.hf_hub_id else ""
    steps.decide(
        f"weights: those of {arch} are not on this machine. --download fetches timm's{where}, --weights FILE --arch "
        f"NAME takes others; then the same command goes on with a probe. Meanwhile a small network learns from random "
        "weights"
    )
    return None


def store_audio(data: Data, steps: Steps) -> None:
    """Make the log-mel store; what failed is named, and left out by the training."""
    eps = ("--set", "data_augmentation.audio_image_param.eps=1", "--set", "model.audio_segments=1")
    steps.run("cli.tools.precompute_audio", "--data", data.path, "--config", FEW_CLIPS, *eps, allowed=(0, 1))


def train(
    args: argparse.Namespace,
    weights: Weights | None,
    heard: dict[str, float],
    data: Data,
    out: Path,
    end: float,
    steps: Steps,
) -> None:
    """Train until the monotonic time `end`, or go on with a training.

    Args:
        heard: accuracy of the probes.
    """
    name, title = (RUN, "fine-tuning") if weights else (SCRATCH, "training")
    run, config, files = out / name, out / ("config.json" if weights else "scratch.json"), out / "data.json"
    if is_finished(run):
        steps.say(f"{title}: finished before, {run}")
        return
    if not (run / "checkpoints" / "latest").exists():
        chosen = _prepare(args, weights, heard, data, end, steps, config)
        dataset = json.loads(data.path.read_text(encoding="utf-8"))
        if chosen is None:
            _write(files, dataset)
            return
        # 1: a copy could not be made, so the originals are read.
        copies = ("--data", data.path, "--folder", COPIES)
        if chosen.copies and not steps.run("cli.tools.make_training_copies", *copies, allowed=(0, 1)):
            dataset["dataset"]["dir_videos"] = COPIES
        _write(files, dataset)
    if (left := end - time.monotonic()) <= 0:
        steps.say(f"{title}: no time is left; the same command goes on with it")
        return
    words = ("--data", files, "--config", config, "--run_id", name, "--resume", "auto", *steps.device)
    if steps.run("train", *words, allowed=(0, EXIT_CODE), seconds=max(1.0, left - START)) == EXIT_CODE:
        steps.say(f"{title}: the time is up; the same command goes on with it")


def _prepare(
    args: argparse.Namespace,
    weights: Weights | None,
    heard: dict[str, float],
    data: Data,
    end: float,
    steps: Steps,
    file: Path,
) -> Plan | None:
    """Write the settings; None where the time is too short."""
    number = {split: len(clips) for split, clips in data.clips.items()}
    arch = weights.arch if weights else args.arch or SMALL_ARCH
    sizes = SIZES if weights else (SMALL,)
    probe = (file.parent / PROBE / "checkpoint").absolute() if heard else None
    settings = base_settings(data, arch, str(probe or (weights.file if weights else "")), bool(probe), steps.decide)
    settings.set(results_folder=str(file.parent))
    if heard:
        choose_frames(settings, heard)
    with_plan(settings, Plan(sizes[0], 1, False, 0, 0), data)
    _write(file, settings.content)
    device, batch = device_of(args.device), settings.content["training_param"]["batch_size"]
    if weights and device.type == "cpu" and batch > AT_ONCE:
        settings.set(
            f"steps: {batch} clips, {AT_ONCE} at a time, which takes less memory and gives the same",
            training_param__accumulate=batch // AT_ONCE,
        )
    costs = measure(load_config(data.path, file), data, device)
    wanted = wanted_epochs(number["training"], batch, scratch=not weights)
    left = max(0.0, end - time.monotonic())
    found = plan(costs, number["training"], number["validation"], wanted, left, sizes, copies=not data.pieces)
    enough = found.epochs >= min(FEWEST_EPOCHS, wanted)
    with_plan(settings, found if enough else found._replace(epochs=wanted), data)
    minutes = f"{left / 60:.1f} of {args.minutes:g} minutes are left"
    epoch = f"an epoch takes about {found.epoch / 60:.1f} minutes"
    title = "fine-tuning" if weights else "training"
    if enough:
        steps.decide(
            f"{title}: {counted(found.epochs, 'epoch')} of {wanted} that such a list is worth, {found.size} pixels; "
            f"{epoch}, so about {found.seconds / 60:.1f} minutes in all; {minutes}"
        )
        copies = "made first, as with them it takes less time" if found.copies else "none, as they would not save time"
        steps.decide(f"training copies: {copies}; reading a clip takes {1000 * costs.reading:.0f} ms")
    else:
        # What is done already takes no time when the command is started again.
        needed = math.ceil((found.once + FEWEST_EPOCHS * found.epoch) / 60) + 1
        steps.decide(
            f"no {title}: {minutes}, and {epoch}; start again with --minutes {needed} for {FEWEST_EPOCHS} epochs, the "
            "steps before are done"
        )
    _write(file, settings.content | {"help": steps.decisions})
    return found if enough else None


def measure(config: Config, data: Data, device: torch.device) -> Costs:
    """Time reading and the network on a few clips."""
    clips = data.clips["training"]
    segments = config.model.video_segments
    some = [clips[row] for row in np.linspace(0, len(clips) - 1, AT_ONCE).astype(int)]
    start = time.process_time()
    for clip in some:
        decode_frames(clip.path, clip.first + validation_frames(clip.frames, segments))
    reading = (time.process_time() - start) / AT_ONCE / cores()

    network = on_device(build_model(config, data.num_class), device, config.training_param)
    size = config.data_augmentation.video_image_param.output_size
    video = torch.rand(AT_ONCE, segments, 3, size, size, device=device)
    audio = torch.rand(AT_ONCE, config.num_spectrograms, 3, size, size, device=device) if data.audio else None

    def forward() -> torch.Tensor:
        with autocast(config.training_param, device):
            return network(video, audio).float().sum()

    def seconds_of(step: Callable[[], torch.Tensor]) -> float:
        times = []
        for _ in range(3):  # the first one is slower, and other programs may run
            start = time.perf_counter()
            step().item()  # waits for the device
            times.append(time.perf_counter() - start)
        return min(times) / AT_ONCE

    def training_step() -> torch.Tensor:
        loss = forward()
        loss.backward()
        return loss

    network.eval()
    with torch.no_grad():
        of_forward = seconds_of(forward)
    network.train()
    return Costs(reading, of_forward, seconds_of(training_step))


def device_of(asked: str | None) -> torch.device:
    return torch.device(asked or ("cuda" if torch.cuda.is_available() else "cpu"))


def _write(file: Path, content: dict[str, Any]) -> None:
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(content, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
