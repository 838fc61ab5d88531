"""`tsam`: the commands of this project as one program."""

import difflib
import os
import runpy
import sys
from importlib import metadata

from tsam_dali.cli.interrupt import end_at_once

COMMANDS = {
    "fit": ("tsam_dali.fit", "from a folder of videos to a trained network, step by step"),
    "lists": ("tsam_dali.cli.tools.make_lists", "lists from a folder of videos, or from those of other projects"),
    "index": ("tsam_dali.cli.tools.index_videos", "check every video before a training"),
    "audio": ("tsam_dali.cli.tools.precompute_audio", "compute the log-mel spectrograms of all clips, once"),
    "copies": ("tsam_dali.cli.tools.make_training_copies", "make small videos that are fast to train on"),
    "frames": ("tsam_dali.cli.tools.video2frames", "extract JPEG frames or .wav files, as TSAM does"),
    "train": ("tsam_dali.train", "train a network, or go on with a run"),
    "folds": ("tsam_dali.runs.folds", "train the folds of a cross-validation"),
    "embed": ("tsam_dali.embed", "write the features of all clips, by a network that stays as it is"),
    "probe": ("tsam_dali.probe", "learn classes from such features, in minutes"),
    "evaluate": ("tsam_dali.evaluate", "score a checkpoint on a validation list"),
    "predict": ("tsam_dali.predict", "classify files, long videos, a stream or a camera"),
    "export": ("tsam_dali.export", "write a network for other programs, or a folder to share"),
    "push": ("tsam_dali.push", "upload a network with a card to the Hugging Face Hub"),
    "serve": ("tsam_dali.cli.tools.serve", "answer with the classes of videos that are sent over HTTP"),
    "model": ("tsam_dali.model", "print the stages, parameters and GFLOPs of a network"),
    "weights": ("tsam_dali.cli.tools.import_weights", "turn weights of other projects into a checkpoint"),
    "example": ("tsam_dali.cli.tools.make_example", "make a small data set to try things on"),
    "doctor": ("tsam_dali.cli.doctor", "print what this machine has and what will be used, for bug reports"),
}
"""Name of each command: the module that `python -m` runs as well, and a line for --help."""
HELP = """usage: tsam COMMAND ...

Video classification with audio, from a folder of videos to predictions.

commands:
{}

tsam COMMAND --help explains a command and its options, tsam --version prints the version. For completion with the tab
key in bash and zsh: eval "$(register-python-argcomplete tsam)"
"""


def main() -> None:
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(_help(), end="")
        sys.exit(0 if len(sys.argv) > 1 else 2)
    if name == "--version":
        print("tsam", metadata.version("tsam-dali"))
        return
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        remedy = f"did you mean {near[0]}?" if near else "see tsam --help"
        print(f"error: unknown command {name}; {remedy}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [f"tsam {name}", *rest]
    end_at_once()  # until its modules are imported
    runpy.run_module(COMMANDS[name][0], run_name="__main__")


def _help() -> str:
    lines = (f"  {name:<10}{meaning}" for name, (_, meaning) in COMMANDS.items())
    return HELP.format("\n".join(lines))


def _complete() -> None:
    """Answer argcomplete's script: the names of the commands here, the options of a command in its parser."""
    line = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    words = line.split()
    if len(words) > 1 and words[1] in COMMANDS and line[-1].isspace() + len(words) > 2:
        os.environ["_ARGCOMPLETE"] = "2"  # argcomplete leaves out the first word
        sys.argv = words
        return
    import argparse

    import argcomplete

    parser = argparse.ArgumentParser("tsam")
    parser.add_argument("command", choices=[*COMMANDS])
    argcomplete.autocomplete(parser)
