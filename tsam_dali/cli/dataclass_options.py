"""Options that a dataclass declares, as arguments of a command: name, type, default and help are declared once."""

import argparse
import ast
import dataclasses
import inspect
import itertools
import textwrap
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

import pydantic

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")


def add_option_arguments(command: argparse.ArgumentParser, options: type[Options]) -> None:
    """An argument --FIELD for each field of the dataclass `options`, which all have defaults."""
    explained = meanings(options)
    for field in dataclasses.fields(options):
        meaning = explained[field.name].removesuffix(".")
        text = f"{meaning} (default: {field.default})".replace("%", "%%")
        if field.default is False:
            command.add_argument(f"--{field.name}", action="store_true", help=meaning)
            continue
        choices = get_args(field.type) if get_origin(field.type) is Literal else None
        command.add_argument(
            f"--{field.name}", type=type(field.default), default=field.default, choices=choices, help=text
        )


def options_of(args: argparse.Namespace, options: type[Options]) -> Options:
    """The dataclass from the arguments of `add_option_arguments`.

    Raises:
        ValueError: naming every argument that is out of range.
    """
    values = {field.name: getattr(args, field.name) for field in dataclasses.fields(options)}
    try:
        return pydantic.TypeAdapter(options).validate_python(values)
    except pydantic.ValidationError as error:
        raise ValueError("\n".join(map(_explain, error.errors()))) from None


def meanings(section: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, also of one that it extends."""
    found: dict[str, str] = {}
    for declared in filter(dataclasses.is_dataclass, section.__mro__):
        (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(declared))).body
        assert isinstance(parsed, ast.ClassDef)
        found |= {
            ast.unparse(field.target): " ".join(ast.literal_eval(text.value).split())
            for field, text in itertools.pairwise(parsed.body)
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
        }
    return found


def _explain(error: Any) -> str:
    name = "".join(f"--{part}: " for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")  # pydantic puts it before our errors
    return f"{name}{message}" + (f", got {error['input']}" if error["loc"] else "")
