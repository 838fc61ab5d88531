"""What a run shows of itself at the end of each epoch: report.html, and inputs.png once."""

import logging

import numpy as np

from pipelines.loader import Batch, Loader
from tsam_dali.report.mistakes import Mistake, thumbnails
from tsam_dali.report.page import write_report
from tsam_dali.report.plots import plot_contact_sheet, stretched
from tsam_dali.report.sections import FedClip
from tsam_dali.runs.run import Run
from tsam_dali.training.metrics import Metrics

log = logging.getLogger(__name__)

SHOWN_CLIPS = 6


def keep_inputs(run: Run, training: Loader, step: int, batch: Batch) -> None:
    """Draw inputs.png from the first batch that this process trained on, that of global step `step`, and keep it for
    the report; later batches are left. A picture that cannot be written is a warning."""
    if run.fed:
        return
    clips, names = run.clips["training"], run.class_names
    shown = [clips[row] for row in batch.row[:SHOWN_CLIPS].tolist()]
    frames = thumbnails(batch.video[:SHOWN_CLIPS]).cpu().numpy()
    audio = None if batch.audio is None else batch.audio[:SHOWN_CLIPS]
    sounds = None if audio is None else thumbnails(stretched(audio)).cpu().numpy()
    source = training.source
    run.fed = [
        FedClip(
            f"{clip.id} ({names[clip.label]})",
            frames[place],
            None if sounds is None else sounds[place],
            source.plan(source.order.position(step, place)),
        )
        for place, clip in enumerate(shown)
    ]
    titles = [f"{names[clip.label]}\n{clip.id}" for clip in shown]
    pictures = batch.video[:SHOWN_CLIPS].cpu().numpy()
    try:
        plot_contact_sheet(pictures, None if audio is None else audio.cpu().numpy(), titles, run.folder.inputs)
    except Exception as error:  # no picture is worth a run
        log.warning("%s could not be written (%s: %s)", run.folder.inputs, type(error).__name__, error)
        return
    run.show("inputs", run.folder.inputs)


def write_run_report(run: Run, validated: Metrics, mistakes: list[Mistake]) -> None:
    """Write report.html after an epoch; a failure is a warning."""
    write_report(
        run.folder.path,
        class_names=run.class_names,
        confusion=np.asarray(validated.confusion.cpu()),
        mistakes=mistakes,
        clip_ids=[clip.id for clip in run.clips["validation"]],
        fed=run.fed,
        smooth_epochs=run.learner.config.optimizer_param.smooth_epochs,
    )
