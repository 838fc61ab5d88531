"""Train TSAM on MP4 files with sound.

examples:
  python -m tsam_dali.train
      the example in config/, on one device
  torchrun --nproc_per_node 4 -m tsam_dali.train --data my_data.json --config my_config.json --run_id first
      one's own data on four GPUs
  python -m tsam_dali.train --data my_data.json --config my_config.json --set model.arch=resnet18 --dry_run
      one step of everything, to see that it works
"""

import argparse
import logging
from pathlib import Path
from typing import Any

import torch

from pipelines.clips import Clip
from pipelines.dataset import load_clips, load_data, num_classes
from pipelines.loader import Loader, build_loader
from tsam_dali import distributed, report
from tsam_dali.checkpoint import load_checkpoint, save_checkpoint
from tsam_dali.command_line import add_config_arguments, config_arguments, friendly_errors, parser
from tsam_dali.config import Config, load_config
from tsam_dali.distributed import Job
from tsam_dali.engine import train_one_epoch, validation_metrics
from tsam_dali.evaluation import choose_views, evaluate_videos
from tsam_dali.example import ensure_example, ensure_example_sound
from tsam_dali.learner import Learner, build_learner
from tsam_dali.model import build_model
from tsam_dali.progress import Progress
from tsam_dali.run_folder import RunFolder
from tsam_dali.weights import load_pretrained, load_weights

log = logging.getLogger("tsam_dali")


@friendly_errors
def main() -> None:
    args = parse_arguments()
    config = load_config(args.data, args.config, args.set)
    job = distributed.start(args.device)
    clips = distributed.on_rank_0(lambda: prepare_data(args, config))
    if args.validate:
        validate(args.validate, config, job, clips)
    else:
        train(args, config, job, clips)
    distributed.stop()


def parse_arguments() -> argparse.Namespace:
    command = parser("python -m tsam_dali.train", __doc__)
    add_config_arguments(command)
    add = command.add_argument
    add("--run_id", help="name of the run's folder in results_folder (default: date and time)")
    add("--resume", metavar="auto|CKPT", help="go on from the run's latest checkpoint (auto; needs --run_id) or a file")
    add("--fine_tune", metavar="CKPT", help="first weights, of any known format; another number of classes: a new head")
    add("--validate", metavar="CKPT", help="no training: score a checkpoint on model_validation clips of each video")
    add("--device", help="cpu or cuda (default: cuda if there is one)")
    add("--dry_run", action="store_true", help="one step of training and validation, one checkpoint, then stop")
    args = command.parse_args()
    if args.resume == "auto" and not args.run_id:
        command.error("--resume auto needs --run_id")
    return args


def prepare_data(args: argparse.Namespace, config: Config) -> dict[str, list[Clip]]:
    """The clips of both splits; everything that is wrong with the data is found here."""
    ensure_example(config.dataset)
    if config.model.audio_segments:
        ensure_example_sound(config.dataset, config_arguments(args))
    clips = load_clips(config)
    log.info("%s", ", ".join(f"{len(members)} {split} clips" for split, members in clips.items()))
    return clips


def train(args: argparse.Namespace, config: Config, job: Job, clips: dict[str, list[Clip]]) -> None:
    distributed.check_batch_size(config.training_param.batch_size, config.training_param.accumulate, job)
    folder = RunFolder(config.results_folder, "dry_run" if args.dry_run else args.run_id)
    resume = folder.checkpoint("latest") if args.resume == "auto" else args.resume and Path(args.resume)
    state = load_checkpoint(resume) if resume else None

    network = first_network(args.fine_tune, config, job, num_classes(clips), state)
    first_epoch = state["epoch"] + 1 if state else 0
    training = loader(config, "training", clips, job)
    validation = loader(config, "validation", clips, job)
    first_step = first_epoch * len(training)
    training.seek(first_step)
    learner = build_learner(network, config, job, len(training), first_step, state)
    history, best = (state["history"], state["best"]) if state else ([], {"balanced": 0.0, "unbalanced": 0.0})
    steps = 1 if args.dry_run else None
    distributed.on_rank_0(lambda: folder.create(config, keep=state is not None, overwrite=args.dry_run))

    for epoch in range(first_epoch, first_epoch + 1 if args.dry_run else config.training_param.epochs):
        seed_dropout(config, epoch, job)
        progress = progress_bar(training, f"epoch {epoch} training", config, job, steps)
        trained = train_one_epoch(learner, progress, config, job)
        if epoch == first_epoch and job.is_main:
            draw_inputs(progress, clips["training"], config, folder)
        distributed.same_buffers(network)
        progress = progress_bar(validation, f"epoch {epoch} validation", config, job, steps)
        validated = validation_metrics(network, progress, config, job)
        history = [*history, {"epoch": epoch, **trained, "validation": validated}]
        best = keep(folder, learner, config, history, best) if job.is_main else best
    training.close()
    validation.close()

    if args.dry_run:
        distributed.on_rank_0(lambda: load_checkpoint(folder.checkpoint("latest")))
    if job.is_main:
        summarize(history, best, folder, args.dry_run)


