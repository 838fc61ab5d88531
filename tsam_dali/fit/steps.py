"""The steps of a fit: commands of this project, run one after another; and what is decided between them."""

import argparse
import json
import signal
import sys
from pathlib import Path

from pipelines.files.atomic import replacing
from tsam_dali.runs.folds import Child
from tsam_dali.runs.signals import EXIT_CODE

BEGUN = "fit.json"
GIVEN = ("source", "validation", "videos", "format", "classes", "group")
"""Arguments that say what is learnt; with others, the folder is that of another fit."""


def begin(out: Path, args: argparse.Namespace) -> None:
    """Note in the folder `out` what is learnt there, or compare.

    Raises:
        ValueError: it is the folder of another fit.
    """
    given = {name: str(getattr(args, name) or "") for name in GIVEN}
    given |= {name: str(Path(given[name]).absolute()) for name in ("source", "validation", "videos") if given[name]}
    file = out / BEGUN
    if not file.is_file():
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(given, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    kept = json.loads(file.read_text(encoding="utf-8"))
    changed = [
        f"{name} {kept.get(name)!r} is now {value!r}" for name, value in given.items() if kept.get(name) != value
    ]
    if changed:
        raise ValueError(f"{out}: begun with other arguments ({'; '.join(changed)}); choose another --out")


class Steps:
    """Runs commands, and keeps what is decided.

    Args:
        device: cpu, cuda, or None: what is there.
    """

    def __init__(self, device: str | None) -> None:
        self.device = ("--device", device) if device else ()
        self.decisions: list[str] = []
        self._child = Child()

    def decide(self, decision: str) -> None:
        """Print what is done and why, and keep it for `config.json`."""
        self.decisions.append(decision)
        self.say(decision)

    def say(self, text: str) -> None:
        print(f"fit: {text}", flush=True)

    def run(self, module: str, *words: object, allowed: tuple[int, ...] = (0,), seconds: float | None = None) -> int:
        """Run `python -m tsam_dali.MODULE ...`; after `seconds` it is asked to stop. Its exit code.

        Ends this process where the command fails, which has then said why, or after a signal.
        """
        self.check()
        print(f"\n$ python -m tsam_dali.{module} {' '.join(map(str, words))}", flush=True)
        command = [sys.executable, "-u", "-m", f"tsam_dali.{module}", *map(str, words)]
        code = self._child.run(command, _print, seconds)
        self.check()
        if code < 0:
            why = "; perhaps the memory was not enough" if code == -signal.SIGKILL else ""
            print(f"error: killed by {signal.Signals(-code).name}{why}; the same command goes on", file=sys.stderr)
        if code not in allowed:
            sys.exit(code if code > 0 else 128 - code)
        return code

    def check(self) -> None:
        """End this process after a signal."""
        if self._child.stopped:
            print("stopped; the same command goes on", file=sys.stderr)
            sys.exit(EXIT_CODE)


def _print(line: str) -> None:
    """A line of a command, but not its advice on what to do next: that is the next step of the fit."""
    if not line.startswith("next: "):
        print(line, flush=True)
