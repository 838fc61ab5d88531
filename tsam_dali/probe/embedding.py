"""Clips -> the features of their segments, by a network in evaluation mode, written file by file.

A file holds a fixed run of clips of a list, in batches of the same clips whatever the number of ranks: so it has the
same bytes however often the work was interrupted. B clips of a batch, S video segments, A audio segments, F features.
"""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from pipelines.audio.from_video import FileAudio
from pipelines.dali.resources import without_a_gpu
from pipelines.dataset.clips import Clip
from pipelines.dataset.list_file import SPLITS
from pipelines.dataset.list_line import WHOLE
from pipelines.files.atomic import replacing
from pipelines.loader import Batch, build_loader
from tsam_dali import distributed
from tsam_dali.cli.common import make_folder
from tsam_dali.config.load import Config
from tsam_dali.distributed import Job
from tsam_dali.model.precision import autocast
from tsam_dali.model.tsam import TSAM
from tsam_dali.probe.network import load_listed
from tsam_dali.probe.options import EmbedOptions
from tsam_dali.probe.store import (
    ABOUT,
    BACKBONE,
    EmbeddingError,
    Features,
    parts_of,
    read_about,
    read_features,
    whole_parts,
    write_about,
    write_part,
)
from tsam_dali.report.mistakes import thumbnails
from tsam_dali.runs.resume import fingerprints
from tsam_dali.training.progress import Progress
from tsam_dali.weights.checkpoint import sha256

log = logging.getLogger(__name__)
BATCHES = 4
"""In a file."""
THUMBNAIL = 80
"""Height of the images that are kept, in pixels."""
FREE = ("format", "left_out", "pipeline", "results_folder", "model.weights", "training_param.num_workers")
"""What does not change features, in embedding.json."""


def embed(network: TSAM, config: Config, job: Job, folder: Path, options: EmbedOptions) -> Features:
    """Write the features of the clips of both lists into a folder; go on where an earlier call was stopped.

    Every rank must call it; each writes files of its own.

    Args:
        network: on the job's device, in evaluation mode.
        config: its settings, with the data.

    Raises:
        DataError: something is wrong with the lists.
        EmbeddingError: the folder holds features of other settings, lists or weights, or no clip can be read.
    """
    loaded, audio = distributed.on_rank_0(lambda: load_listed(config))
    loaded = loaded._replace(clips={split: distributed.on_every_machine(loaded.clips[split]) for split in SPLITS})
    size = BATCHES * options.batch_size
    about = {
        "config": config.to_dict(),
        "batch_size": options.batch_size,
        "features": network.head.in_features,
        "lists": fingerprints(loaded.clips),
        "files": {split: -(-len(loaded.clips[split]) // size) for split in SPLITS},
        "left_out": loaded.left_out,
    }
    distributed.on_rank_0(lambda: _begin(folder, about, network))
    parts = parts_of(about)
    done = distributed.on_rank_0(lambda: set(whole_parts(folder, parts)))
    if done and job.is_main:
        log.info("%s: %d of %d files are there already", folder, len(done), len(parts))
    mine = [part for part in parts if part not in done][job.rank :: job.world]
    clips_of = {part: loaded.clips[part.split][part.number * size : (part.number + 1) * size] for part in mine}
    clips = [clip for members in clips_of.values() for clip in _filled(members, options.batch_size)]
    if isinstance(audio, FileAudio):
        clips = [clip._replace(audio=clip.path) for clip in clips]
    if clips:
        loading, local_world = without_a_gpu(config, job.device), job.local_world
        with build_loader(
            loading,
            "validation",
            clips,
            device=job.device,
            local_world=local_world,
            rank_batch=options.batch_size,
            once=True,
            mels=audio,
        ) as loader:
            progress = Progress(loader, "features", clips_per_step=options.batch_size * job.world, show=job.is_main)
            rows = _rows(network, config, job, progress)
            for part, members in clips_of.items():
                own = [next(rows) for _ in _filled(members, options.batch_size)][: len(members)]
                unreadable = {members[i].id: loader.bad[row["row"]] for i, row in enumerate(own) if not row["ok"]}
                _write(folder / part.name, members, own, unreadable)
    distributed.totals(0)  # until all ranks have written
    return distributed.on_rank_0(lambda: read_features(folder))


def _filled(clips: list[Clip], size: int) -> list[Clip]:
    """The clips of a file, and its last one again as often as the last batch needs: the next file begins with a batch
    of its own."""
    return [*clips, *[clips[-1]] * (-len(clips) % size)]


@torch.no_grad()
def _rows(network: TSAM, config: Config, job: Job, batches: Any) -> Iterator[dict[str, Any]]:
    """What is kept of each clip, in their order."""
    silence = math.log(config.data_augmentation.audio_image_param.eps)
    for batch in batches:
        with autocast(config.training_param, job.device):
            features = network.features(batch.video, batch.audio).float()
        video = features[:, : network.video_segments].contiguous()
        found = {"frames": video, "frames_mean": video.mean(1), "label": _label(batch)}
        if batch.audio is not None:
            audio = features[:, network.video_segments :].contiguous()
            found |= {"audio": audio, "audio_mean": audio.mean(1)}
            found["silent"] = ((batch.audio - silence).abs() < 1e-5).flatten(1).all(1)
        middle = batch.video.shape[1] // 2
        found["thumbnail"] = thumbnails(batch.video[:, middle : middle + 1], THUMBNAIL)[:, 0]
        columns = {name: tensor.cpu().numpy() for name, tensor in found.items()}
        for i, (row, ok) in enumerate(zip(batch.row.tolist(), batch.ok.tolist(), strict=True)):
            if row >= 0:
                yield {"row": row, "ok": ok, **{name: column[i] for name, column in columns.items()}}


def _label(batch: Batch) -> torch.Tensor:
    return batch.label.double() if batch.label.is_floating_point() else batch.label


def _write(path: Path, clips: list[Clip], rows: list[dict[str, Any]], unreadable: dict[str, str]) -> None:
    """A file of features from what `_rows` gives for its clips."""
    names = [name for name in rows[0] if name not in ("row", "ok")]
    read = np.array([row["ok"] for row in rows])
    columns = {name: np.ascontiguousarray(np.stack([row[name] for row in rows])[read]) for name in names}
    kept = [clip for clip, row in zip(clips, rows, strict=True) if row["ok"]]
    ends = {clip.id: clip.end for clip in kept if clip.end != WHOLE}
    write_part(path, columns, [clip.id for clip in kept], ends, unreadable)


def _begin(folder: Path, about: dict[str, Any], network: TSAM) -> None:
    """Write embedding.json and the weights, or compare with those that are there."""
    make_folder(folder)
    state = {name: tensor.cpu().contiguous() for name, tensor in network.backbone.state_dict().items()}
    kept = (folder / ABOUT).is_file()
    target = folder / (f"new.{BACKBONE}" if kept else BACKBONE)
    with replacing(target) as temporary:
        temporary.write_bytes(save(state))
    about["weights"] = sha256(target)
    if not kept:
        write_about(folder, about)
        return
    target.unlink()
    changes = list(_differences(read_about(folder), about))
    if changes:
        raise EmbeddingError(
            "\n".join([f"{folder}: holds features of other settings, lists or weights (there -> now):", *changes])
            + "\nchoose another folder, or delete this one"
        )


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*before, *now)):
            path = key if name in ("", "config") else f"{name}.{key}"
            if path not in FREE:
                yield from _differences(before.get(key), now.get(key), path)
    elif before != now:
        yield f"  {name}: {before!r} -> {now!r}"
