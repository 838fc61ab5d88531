"""Numbers and long lists in messages."""

from collections.abc import Iterable


def counted(number: int, one: str, several: str = "") -> str:
    """A number and what there is of it: "1 clip", "2 clips"; `several` where it is more than `one` with an s.

    `counted(2, "clip has", "clips have")` gives "2 clips have".
    """
    return f"{number} {one if number == 1 else several or one + 's'}"


def first_of(items: Iterable[object], most: int) -> list[str]:
    """At most the first `most` items as text, and how many are not shown: ["a", "b", "... and 3 more"]."""
    texts = [str(item) for item in items]
    return [*texts[:most], f"... and {len(texts) - most} more"] if len(texts) > most else texts