def first_network(
    fine_tune: str | None, config: Config, job: Job, num_class: int, state: dict[str, Any] | None
) -> torch.nn.Module:
    """The network on its device, with the weights that training starts from."""
    torch.manual_seed(config.training_param.seed)
    network = build_model(config, num_class)
    if state:
        network.load_state_dict(state["model"])
    elif fine_tune or config.model.weights:
        log.info("%s", load_weights(network, fine_tune or config.model.weights))
    elif config.model.pretrain != "none":
        log.info("%s", load_pretrained(network, config))
    layout = torch.channels_last if config.training_param.channels_last else torch.contiguous_format
    return network.to(job.device, memory_format=layout)


def loader(config: Config, split: str, clips: dict[str, list[Clip]], job: Job, **options: Any) -> Loader:
    place = {"device": job.device, "rank": job.rank, "world": job.world, "local_world": job.local_world}
    return build_loader(config, split, clips[split], **place, **options)


def progress_bar(batches: Loader, title: str, config: Config, job: Job, steps: int | None = None) -> Progress:
    clips_per_step = config.training_param.batch_size
    return Progress(batches, title, clips_per_step=clips_per_step, show=job.is_main, steps=steps)


def seed_dropout(config: Config, epoch: int, job: Job) -> None:
    """Make dropout a function of seed, epoch and rank, so that a run resumed at an epoch draws the same."""
    torch.manual_seed((config.training_param.seed * 100_003 + epoch) * 10_007 + job.rank)


def keep(
    folder: RunFolder, learner: Learner, config: Config, history: list[dict[str, Any]], best: dict[str, float]
) -> dict[str, float]:
    """Write the epoch's checkpoints, results and curves; returns the best scores so far."""
    record = history[-1]
    scores = {
        "balanced": record["validation"]["balanced_accuracy"],
        "unbalanced": record["validation"]["accuracy"],
    }
    names = ["latest", *(f"{kind}_best" for kind in scores if len(history) == 1 or scores[kind] > best[kind])]
    if record["epoch"] in config.save_epoch:
        names.append(f"epoch_{record['epoch']}")
    best = {kind: max(best[kind], scores[kind]) for kind in scores}
    about = {"epoch": record["epoch"], "history": history, "best": best, "config": config.to_dict()}
    for name in names:
        save_checkpoint(folder.checkpoint(name), about | learner.state_dict())
    folder.write_results(history, best)
    report.plot_curves(history, folder.curves)
    train, valid = record["training"], record["validation"]
    log.info("epoch %d: training loss %.3f, accuracy %.1f%%", record["epoch"], train["loss"], 100 * train["accuracy"])
    log.info("epoch %d: validation loss %.3f, accuracy %.1f%%", record["epoch"], valid["loss"], 100 * valid["accuracy"])
    return best


def draw_inputs(progress: Progress, clips: list[Clip], config: Config, folder: RunFolder) -> None:
    """A contact sheet of the first batch that the network was trained on."""
    batch = progress.first_batch
    names = config.dataset.class_names
    titles = [f"{names[clip.label] if names else clip.label}\n{clip.id}" for clip in map(clips.__getitem__, batch.row)]
    audio = None if batch.audio is None else batch.audio.cpu().numpy()
    report.plot_contact_sheet(batch.video.cpu().numpy(), audio, titles, folder.inputs)


def summarize(history: list[dict[str, Any]], best: dict[str, float], folder: RunFolder, dry_run: bool) -> None:
    if dry_run:
        print(f"dry run: one step of training and of validation and a checkpoint worked, see {folder.path}")
        return
    print(f"validation accuracy {history[-1]['validation']['accuracy']:.1%}, best {best['unbalanced']:.1%}")
    print(f"curves: {folder.curves}\nwhat the network saw: {folder.inputs}\ncheckpoints: {folder.path / 'checkpoints'}")


def validate(checkpoint: str, config: Config, job: Job, clips: dict[str, list[Clip]]) -> None:
    """Score a checkpoint with the protocol `tsam`: clip 1 is the middle one, further clips are drawn."""
    num_class = num_classes(clips)
    network = build_model(config, num_class)
    loaded = load_weights(network, checkpoint)
    if loaded.new:
        raise ValueError(f"{loaded}\n--validate needs a checkpoint with a last layer for the {num_class} classes here")
    log.info("%s", loaded)
    layout = torch.channels_last if config.training_param.channels_last else torch.contiguous_format
    network.to(job.device, memory_format=layout)
    data = distributed.on_rank_0(lambda: load_data(config, ["validation"]))
    evaluate_videos(network, config, job, data, choose_views("tsam", config), tell=print)


if __name__ == "__main__":
    main()
