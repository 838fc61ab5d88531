"""Train the folds of a cross-validation one after another, and print mean and spread of their scores.

A fold is a data file with lists of its own, as tools/make_lists.py --folds writes them in fold_1, fold_2, ... Its run
is RUN_ID_fold_1 and so on. The same command goes on where an earlier one was stopped: a fold that is finished is not
trained again, one that was interrupted continues within its epoch.

The table has the scores after the last epoch and, as `best`, the highest of any epoch, which are a little too high: the
epoch is chosen by the clips that it is scored on. The spread is the standard deviation over the folds (n - 1). The same
numbers are written to RUN_ID_folds.json in results_folder.

examples:
  python -m tsam_dali.runs.folds --data data/my/fold_*/data.json --config my_config.json --run_id speakers
      five folds, one after another, on one device
  python -m tsam_dali.runs.folds --data data/my/fold_*/data.json --config my_config.json --run_id tuned \\
      --nproc_per_node 4 --fine_tune kinetics400 --download
      four GPUs for each; --fine_tune, --download, --device and --force are passed on to tsam_dali.train
"""

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.dataset.list_file import SPLITS
from pipelines.dataset.load import load_data
from pipelines.files.atomic import replacing
from pipelines.files.errors import InputError
from pipelines.parallel.processes import STOPPING, end_with_parent
from tsam_dali.cli.common import add_settings_arguments, friendly_errors, parser, positive
from tsam_dali.config.load import Config, ConfigError, load_config
from tsam_dali.runs.fold_table import summary, table
from tsam_dali.runs.folder import RunFolder
from tsam_dali.runs.signals import EXIT_CODE

log = logging.getLogger("tsam_dali")
PASSED_ON = ("--fine_tune", "--download", "--device", "--force")  # to tsam_dali.train
SEVERAL = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node")


class Fold(NamedTuple):
    """One training of the cross-validation."""

    name: str
    data: str
    config: Config
    run_id: str

    @property
    def path(self) -> Path:
        """The folder of its run."""
        return RunFolder(self.config, self.run_id).path


@friendly_errors
def main() -> None:
    args, passed_on = parse_arguments()
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise ValueError("leave out torchrun: --nproc_per_node is the number of processes that train a fold")
    folds = [
        Fold(name, data, load_config(data, args.config, args.set), f"{args.run_id}_{name}")
        for name, data in zip(names_of(args.data), args.data, strict=True)
    ]
    left = [fold for fold in folds if not is_finished(fold)]
    check_data(left)
    launcher = (*SEVERAL, str(args.nproc_per_node)) if args.nproc_per_node > 1 else ()
    settings = ("--config", args.config, *(word for change in args.set for word in ("--set", change)))
    child = Child()
    for number, fold in enumerate(folds, 1):
        if fold not in left:
            log.info("%s (%d of %d) is finished: %s", fold.name, number, len(folds), fold.path)
            continue
        log.info("%s (%d of %d): %s", fold.name, number, len(folds), fold.path)
        run = ("--data", fold.data, *settings, "--run_id", fold.run_id, "--resume", "auto", *passed_on)
        code = child.run([sys.executable, *launcher, "-m", "tsam_dali.train", *run])
        if child.stopped or code:
            log.warning("%s %s; the same command goes on with it", fold.name, "stopped" if child.stopped else "failed")
            sys.exit(EXIT_CODE if child.stopped else max(code, 1))
    found = summary({fold.name: fold.path for fold in folds})
    file = Path(folds[0].config.results_folder) / f"{args.run_id}_folds.json"
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(found, indent=4) + "\n")
    print(*table(found), f"table: {file}", sep="\n")


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    """The arguments, and those for `tsam_dali.train`."""
    command = parser("python -m tsam_dali.runs.folds", __doc__)
    add = command.add_argument
    data = "JSON file of each fold, at least two; a run is named by the folder that its file is in"
    add("--data", metavar="FILE", nargs="+", required=True, help=data)
    add_settings_arguments(command)
    add("--run_id", required=True, help="what the names of the runs in results_folder begin with")
    several = "processes that train a fold together, one for each GPU of this machine (default: %(default)s)"
    add("--nproc_per_node", metavar="N", type=positive, default=1, help=several)
    args, passed_on = command.parse_known_args()
    unknown = [word for word in passed_on if word.startswith("-") and word.partition("=")[0] not in PASSED_ON]
    if unknown:
        command.error(f"unknown option {unknown[0]}; passed on to tsam_dali.train are {', '.join(PASSED_ON)}")
    if len(args.data) < 2:
        command.error("--data: expected the data files of at least two folds")
    return args, passed_on


