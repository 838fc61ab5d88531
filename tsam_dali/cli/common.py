"""Shared by all commands: their parser, the arguments of the settings, number types, readable errors."""

import argparse
import ctypes
import functools
import gc
import io
import itertools
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from pipelines.files.unicode_names import locale_hint, name_hint
from tsam_dali.cli.interrupt import EXIT_CODE, end_at_once, raise_again

EXAMPLE_DATA, EXAMPLE_CONFIG = "config/example_data.json", "config/example_config.json"


def parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """The parser of a command that is called `program` where it is run by itself."""
    return _Parser(program, description)


class _Parser(argparse.ArgumentParser):
    """--help shows a module's docstring unchanged; an error is one line.

    Where `tsam_dali.cli.program` runs the command, with `tsam NAME` as sys.argv[0], that is what it calls itself.
    """

    def __init__(self, program: str, description: str | None):
        name = sys.argv[0] if sys.argv[0].startswith("tsam ") else program
        super().__init__(prog=name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self._program = program

    def format_help(self) -> str:
        return super().format_help().replace(self._program, self.prog)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # as argparse's
        if "_ARGCOMPLETE" in os.environ and type(self) is _Parser:  # argcomplete calls it again, of a class of its own
            import argcomplete

            argcomplete.autocomplete(self)
        return super().parse_known_args(args, namespace)


def add_config_arguments(command: argparse.ArgumentParser) -> None:
    """--data, --config and --set, for `tsam_dali.config.load_config`."""
    data = "JSON file of the data set (default: %(default)s)"
    command.add_argument("--data", metavar="FILE", default=EXAMPLE_DATA, help=data)
    add_settings_arguments(command)


def add_settings_arguments(command: argparse.ArgumentParser) -> None:
    """--config and --set."""
    add = command.add_argument
    add("--config", metavar="FILE", default=EXAMPLE_CONFIG, help="JSON file of the settings (default: %(default)s)")
    change = "change a setting, e.g. model.video_segments=16; may be repeated"
    add("--set", metavar="SECTION.KEY=VALUE", action="append", default=[], help=change)


def config_arguments(args: argparse.Namespace) -> list[str]:
    """The arguments of `add_config_arguments` as they were given, to pass them to another command."""
    return ["--data", args.data, "--config", args.config, *(word for change in args.set for word in ("--set", change))]


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text}")
    return number


