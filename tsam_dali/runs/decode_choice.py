"""`pipeline.decode: auto` of a run: what a check of the GPU finds, or with what the run has decoded so far.

See docs/gpu.md. A run without a GPU imports nothing of the check.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from pipelines.dali.resources import without_a_gpu
from pipelines.dataset.clips import Clip
from tsam_dali.config.load import Config
from tsam_dali.distributed import Job, on_rank_0

log = logging.getLogger(__name__)


def choose_decode(
    config: Config, job: Job, clips: Mapping[str, Sequence[Clip]], num_class: int, state: dict[str, Any] | None
) -> tuple[Config, dict[str, Any] | None]:
    """The settings with which clips are loaded, and what `Choice.to_dict` gives if there was a choice.

    Every rank calls it; rank 0 chooses.

    Args:
        config: the settings of the run.
        job: this process's place.
        clips: of both splits.
        num_class: number of classes.
        state: the checkpoint that the run resumes, if any.
    """
    asked, kept = config.pipeline.decode, state.get("decode") if state else None
    if asked == "cpu" or config.pipeline.source == "frames":
        return config, None
    if job.device.type != "cuda":
        if asked == "auto" and kept and kept["decode"] != "cpu":
            log.warning("the run has decoded with %s; without a GPU it goes on with cpu", kept["decode"])
        return without_a_gpu(config, job.device), kept if asked == "auto" else None

    from tsam_dali.runs import gpu_check

    if asked != "auto":
        choice = on_rank_0(lambda: gpu_check.as_asked(asked, config, clips))
    elif state:
        choice = gpu_check.as_before(state)
    else:
        choice = on_rank_0(lambda: gpu_check.check(config, job, clips, num_class))
    for line in choice.text.splitlines():
        log.info("%s", line)
    return replace(config, pipeline=replace(config.pipeline, decode=cast(Any, choice.decode))), choice.to_dict()
