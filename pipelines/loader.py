"""DALI pipeline -> batches of torch tensors: padded, never dropped or repeated; survives what a pipeline does not."""

import logging
import multiprocessing
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import torch

from pipelines.audio.from_video import FileAudio
from pipelines.audio.mel_store import MelStore
from pipelines.dali.bad_clips import find_bad_clips
from pipelines.dali.color_jitter import change_look
from pipelines.dali.graph import Tail, build_pipeline
from pipelines.dali.inputs import choose_input
from pipelines.dali.outputs import cpu_outputs, gpu_outputs
from pipelines.dali.resources import dali_threads, decode_workers, gpu_number
from pipelines.dali.shared_memory import SharedMemoryError, batch_bytes, check_shared_memory, worker_ends
from pipelines.dali.source import ClipSource
from pipelines.dali.spot_check import spot_check_of, without_nvdec
from pipelines.dali.vary import vary
from pipelines.dataset.clips import Clip
from pipelines.dataset.config import LoaderConfig
from pipelines.dataset.flip_labels import flipped_labels
from pipelines.dataset.list_file import SPLITS, Split
from pipelines.dataset.load import load_clips
from pipelines.files.words import counted
from pipelines.parallel.malloc import return_freed_memory
from pipelines.parallel.processes import STOPPING, block_signals, no_main_module
from pipelines.sampling.batch_order import EvaluationOrder, Order, TrainingOrder, classes_of
from pipelines.sampling.views import Views

log = logging.getLogger(__name__)
TRIES = 4  # to get one batch


class LoaderError(ValueError):
    """Too many clips cannot be read, or decode workers end again and again."""


class Batch(NamedTuple):
    """One step's clips of one rank. Letters: B clips, S video segments, A audio segments."""

    video: torch.Tensor  # float32 (B, S, 3, H, W), 0..1
    audio: torch.Tensor | None  # float32 (B, A, 3, H, W), log-mel spectrograms
    label: torch.Tensor  # int64 (B,); of the tasks labels (0 or 1) and numbers float32 (B, K)
    row: torch.Tensor  # int64 (B,), line of the clip list; -1: padding
    ok: torch.Tensor  # bool (B,), False: padding, or a clip that could not be read (black and silent)


