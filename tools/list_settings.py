"""Write docs/settings.md: every setting with its default and meaning, taken from the code that declares it.

example:
  python tools/list_settings.py > docs/settings.md
"""

import dataclasses
import json
import sys

from tsam_dali.command_line import parser
from tsam_dali.config import Config
from tsam_dali.option_arguments import meanings

INTRODUCTION = """# Settings

The settings of a run stand in two JSON files, as in TSAM: the data file holds `dataset`, the other one the rest. What a
file leaves out has the default below. `help` is ignored anywhere. On the command line `--set section.key=value` changes
one. This page is made by `tools/list_settings.py`.
"""


def main() -> None:
    parser("python tools/list_settings.py", __doc__).parse_args()
    sys.stdout.write(settings_page())


def settings_page() -> str:
    """The page as Markdown."""
    return INTRODUCTION + _section(Config, "")


def _section(section: type, name: str) -> str:
    """A table of a section's own settings, followed by its sub-sections."""
    explained, rows, rest = meanings(section), [], ""
    for field in dataclasses.fields(section):
        path = f"{name}.{field.name}".lstrip(".")
        if dataclasses.is_dataclass(field.type):
            rest += _section(field.type, path)
        else:
            rows.append(f"| `{field.name}` | {_default(field)} | {explained[field.name]} |\n")
    title = f"\n## {name or 'top level'}\n\n"
    table = "| setting | default | meaning |\n|---|---|---|\n" + "".join(rows)
    return (title + table if rows else "") + rest


def _default(field: dataclasses.Field) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"`{json.dumps(field.default_factory())}`"
    return "required" if field.default is dataclasses.MISSING else f"`{json.dumps(field.default)}`"


if __name__ == "__main__":
    main()
