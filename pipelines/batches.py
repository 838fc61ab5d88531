"""What all loaders have in common: batches of torch tensors, epoch after epoch, and the clips that cannot be read."""

import logging
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Self

import torch

from pipelines.dali.source import ClipSource
from pipelines.files.words import counted

log = logging.getLogger(__name__)


class LoaderError(ValueError):
    """Too many clips cannot be read, decode workers end again and again, or DALI is missing."""


class Batch(NamedTuple):
    """One step's clips of one rank. Letters: B clips, S video segments, A audio segments."""

    video: torch.Tensor  # float32 (B, S, 3, H, W), 0..1
    audio: torch.Tensor | None  # float32 (B, A, 3, H, W), log-mel spectrograms
    label: torch.Tensor  # int64 (B,); of the tasks labels (0 or 1) and numbers float32 (B, K)
    row: torch.Tensor  # int64 (B,), line of the clip list; -1: padding
    ok: torch.Tensor  # bool (B,), False: padding, or a clip that could not be read (black and silent)


class Loader:
    """Iterable over the batches of one epoch (or pass); the next iteration goes on with the next epoch.

    `len()` is the number of steps of an epoch. What reads the clips lives from the first batch until `close`.
    """

    shared_bytes = 0
    """At least so much of /dev/shm is taken."""

    def __init__(self, source: ClipSource, *, device: torch.device, max_bad_fraction: float):
        self.source = source
        self.device = device
        self.step = 0  # the next batch, counted on over the epochs
        self.bad: dict[int, str] = {}  # row -> reason, of the clips that this rank could not read
        self.most_bad = max_bad_fraction * len(source.clips)  # clips that may be bad, over all ranks

    def __len__(self) -> int:
        return len(self.source.order)

    def __iter__(self) -> Iterator[Batch]:
        end = self.step - self.step % len(self) + len(self)
        while self.step < end:
            batch = self._next()
            self.step += 1
            yield batch

    def seek(self, step: int) -> None:
        """Go on at global step `step`."""
        self.close()
        self.step = step

    def close(self) -> None:
        """Stop what reads the clips."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def _next(self) -> Batch:
        """The batch of the current step."""
        raise NotImplementedError

    def _to_batch(self, outputs: Mapping[str, torch.Tensor]) -> Batch:
        """outputs: `video`, `meta` and `reason`, and perhaps `audio` and `target`, see `pipelines.dali.source.Sample`;
        video and audio are on the device, the others on the CPU.
        """
        label, row, ok = outputs["meta"].clone().unbind(1)  # in memory that DALI cannot use again during the copy below
        for i in (ok == 0).nonzero().flatten().tolist():
            self._note_bad(int(row[i]), bytes(outputs["reason"][i].tolist()))
        label = outputs["target"].clone() if "target" in outputs else label
        label, row, ok = (part.to(self.device, non_blocking=True) for part in (label, row, ok.bool()))
        return Batch(outputs["video"], outputs.get("audio"), label, row, ok)

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