def build_loader(
    config: LoaderConfig,
    split: Split,
    clips: Sequence[Clip] | None = None,
    *,
    device: str | torch.device = "cpu",
    rank: int = 0,
    world: int = 1,
    local_world: int | None = None,
    views: Views | None = None,
    rank_batch: int | None = None,
    once: bool = False,
    mels: MelStore | FileAudio | None = None,
) -> "Loader":
    """The batches of one rank.

    Args:
        config: the settings.
        split: "training" (shuffled, augmented) or "validation" (in order, center crops).
        clips: those of the split; default: what `pipelines.dataset.load.load_clips` finds.
        device: where the tensors end up; with a CUDA device the common tail runs there too.
        rank, world, local_world: number of this process, of all, and of those on this machine.
        views: of each video in a validation, one a pass; default: the centre clip alone.
        rank_batch: clips per rank in a validation step; default: this rank's part of batch_size.
        once: a validation takes each view once; what would be prepared ahead for the next pass is not read.
        mels: where the audio comes from; default: the data set's log-mel store.

    Raises:
        ValueError: another split, or a batch that is larger than the training list.
        DataError: see `load_clips`.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    if clips is None:
        clips = load_clips(config)[split]
    settings, views = config.training_param, views or Views()
    batch_size, seed, repeats = settings.batch_size, settings.seed, settings.repeats
    place = {"num_clips": len(clips), "rank": rank, "world": world}
    if split == "training":
        classes = classes_of(map(config.dataset.targets.labels, clips), settings.sampling)
        order: Order = TrainingOrder(batch_size=batch_size, seed=seed, repeats=repeats, classes=classes, **place)
    else:
        size = rank_batch or max(1, batch_size // world)
        order = EvaluationOrder(rank_batch=size, views=len(views), once=once, **place)
    images = config.data_augmentation
    source = ClipSource(
        clips=clips,
        order=order,
        training=split == "training",
        repeats=repeats,
        seed=seed,
        video_input=choose_input(config, clips, on_gpu=torch.device(device).type == "cuda"),
        num_segments=config.model.video_segments,
        video=images.video_augmentation,
        audio=images.audio_augmentation,
        audio_segments=config.model.audio_segments,
        mels=mels or MelStore(config.dataset.mels, images.audio_image_param),
        targets=config.dataset.targets,
        views=views,
        frame_sampling=config.model.frame_sampling,
        flipped=flipped_labels(config.dataset),
    )
    tail = Tail(images.video_image_param.output_size, look=source.training and source.video.changes_look)
    device, workers = torch.device(device), decode_workers(config, local_world or world)
    return Loader(
        source,
        tail,
        device=device,
        workers=workers,
        threads=config.pipeline.threads or dali_threads(source.video_input, workers, device),
        prefetch=config.pipeline.prefetch,
        max_bad_fraction=config.pipeline.max_bad_fraction,
    )


class Loader:
    """Iterable over the batches of one epoch (or pass); the next iteration goes on with the next epoch.

    `len()` is the number of steps of an epoch. Worker processes live from the first batch until `close`.
    """

    def __init__(
        self, source: ClipSource, tail: Tail, *, device: torch.device, workers, threads, prefetch, max_bad_fraction
    ):
        self.source = source
        self.device = device
        self.step = 0  # the next batch, counted on over the epochs
        self.bad: dict[int, str] = {}  # row -> reason, of the clips that this rank could not read
        self._tail = tail
        self._device_id = gpu_number(device)
        self._workers, self._threads, self._prefetch = workers, threads, prefetch
        self.most_bad = max_bad_fraction * len(source.clips)  # clips that may be bad, over all ranks
        self.spot_check = spot_check_of(source, tail, device)
        self._batches: Iterator[dict[str, torch.Tensor]] | None = None
        self._processes: list[multiprocessing.process.BaseProcess] = []  # the decode workers

    def __len__(self) -> int:
        return len(self.source.order)

    def __iter__(self) -> Iterator[Batch]:
        end = self.step - self.step % len(self) + len(self)
        while self.step < end:
            batch = self._next()
            self.step += 1
            yield batch

    @property
    def shared_bytes(self) -> int:
        """At least so much of /dev/shm: the batches that are prepared, and those that DALI still reads."""
        return 2 * self._prefetch * batch_bytes(self.source) if self._workers else 0

    def seek(self, step: int) -> None:
        """Go on at global step `step`."""
        self.close()
        self.step = step

    def close(self) -> None:
        """Stop the worker processes."""
        self._batches = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def _next(self) -> Batch:
        """The batch of the current step. A pipeline that fails is built again for it, without the clips that make it
        fail; more than once, as a system short of memory may kill the new workers, too.
        """
        if self.spot_check and self.spot_check.failed():
            self.close()
            self.spot_check, self.source = None, without_nvdec(self.source)
        for tries_left in reversed(range(TRIES)):
            try:
                if self._batches is None:
                    self._batches = self._start()
                if not all(process.is_alive() for process in self._processes):
                    raise RuntimeError("a decode worker has ended")  # asked for work, DALI could wait for it for ever
                return self._to_batch(next(self._batches))
            except (LoaderError, SharedMemoryError):
                raise
            except Exception as error:  # DALI raises plain exceptions, for a worker that was killed too
                ends = worker_ends(self._processes)
                self.close()
                if not tries_left:
                    if ends:
                        raise LoaderError(f"{TRIES} times in a row at step {self.step}: {ends}") from error
                    raise
                log.warning("the data pipeline failed at step %d and is started again: %s", self.step, ends or error)
                if not ends:  # else no clip is to blame; where none is found either, black fails as well
                    bad_clips = find_bad_clips(self.source, self._tail, self.step, device_id=self._device_id)
                    self.source.bad = {**self.source.bad, **bad_clips}
        raise AssertionError("not reached")

    def _start(self) -> Iterator[dict[str, torch.Tensor]]:
        return_freed_memory()  # what an earlier pipeline held
        check_shared_memory([self.shared_bytes])
        self.source.first_step = self.step
        size, how = self.source.order.rank_batch, {"workers": self._workers, "threads": self._threads}
        pipeline, names = build_pipeline(
            self.source, self._tail, batch_size=size, device_id=self._device_id, prefetch=self._prefetch, **how
        )
        others = set(multiprocessing.active_children())
        with no_main_module(), block_signals(*STOPPING):
            pipeline.build()
        self._processes = [process for process in multiprocessing.active_children() if process not in others]
        if self._device_id is None:
            return cpu_outputs(pipeline, names, self._tail.output_size)
        return gpu_outputs(pipeline, names)

    def _to_batch(self, outputs: dict[str, torch.Tensor]) -> Batch:
        label, row, ok = outputs["meta"].clone().unbind(1)  # in memory that DALI cannot use again during the copy below
        for i in (ok == 0).nonzero().flatten().tolist():
            self._note_bad(int(row[i]), bytes(outputs["reason"][i].tolist()))
        video = outputs["video"]
        if self.spot_check:
            self.spot_check.start(self.step, video, ok)
        if self._tail.look:
            change_look(video, outputs["look"])
        if self.source.varied:
            vary(video, outputs.get("audio"), self.source.variations(self.step), self.source.mels.options.silence)
        label = outputs["target"].clone() if "target" in outputs else label
        label, row, ok = (part.to(self.device, non_blocking=True) for part in (label, row, ok.bool()))
        return Batch(video, outputs.get("audio"), label, row, ok)

    def _note_bad(self, row: int, reason: bytes) -> None:
        if row < 0 or row in self.bad:
            return
        self.bad[row] = reason.rstrip(b"\0").decode(errors="replace")
        clip = self.source.clips[row]
        log.warning("clip %s is left out (black, ok = 0): %s", clip.id, self.bad[row])
        self.check(self.bad)

    def check(self, bad: dict[int, str]) -> None:
        """Raise LoaderError if these are too many: row -> reason."""
        if len(bad) > self.most_bad:
            row, reason = next(reversed(bad.items()))
            raise LoaderError(
                f"{len(bad)} of {counted(len(self.source.clips), 'clip')} could not be read, more than "
                f"pipeline.max_bad_fraction allows; the last one is {self.source.clips[row].id}: {reason}"
            )
