"""What to type to run one of the tools, for messages: `tools/` lies in a checkout, a wheel has `tsam` alone."""

from pathlib import Path

_TOOLS = Path(__file__).resolve().parents[2] / "tools"
_OF_TSAM = {"precompute_audio": "audio", "index_videos": "index", "make_lists": "lists"}


def tool_command(tool: str, folder: Path = _TOOLS) -> str:
    """`python tools/precompute_audio.py` where that is a file, else `tsam audio`."""
    if (folder / f"{tool}.py").is_file():
        return f"python tools/{tool}.py"
    return f"tsam {_OF_TSAM[tool]}" if tool in _OF_TSAM else f"python -m tsam_dali.cli.tools.{tool}"
