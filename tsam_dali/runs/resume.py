"""Checks before a run is resumed: same settings, lists and network as the checkpoint, on all ranks."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from pipelines.dataset.clips import Clip, Dataset
from pipelines.files.words import counted
from tsam_dali.config.load import Config
from tsam_dali.distributed import of_all_ranks
from tsam_dali.weights.checkpoint import CheckpointError

log = logging.getLogger(__name__)
FREE = (  # settings that do not change the training; `decode` and `compile` only by rounding
    *("dataset.data_dir", "dataset.dir_videos", "dataset.dir_frames", "dataset.dir_audios", "dataset.dir_mels"),
    *("dataset.file_train_list", "dataset.file_val_list", "dataset.class_names", "results_folder"),
    *("save_epoch", "model_validation", "training_param.num_workers", "training_param.save_every_steps"),
    *("training_param.save_every_minutes", "training_param.keep_checkpoints", "training_param.log_steps"),
    *("training_param.best_scores", "training_param.early_stopping", "training_param.patience"),
    *(
        "training_param.trackers",
        "training_param.compile",
        "training_param.grad_checkpointing",
        "model.weights",
        "model.pretrain",
    ),
    *("pipeline.decode", "pipeline.workers", "pipeline.threads", "pipeline.prefetch"),
)

EPOCHS = "training_param.epochs"  # free as well if the learning rate of a step does not depend on it


class ResumeError(ValueError):
    """A checkpoint of another run."""


def fingerprints(clips: Mapping[str, Sequence[Clip]]) -> dict[str, str]:
    """The fingerprint of each split's clips in a checkpoint: their number and a SHA-256 of ids and labels in order."""
    return {split: _fingerprint(members) for split, members in clips.items()}


def _fingerprint(clips: Sequence[Clip]) -> str:
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(f"{clip.id} {clip.target or clip.label}\n".encode())
    return f"{counted(len(clips), 'clip')}, SHA-256 {digest.hexdigest()[:16]}"


def check_resume(state: dict[str, Any], config: Config, clips: Mapping[str, Sequence[Clip]]) -> None:
    """Raise ResumeError with every setting and list that differs from those of the checkpoint `state`."""
    before, now = _completed(state["config"], Config(dataset=Dataset(data_dir="")).to_dict()), config.to_dict()
    changes = dict(_differences(before, now))
    if EPOCHS in changes and now["optimizer_param"]["schedule"] == "step":
        log.info("%s: %s; everything else is unchanged", EPOCHS, changes.pop(EPOCHS))
    elif EPOCHS in changes:
        changes[EPOCHS] += ", which makes the learning rate jump"
    lines = [f"  {name}: {change}" for name, change in changes.items()]
    for split, digest in fingerprints(clips).items():
        if state["lists"][split] != digest:
            lines.append(f"  {split} list: {state['lists'][split]} -> {digest}")
    if lines:
        raise ResumeError(
            "\n".join(["the checkpoint was trained with other settings or lists (checkpoint -> now):", *lines])
            + "\nrestore them, or resume anyway with --force"
        )


def fit_epochs(state: dict[str, Any], steps_per_epoch: int) -> dict[str, Any]:
    """A checkpoint's state; set to the start of its epoch if epochs had another number of steps.

    Batches, seeds and rates are functions of the step, which is then that of the start. The weights are kept.
    """
    before, epoch = state.get("steps_per_epoch", steps_per_epoch), len(state["history"])
    if before == steps_per_epoch:
        return state
    step = epoch * steps_per_epoch
    log.warning(
        "epochs have %s, those of the checkpoint had %d: resuming at the start of epoch %d, step %d instead of %d",
        *(counted(steps_per_epoch, "step"), before, epoch, step, state["step"]),
    )
    sums = {name: torch.zeros_like(total) for name, total in state["epoch_sums"].items()}
    return state | {"step": step, "steps_per_epoch": steps_per_epoch, "epoch_sums": sums}


def check_shapes(network: dict[str, torch.Tensor], kept: dict[str, torch.Tensor]) -> None:
    """Raise CheckpointError where the tensors of a checkpoint do not have the shapes of the network's."""
    shapes = [{name: tuple(tensor.shape) for name, tensor in state.items()} for state in (kept, network)]
    names = [name for name in shapes[0] | shapes[1] if shapes[0].get(name) != shapes[1].get(name)]
    if names:
        first = " -> ".join(str(of.get(names[0], "none")) for of in shapes)
        raise CheckpointError(
            f"the checkpoint has another network: {names[0]} {first}, "
            f"{counted(len(names), 'tensor differs', 'tensors differ')} in all; --force cannot resume it, "
            "but --fine_tune starts a new run with the weights that fit"
        )


def check_same(state: dict[str, Any] | None) -> None:
    """Raise CheckpointError on all ranks unless all resume the same checkpoint, or none."""
    found = of_all_ranks(_identity(state) if state else "none")
    if len(set(found)) > 1:
        each = "; ".join(f"rank {found.index(one)}: {one}" for one in dict.fromkeys(found))
        raise CheckpointError(
            f"the ranks find different checkpoints ({each}); results_folder must be the same folder on all machines"
        )


def _identity(state: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for tensor in state["model"].values():
        digest.update(tensor.contiguous().numpy())
    return f"step {state.get('step')}, SHA-256 of the weights {digest.hexdigest()[:16]}"


def _completed(settings: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Settings of an earlier version, with defaults for those that it did not have."""
    return {
        key: _completed(value, defaults[key]) if isinstance(value, dict) and key in defaults else value
        for key, value in (defaults | settings).items()
    }


def _differences(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Name and change of each setting that is not free."""
    if name in FREE:
        return
    if isinstance(before, dict) and isinstance(now, dict) and "freeze" not in name:
        for key in dict.fromkeys((*before, *now)):
            yield from _differences(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    elif before != now:
        yield name, f"{before!r} -> {now!r}"