def names_of(files: Sequence[str]) -> list[str]:
    """The name of each fold: that of the folder with its data file, or of the file where folders do not differ.

    Raises:
        ConfigError: a file is given twice, or others have no names of their own either.
    """
    for names in ([Path(file).absolute().parent.name for file in files], [Path(file).stem for file in files]):
        if len(set(names)) == len(names):
            return names
    raise ConfigError([f"--data {' '.join(files)}: neither folders nor files differ in their names"])


def is_finished(fold: Fold) -> bool:
    """Whether nothing is left to train. Where settings or lists may be others than those of its run, the trainer has to
    say: it goes on if more epochs are wanted."""
    try:
        status, kept = (json.loads((fold.path / name).read_text()) for name in ("status.json", "args.json"))
        listed = max(os.stat(fold.config.dataset.list_file(split)).st_mtime for split in SPLITS)
        unchanged = listed < os.stat(fold.path / "args.json").st_mtime
    except (OSError, ValueError):
        return False
    settings = fold.config.to_dict()
    settings["model"]["num_class"] = kept["model"].get("num_class")
    return status["state"] == "finished" and unchanged and settings.items() <= kept.items()


def check_data(folds: Sequence[Fold]) -> None:
    """Raise ConfigError with all problems of the data of all folds, before the first one is trained for hours."""
    problems, classes = [], {}
    for fold in folds:
        try:
            classes[fold.name] = load_data(fold.config, SPLITS).num_class
        except InputError as error:
            problems += [f"{fold.name}: {problem}" for problem in error.problems]
    if len(set(classes.values())) > 1:
        each = ", ".join(f"{name} {number}" for name, number in classes.items())
        problems.append(f"the folds have different numbers of classes: {each}")
    if problems:
        raise ConfigError(problems)


class Child:
    """Runs processes one after another; a signal that asks to stop is passed on, and the process is waited for."""

    def __init__(self) -> None:
        self.stopped = False
        self._process: subprocess.Popen[str] | None = None
        for number in STOPPING:
            signal.signal(number, self._pass_on)

    def _pass_on(self, number: int, _frame: object) -> None:
        self.stopped = True
        if self._process:
            self._process.send_signal(number)

    def run(self, words: Sequence[str], said: Callable[[str], None] | None = None, seconds: float | None = None) -> int:
        """Exit code of a process, which is not started after a signal.

        Args:
            said: called with each line that it prints; None: the terminal shows them.
            seconds: after that time it is asked to stop.
        """
        if self.stopped:
            return EXIT_CODE
        # In a session of its own: Ctrl-C would reach it twice, and a second one ends a run at once.
        output = subprocess.PIPE if said else None
        self._process = subprocess.Popen(
            words, stdout=output, text=True, start_new_session=True, preexec_fn=end_with_parent
        )
        if self.stopped:  # meanwhile
            self._process.terminate()
        timer = threading.Timer(seconds or 0, self._process.terminate)
        if seconds is not None:
            timer.start()
        try:
            for line in self._process.stdout or ():
                if said:
                    said(line.rstrip())
            return self._process.wait()
        finally:
            timer.cancel()


if __name__ == "__main__":
    main()
