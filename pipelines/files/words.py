"""Numbers in sentences."""


def counted(number: int, one: str, several: str = "") -> str:
    """A number and what there is of it: "1 clip", "2 clips"; `several` where it is more than `one` with an s.

    `counted(2, "clip has", "clips have")` gives "2 clips have".
    """
    return f"{number} {one if number == 1 else several or one + 's'}"
