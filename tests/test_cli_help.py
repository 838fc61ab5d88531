"""--help of the commands."""

import re

import pytest

from tests.helpers.processes import called
from tsam_dali import embed, export, predict, push, train
from tsam_dali.evaluate import __main__ as evaluate
from tsam_dali.fit import __main__ as fit
from tsam_dali.model import __main__ as model
from tsam_dali.probe import __main__ as probe
from tsam_dali.runs import folds


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (fit, "--out --group --minutes --arch --weights --download --device"),
        (train, "--data --config --run_id --resume --fine_tune --validate --device --dry_run --check_gpu"),
        (evaluate, "--checkpoint --data --protocol --clips --crops --average --no_audio --output --set --batch_size"),
        (predict, "--checkpoint --topk --output --pictures --window --stride --explain --live --device"),
        (folds, "--data --config --set --run_id --nproc_per_node"),
        (embed, "--data --checkpoint --arch --weights --batch_size --set --device"),
        (probe, "--split --folds --group --seed --linear_only --output"),
        (export, "--checkpoint --int8 --calibration_clips --data --triton --safetensors --push --private --example"),
        (push, "--checkpoint --private --example"),
        (model, "--data --config --set --num_class"),
    ],
)
def test_help_names_the_command_and_its_options(command, options):
    shown = called(command.main, "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"usage: python -m {command.__name__.removesuffix('.__main__')} ")
    assert "example" in shown.stdout
    assert not [option for option in options.split() if not re.search(rf"\n  {option}\s", shown.stdout)]
