"""The temporal shift of a transformer: channels of its tokens come from those of earlier and later frames.

In a convolutional network the shift precedes a layer of the residual branch, and the shortcut keeps the frame's own
values. Here the tokens themselves are shifted before each residual branch, attention and MLP: the shortcut carries the
shifted tokens, too. Register tokens stay as they are.

Source: TokShift, https://arxiv.org/abs/2108.02432 (the class token, every block, D = 1, f_div = 4, edge "zero").
Letters as in `tsam_dali.model.shift`; N tokens of an image.
"""

import sys

from timm.models.eva import EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import (
    Block,
    DiffParallelScalingBlock,
    ParallelScalingBlock,
    ParallelThingsBlock,
    ResPostBlock,
)
from torch import Tensor, cat, nn

from tsam_dali.model.shift import TemporalShift
from tsam_dali.model.shift_spec import ShiftSpec


class TokenShift(TemporalShift):
    """The shift before one residual branch of a transformer's block.

    Args:
        channels: C of a token.
        spec: which of them move.
        resting: numbers of the tokens that stay as they are, one stretch.
    """

    def __init__(self, channels: int, spec: ShiftSpec, resting: range) -> None:
        super().__init__(channels, spec)
        self.resting = resting

    def attach(self, block: nn.Module, layer: nn.Module) -> None:
        """Shift the tokens before the branch of `block` that begins with `layer`, or before its first, from now on.

        Before any but the first branch the tokens are a sum that the block has just made; the layer and the shortcut
        get the same tensor. So it is changed in place, and the block's own code stays as it is.
        """
        first = layer is block
        block.add_module("shift" if first else "second_shift", self)
        layer.register_forward_pre_hook(self._before if first else self._before_second)

    def _before(self, _layer: nn.Module, inputs: tuple) -> tuple:
        return (self._shifted(inputs[0]), *inputs[1:])

    def _before_second(self, _layer: nn.Module, inputs: tuple) -> None:
        inputs[0].copy_(self._shifted(inputs[0]))

    def _shifted(self, tokens: Tensor) -> Tensor:
        """(B*T, N, C) -> the same shape."""
        if not self.resting:
            return self._moved(tokens)
        first, end = self.resting.start, self.resting.stop
        moved = self._moved(cat([tokens[:, :first], tokens[:, end:]], 1))
        return cat([moved[:, :first], tokens[:, first:end], moved[:, first:]], 1)

    def _moved(self, tokens: Tensor) -> Tensor:
        """Some tokens (B*T, n, C), as an image of n x 1 pixels, whose memory is channels-last already."""
        images = tokens.transpose(1, 2).unsqueeze(3)  # -> (B*T, C, n, 1)
        return self(images).squeeze(3).transpose(1, 2)


def branches(block: nn.Module) -> tuple[str, ...]:
    """Where the residual branches of a transformer's block begin: "" for the block itself, and the name of a layer.

    Empty for anything else.
    """
    match block:
        case Block() | EvaBlock():
            return "", "norm2"
        case ResPostBlock() | EvaBlockPostNorm():
            return "", "mlp"
        case ParallelThingsBlock():
            return "", "ffns.0"
        case ParallelScalingBlock() | DiffParallelScalingBlock():
            return ("",)  # attention and MLP side by side
    return ()


def resting_tokens(backbone: nn.Module, tokens: str) -> range | None:
    """Numbers of the tokens that stay for `shift_temporal.tokens`; None: there is no class token that could be shifted.

    timm's order is the class token, if there is one, register tokens, patches.
    """
    class_token, registers = getattr(backbone, "cls_token", None), getattr(backbone, "reg_token", None)
    if tokens == "class":
        return None if class_token is None else range(1, sys.maxsize)
    first = 0 if class_token is None else 1
    return range(first, first + (0 if registers is None else registers.shape[1]))
