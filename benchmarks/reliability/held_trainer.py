"""The trainer, held in one of its phases until a signal comes; benchmarks/reliability/killed_runs.py sends it.

    python -m benchmarks.reliability.held_trainer PHASE CALL FILE [the trainer's arguments]

The trainer waits after the CALL-th call of the phase's function below. FILE appears when it does.
"""

import itertools
import os
import pkgutil
import select
import signal
import sys
from pathlib import Path

from tsam_dali import train

PLACES = {
    "start-up": ("tsam_dali.runs.initial_network", "build_model"),
    "training": ("tsam_dali.training.state:TrainState", "update"),
    "validation": ("tsam_dali.report.mistakes:WorstMistakes", "add"),
    "saving": ("torch", "save"),  # the file is written, but does not have its name yet
}
LIMIT_SECONDS = 120


def main() -> None:
    phase, call, file = sys.argv[1:4]
    hold(phase, int(call), Path(file))
    sys.argv[1:4] = []
    train.main()


def hold(phase: str, call: int, file: Path) -> None:
    """Make the phase's function wait for a signal once."""
    came, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)  # Python writes there when any signal with a handler comes, to whichever thread
    owner, name = pkgutil.resolve_name(PLACES[phase][0]), PLACES[phase][1]
    function, calls = getattr(owner, name), itertools.count(1)

    def held(*arguments, **options):
        result = function(*arguments, **options)
        if next(calls) == call:
            file.touch()
            select.select([came], [], [], LIMIT_SECONDS)
        return result

    setattr(owner, name, held)


if __name__ == "__main__":
    main()
