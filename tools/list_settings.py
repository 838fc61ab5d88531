"""Write docs/settings.md: every setting with its default and meaning, taken from the code that declares it.

example:
  python tools/list_settings.py > docs/settings.md
"""

import builtins
import dataclasses
import json
import sys
import types
import typing
from typing import Any, get_args, get_origin, get_type_hints

from annotated_types import MinLen

from tsam_dali.cli.common import parser
from tsam_dali.cli.dataclass_options import meanings
from tsam_dali.config.load import Config

INTRODUCTION = """# Settings

The settings of a run stand in two JSON files, as in TSAM: the data file holds `dataset`, the other one the rest. What a
file leaves out has the default below; a section stands in one of the two. `help` is ignored anywhere. On the command
line `--set section.key=value` changes one. This page is made by `tools/list_settings.py`.
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
    kinds = get_type_hints(section, include_extras=True)
    for field in dataclasses.fields(section):
        path = f"{name}.{field.name}".lstrip(".")
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            rest += _section(field.type, path)
        else:
            values = _values(kinds[field.name]).replace("|", "or")
            rows.append(f"| `{field.name}` | {values} | {_default(field)} | {explained[field.name]} |\n")
    title = f"\n## {name or 'top level'}\n\n"
    table = "| setting | values | default | meaning |\n|---|---|---|---|\n" + "".join(rows)
    return (title + table if rows else "") + rest


def _values(kind: Any, many: bool = False) -> str:
    """What a setting may be; `many`: of the members of a list."""
    parts = get_args(kind)
    match get_origin(kind):
        case typing.Annotated:
            limits = [limit for metadata in parts[1:] for limit in _limits(metadata)]
            return f"{_values(parts[0], many)} {' and '.join(limits)}".strip()
        case typing.Literal:
            return ", ".join(f"`{json.dumps(value)}`" for value in parts)
        case types.UnionType | typing.Union:
            return " or ".join(_values(part, many) for part in parts)
        case builtins.tuple:
            count = "list" if parts[-1] is ... else f"list of {len(parts)}"
            return f"{count}: {_values(parts[0], many=True)}"
        case builtins.dict:
            return f"object of {_values(parts[1], many=True)}"
    if dataclasses.is_dataclass(kind):
        return "objects"
    name = {bool: "`true`, `false`", int: "whole number", float: "number", str: "text", type(None): "`null`"}[kind]
    return f"{name}s" if many else name


def _limits(limit: Any) -> list[str]:
    """A limit of `annotated_types` in words."""
    if isinstance(limit, MinLen):
        return [f"(at least {limit.min_length})"]
    signs = {"gt": "above", "ge": "from", "lt": "below", "le": "up to"}
    return [f"{word} {value:g}" for sign, word in signs.items() if (value := getattr(limit, sign, None)) is not None]


def _default(field: dataclasses.Field) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"`{json.dumps(field.default_factory())}`"
    return "required" if field.default is dataclasses.MISSING else f"`{json.dumps(field.default)}`"


if __name__ == "__main__":
    main()
