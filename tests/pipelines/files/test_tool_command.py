from pathlib import Path

import pytest

from pipelines.files.tool_command import tool_command
from tests.helpers.processes import ROOT
from tsam_dali.cli.program import COMMANDS

TOOLS = sorted(path.stem for path in Path(ROOT, "tools").glob("[a-z]*.py"))


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_named_is_there(tool, tmp_path):
    assert tool_command(tool) == f"python tools/{tool}.py"
    words = tool_command(tool, tmp_path).split()
    modules = {("tsam", name): module for name, (module, _) in COMMANDS.items()}
    module = modules.get(tuple(words), words[-1])
    assert module == f"tsam_dali.cli.tools.{tool}"
