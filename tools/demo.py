"""Train the example and check that it was learnt: ends with an error if the validation accuracy stays below 95 %.

Guessing gives 25 %, the motion alone or the audio alone 50 %.

example:
  python tools/demo.py --set training_param.seed=1
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from tsam_dali.cli.common import add_config_arguments, config_arguments, friendly_errors, new_folder, parser
from tsam_dali.config import load_config

LEARNT = 0.95
"""Validation accuracy after the last epoch from which on the example counts as learnt."""


@friendly_errors
def main() -> None:
    command = parser("python tools/demo.py", __doc__)
    add_config_arguments(command)
    args = command.parse_args()
    config = load_config(args.data, args.config, args.set)
    folder = new_folder(Path(config.results_folder, time.strftime("demo_%Y-%m-%d_%H-%M-%S")))
    training = [sys.executable, "-m", "tsam_dali.train", *config_arguments(args), "--run_id", folder.name]
    ended = subprocess.run(training)
    if ended.returncode:
        sys.exit(ended.returncode)
    accuracy = accuracies(folder)[-1]
    if accuracy < LEARNT:
        sys.exit(
            f"error: the demo was not learnt: its validation accuracy is {accuracy:.1%}, "
            f"expected at least {LEARNT:.0%}. Please report it with {folder / 'args.json'}, which names the machine"
        )


def accuracies(folder: Path) -> list[float]:
    """Validation accuracy (0..1) after each epoch of the run in `folder`."""
    epochs = json.loads((folder / "result.json").read_text())["history_score"].values()
    return [epoch["valid"]["unbalanced"] for epoch in epochs]


if __name__ == "__main__":
    main()
