"""Units of H.264 and HEVC, and reading their headers bit by bit.

Source: ITU-T H.264 7.2, 7.4.1, 9.1.
"""

from typing import Self


def unescaped(unit: bytes | memoryview) -> bytes:
    """(The beginning of) a unit without the bytes that keep it from looking like a start code."""
    data = bytes(unit)
    return data.replace(b"\0\0\3", b"\0\0") if b"\0\0\3" in data else data


def number_of(unit: bytes | memoryview) -> tuple[int, int]:
    """The bits of (the beginning of) a unit as a number, and how many they are; `unescaped`."""
    data = unescaped(unit)
    return int.from_bytes(data, "big"), 8 * len(data)


def unit_at(data: memoryview, units: list[int], number: int) -> bytes:
    """Unit `number` of a packet whose units, of two bytes or more, begin at `units`; some bytes short, if its successor
    has a small prefix."""
    begin = units[number]
    end = max(begin + 2, units[number + 1] - 4) if number + 1 < len(units) else len(data)
    return bytes(data[begin:end])


def same_unit(one: bytes, other: bytes) -> bool:
    """Whether two units of `unit_at` may be the same."""
    return one.startswith(other) or other.startswith(one)


class Bits:
    """Reads a number of so many bits, from the highest on."""

    __slots__ = ("left", "value")

    def __init__(self, value: int, left: int):
        self.value, self.left = value, left

    @classmethod
    def of(cls, unit: bytes | memoryview) -> Self:
        """Those of (the beginning of) a unit, as `number_of`."""
        return cls(*number_of(unit))

    def read(self, count: int) -> int:
        """The next so many bits; ValueError: there are no more."""
        left = self.left - count
        found = self.value >> left
        self.value ^= found << left
        self.left = left
        return found

    def golomb(self) -> int:
        """The next number, coded with as many zeros before it as it has bits less one."""
        return self.read(2 * (self.left - self.value.bit_length()) + 1) - 1
