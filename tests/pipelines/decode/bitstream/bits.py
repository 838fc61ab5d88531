"""Headers of H.264 and HEVC, bit by bit."""


class Bits:
    """Written one after another: fixed lengths and exponential Golomb codes."""

    def __init__(self):
        self.bits = ""

    def u(self, count, value):
        self.bits += f"{value:0{count}b}"
        return self

    def ue(self, *values):
        for value in values:
            self.bits += "0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}"
        return self

    def unit(self, head):
        """The unit with these bytes before the bits, and a start code."""
        bits = self.bits + "1"
        bits += "0" * (-len(bits) % 8)
        return b"\0\0\0\1" + bytes(head) + int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\0\0", b"\0\0\3")
