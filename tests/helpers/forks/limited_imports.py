"""What the process imports that limited children are forked off, see `limited`."""

from pipelines.check_gpu import trial
from tests.pipelines.check_gpu import stand_ins  # noqa: F401
from tsam_dali.runs import gpu_check

trial.SECONDS = gpu_check.STEP_SECONDS = 0.5
