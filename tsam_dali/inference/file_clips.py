"""Run a trained network on video files that are in no list. S video and A audio segments, C classes."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pipelines.audio.from_video import FileAudio
from pipelines.dali.resources import decode_workers
from pipelines.dali.shared_memory import SharedMemoryError, check_shared_memory
from pipelines.dataset.clips import Clip
from pipelines.dataset.index_file import Facts, PieceFacts
from pipelines.dataset.list_line import WHOLE, clip_id
from pipelines.decode.timestamps import clock_times, shown_until
from pipelines.loader import Loader, build_loader
from pipelines.parallel.processes import cores
from pipelines.parallel.sandbox import Fault, Limits, Sandbox, map_limited
from pipelines.sampling.views import Views
from tsam_dali.config.load import Config, change_config
from tsam_dali.inference.results import Piece
from tsam_dali.model.precision import autocast
from tsam_dali.model.tsam import TSAM

log = logging.getLogger(__name__)
BATCH_SIZE = 8
"""Clips per step."""


class ClipOutput(NamedTuple):
    """Input and output of the network for one clip; `error` says why the clip could not be read."""

    probabilities: Tensor  # float64 (C,); of numbers their values
    video: Tensor
    audio: Tensor | None
    error: str


def probe_files(
    probe: Callable[[str], dict[str, Any]], paths: list[str], sandbox: Sandbox | None = None
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Path -> record of the videos that can be opened, in their order; path -> why not, of the others.

    Runs in child processes (default: new ones), as a file may hang or crash a decoder, and shows a progress bar on a
    terminal.
    """
    probed = map_limited(probe, paths, cores(), Limits(), sandbox)
    hidden = len(paths) == 1 or not sys.stderr.isatty()
    found = dict(tqdm(probed, total=len(paths), desc="probing videos", unit="file", disable=hidden))
    records, errors = {}, {}
    for path in paths:
        record = found[path]
        if isinstance(record, Fault):
            errors[path] = f"{path}: {record.reason}"
        elif record["status"] != "ok":
            errors[path] = record["reason"]
        else:
            records[path] = record
    return records, errors


def file_clip(path: str, record: dict[str, Any]) -> Clip:
    """The clip of a whole file, from what `pipelines.decode.probe.probe_video` found."""
    facts = {key: record[key] for key in ("frames", "height", "width", "pixel_aspect")}
    facts |= {"rate": record.get("rate", record["fps"]), "times": record.get("frame_times", "")}
    facts |= {"audio": path if record["audio_rate"] else "", "audio_start": record.get("audio_start", 0.0)}
    return Clip(id=path, label=0, path=path, **facts)


Found = tuple[dict[Piece, Clip], dict[Piece, str]]
"""Clips; and of what is none, why."""


def file_clips(files: Sequence[Piece], records: Mapping[str, dict[str, Any]]) -> Found:
    """The clips of whole files, of which the records are given by path."""
    return {file: file_clip(file.path, records[file.path]) for file in files}, {}


def piece_clips(pieces: Sequence[Piece], records: Mapping[str, dict[str, Any]]) -> Found:
    """The same of pieces of files, as a list of pieces gives them. Their records are `timed`, see
    `pipelines.decode.probe.probe_video`.
    """
    files, row_of = Facts(len(records), "", [""] * len(records), timed=True, dense=True), {}
    for row, (path, record) in enumerate(records.items()):
        files.add(row, record)
        row_of[path] = row
    spans = []
    for path, start, end in pieces:
        last = end if end < WHOLE else shown_until(clock_times(records[path]["clock"]))
        spans.append((start, max(start, last)))
    facts = PieceFacts(files, [row_of[piece.path] for piece in pieces], spans, [piece.path for piece in pieces])
    for message in facts.beyond.values():
        log.warning("%s", message)
    clips, errors = {}, {}
    for row, (piece, (start, end)) in enumerate(zip(pieces, spans, strict=True)):
        if row in facts.faulty:
            errors[piece] = facts.faulty[row]["reason"]
            continue
        clips[piece] = file_clip(piece.path, records[piece.path])._replace(
            id=clip_id(piece.path, start, end),
            frames=facts.frames[row],
            first=facts.first[row],
            start=start,
            end=end,
            rate=facts.rate[row],
            audio_start=facts.audio_start[row],
            times=facts.times.get(row, ""),
        )
    return clips, errors


@torch.no_grad()
def classify_clips(
    network: TSAM,
    config: Config,
    device: torch.device,
    sandbox: Sandbox,
    clips: list[Clip],
    outputs: Callable[[Tensor], Tensor],
    views: Views | None = None,
    spectrograms: Iterator[np.ndarray] | None = None,
) -> Iterator[ClipOutput]:
    """Run a network in evaluation mode on each clip, in their order.

    Args:
        network: on `device`.
        config: its settings, with which videos are read.
        device: of the network.
        sandbox: whose processes read the clips.
        clips: their ids are the paths of their files.
        outputs: logits (B, C) -> probabilities, or numbers in their units.
        views: frames and crop of each; default: the middle frames and the center crop.
        spectrograms: in place of those of the files' own audio, one array (A, 3, H, W) for each clip.
    """
    if not clips:
        return
    size = min(BATCH_SIZE, len(clips))
    changes = [f"pipeline.workers={min(decode_workers(config, 1), size)}"]
    if spectrograms is not None:
        changes.append("model.audio_segments=0")
    mels = FileAudio(config.data_augmentation.audio_image_param)
    build = partial(
        build_loader,
        split="validation",
        clips=clips,
        device=device,
        rank_batch=size,
        views=views,
        once=True,
        mels=mels,
        sandbox=sandbox,
    )
    with fitting_loader(change_config(config, overrides=changes), build) as loader:
        for batch in loader:
            rows = [row for row in batch.row.tolist() if row >= 0]  # padding is last
            video, audio = batch.video[: len(rows)], None if batch.audio is None else batch.audio[: len(rows)]
            if spectrograms is not None:
                audio = torch.from_numpy(np.stack([next(spectrograms) for _ in rows])).to(device)
            with autocast(config.training_param, device):
                logits = network(video, audio)
            found = outputs(logits.double()).cpu()  # as an evaluation does
            for place, row in enumerate(rows):
                own = None if audio is None else audio[place].cpu()
                yield ClipOutput(found[place], video[place].cpu(), own, loader.bad.get(row, ""))


def fitting_loader(config: Config, build: Callable[[Config], Loader]) -> Loader:
    """A loader; it decodes in this process if /dev/shm is too small for the batches of others."""
    loader = build(config)
    try:
        check_shared_memory([loader.shared_bytes])
    except SharedMemoryError as error:
        log.warning("%s; decoding without worker processes instead, which is slower", error)
        loader = build(change_config(config, overrides=["pipeline.workers=0"]))
    return loader