def positive_number(text: str) -> float:
    """A number above 0, for argparse."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return number


def duration(unit: str) -> Callable[[str], float]:
    """For argparse: a time from 0, in this unit."""

    def number(text: str) -> float:
        found = float(text)
        if not 0 <= found < float("inf"):
            raise argparse.ArgumentTypeError(f"expected {unit} from 0, got {text}")
        return found

    number.__name__ = unit  # which argparse names where the text is no number
    return number


def named(*endings: str) -> Callable[[str], Path]:
    """For argparse: a path with one of these endings, which determine the format."""

    def path(text: str) -> Path:
        if Path(text).suffix not in endings:
            raise argparse.ArgumentTypeError(f"expected a name that ends in {' or '.join(endings)}, got {text}")
        return Path(text)

    return path


def add_device_argument(command: argparse.ArgumentParser) -> None:
    """--device, for `tsam_dali.distributed.start`."""
    command.add_argument("--device", type=_device, help="cpu or cuda (default: cuda if there is one)")


def _device(text: str) -> str:
    if text not in ("cpu", "cuda"):
        raise argparse.ArgumentTypeError(
            f"expected cpu or cuda, got {text}. Several GPUs: CUDA_VISIBLE_DEVICES=0,1 torchrun --nproc_per_node 2 -m "
            "tsam_dali.train ..."
        )
    if text == "cuda":
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError:
            raise argparse.ArgumentTypeError("cuda needs a GPU, but this machine has no NVIDIA driver") from None
    return text


def check_checkpoint(path: str | Path) -> None:
    """Raise ValueError if a checkpoint or other weights do not exist, or are a file of another kind, before PyTorch is
    imported to read them. Whether a network is on the Hub, hf://OWNER/NAME, shows when it is read.
    """
    if str(path).startswith("hf://"):
        return
    if not os.path.exists(path):
        raise ValueError(f"{path}: no such checkpoint, nor a file or folder with weights{name_hint(path)}")
    if os.path.isfile(path):
        with open(path, "rb") as file:
            start = file.read(9)
        if not start.startswith((b"PK", b"\x80")) and start[8:] != b"{":  # ZIP or pickle, as torch writes; safetensors
            raise ValueError(f"{path}: damaged, or not a file with weights: it begins with {start!r}")


def printable(text: str) -> str:
    """A line that can be printed: file names may hold line feeds, or bytes that are not UTF-8."""
    return text.replace("\n", "\\n").encode(errors="backslashreplace").decode()


def sigterm_as_interrupt() -> None:
    """SIGTERM ends the command as Ctrl-C does, with its summary and without leaving processes behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def make_folder(path: Path) -> None:
    """Make a folder for results, with its parents, if it is not there.

    Raises:
        ValueError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{path}: this folder cannot be made ({error.strerror}); choose another place") from error


def new_folder(path: Path) -> Path:
    """Make a new folder: `path` or, if it exists already, `path`_2, `path`_3, ..."""
    for number in itertools.count(1):
        folder = path if number == 1 else path.with_name(f"{path.name}_{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
    raise AssertionError("not reached")


def is_main() -> bool:
    """Whether this process is rank 0 of its job."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def importing() -> Iterator[None]:
    """Import large packages. What they make stays: to look for garbage among it costs 0.7 of 5 seconds."""
    gc.disable()
    end_at_once()
    try:
        yield
    finally:
        raise_again()
        gc.enable()


def friendly_errors(main: Callable[[], None]) -> Callable[[], None]:
    """Print errors in a user's input (any ValueError) or with a file without a traceback; exit with 2.

    An error of all ranks is printed once, that of a single rank with its number. Ctrl-C, and a pipe whose reader has
    ended, such as `head`, end the command as they end others.
    """

    @functools.wraps(main)
    def command() -> None:
        raise_again()
        level = logging.INFO if is_main() else logging.WARNING  # all ranks log the same
        logging.basicConfig(format="%(levelname)s: %(message)s", level=level)
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # the Hub's client tells of each request and each new try
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        if isinstance(sys.stdout, io.TextIOWrapper):  # names may hold what this terminal cannot show
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            main()
            sys.stdout.flush()
        except KeyboardInterrupt:
            if is_main():
                print("interrupted", file=sys.stderr)
            sys.exit(EXIT_CODE)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
            sys.exit(128 + signal.SIGPIPE)
        except (ValueError, OSError) as error:
            text = str(error)
            if isinstance(error, OSError):
                if not error.filename:
                    raise
                text = f"{error.filename2 or error.filename}: {error.strerror}"
            if "PYTHONUTF8" not in text:
                text += locale_hint(error.object if isinstance(error, UnicodeEncodeError) else text)
            rank = _rank_prefix(text) if "RANK" in os.environ else ""
            if rank is not None:
                lines = "\n".join(f"{rank}error: {line}" for line in text.splitlines())
                print(lines, file=sys.stderr)
            sys.exit(2)

    return command


def _rank_prefix(text: str) -> str | None:
    """The prefix of the lines of an error of this rank; None if another rank prints it."""
    if "torch" in sys.modules:  # else this process has not joined the job, and to import it takes seconds
        from tsam_dali import distributed

        reports = distributed.should_report(text)
    else:
        reports = os.environ.get("LOCAL_RANK", "0") == "0"
    return None if not reports else "" if is_main() else f"rank {os.environ['RANK']}: "
