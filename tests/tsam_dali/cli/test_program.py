"""The program `tsam`: its commands are those of the modules, under its own name."""

import json
import os
import shlex
import signal
import subprocess
import sys

import pytest

from tests.helpers.processes import ROOT, called
from tsam_dali.cli.program import COMMANDS, main

ASKED = ["train", "evaluate", "predict", "export", "push", "folds", "index", "copies", "lists", "audio", "doctor"]
PROGRAM = (sys.executable, "-c", "from tsam_dali.cli.program import main; main()")

ANSWERS = """
import json
from tests.helpers.processes import called
from tsam_dali.cli.program import COMMANDS, main
each = {name: [vars(called(main, name, word)) for word in ("--help", "--nonsense")] for name in COMMANDS}
print(json.dumps({name: [tuple(answer.values()) for answer in answers] for name, answers in each.items()}))
"""


def test_help_lists_the_commands_within_a_cpu_second():
    assert set(ASKED) <= COMMANDS.keys()
    before = os.times()
    done = subprocess.run([*PROGRAM, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    after = os.times()
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")] == [*COMMANDS]
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1


@pytest.fixture(scope="module")
def answers() -> dict[str, list[tuple[int, str, str]]]:
    """What each command says to --help and to a mistake. In a process of its own: the trainer holds signals."""
    done = subprocess.run([sys.executable, "-c", ANSWERS], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_calls_itself_by_the_name_of_the_program(answers, name):
    (helped, text, _), (refused, _, error) = answers[name]
    assert helped == 0
    assert text.startswith(f"usage: tsam {name} ")
    module = COMMANDS[name][0].removeprefix("tsam_dali.cli.").replace("tools.", "tools/")
    for other in (f"python -m {COMMANDS[name][0]} ", f"python {module}.py "):
        assert other not in text
    assert refused == 2
    (line,) = error.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(f"(see tsam {name} --help)")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "usage: tsam COMMAND"),
        (("--version",), 0, "tsam "),
        (("trian",), 2, "error: unknown command trian; did you mean train?"),
        (("zzz",), 2, "error: unknown command zzz; see tsam --help"),
    ],
)
def test_words_that_are_no_command(words, code, said):
    done = called(main, *words)
    assert done.returncode == code
    assert (done.stdout + done.stderr).startswith(said)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tsam ex", {"export", "example"}),
        ("tsam train --ch", {"--check_gpu"}),
        ("tsam copies --profile e", {"every_frame"}),
        ("tsam evaluate --cl", {"--clips"}),
    ],
)
def test_the_tab_key_completes_commands_options_and_values(line, expected, tmp_path):
    answer = tmp_path / "answer"
    asked = {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE": "1", "IFS": "\v"}
    with answer.open("wb") as file:  # argcomplete answers in file descriptor 8, as its shell script asks
        command = f'exec 8>&{file.fileno()}; exec "$@"'
        words = ["bash", "-c", command, "bash", *PROGRAM]
        subprocess.run(words, cwd=ROOT, env=os.environ | asked, pass_fds=[file.fileno()], check=True)
    assert {word.strip() for word in answer.read_text().split("\v")} == expected


def test_a_reader_that_ends_early_is_no_error():
    words = f"{shlex.join(PROGRAM)} example --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", words], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode in (0, 128 + signal.SIGPIPE)
