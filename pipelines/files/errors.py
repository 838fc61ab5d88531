"""Errors that say what cannot be used."""

from collections.abc import Sequence


class InputError(ValueError):
    """What a user gave cannot be used. `problems` holds one line of text for each thing that is wrong."""

    def __init__(self, problems: Sequence[str]):
        super().__init__(list(problems))
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class ListError(InputError):
    """A list file, or an id in it, that cannot be used."""
