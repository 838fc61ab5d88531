"""The network as text: stages, shapes, shifts and what a clip costs."""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

from pipelines.files.words import counted
from tsam_dali.model.backbone import shift_places, shifts
from tsam_dali.model.token_shift import TokenShift
from tsam_dali.model.tsam import TSAM


def describe(network: TSAM, size: int) -> str:
    """One line for each part of the backbone and three for the whole.

    Args:
        network: from `build_model`, on the device "meta": nothing is computed.
        size: height and width of the images, in pixels.
    """
    names = _parts(network.backbone)
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = [_note_shape(_last(network.backbone.get_submodule(name)), name, shapes) for name in names]
    parameters, multiply_adds = cost(network, size)
    for hook in hooks:
        hook.remove()

    width = max(map(len, names))
    lines = [
        f"{'part':{width}}  {'output for a clip':20}  blocks with shift: channels moved at each distance / channels"
    ]
    lines += [f"{name:{width}}  {shapes[name]!s:20}  {_shifted(network.backbone, name)}".rstrip() for name in shapes]
    lines += [
        _shift(network),
        f"{parameters / 1e6:.1f} million parameters, {counted(network.head.out_features, 'class', 'classes')}",
        f"a clip: {counted(network.video_segments, 'frame')} + {counted(network.audio_segments, 'spectrogram')}, "
        f"{size} x {size}, {multiply_adds / 1e9:.1f} GFLOPs (a multiply-add counts as one)",
    ]
    return "\n".join(lines)


def cost(network: TSAM, size: int) -> tuple[int, float]:
    """Parameters, and multiply-adds of one clip; arguments as for `describe`."""
    video = torch.empty(1, network.video_segments, 3, size, size, device="meta")
    audio = torch.empty(1, network.audio_segments, 3, size, size, device="meta") if network.audio_segments else None
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:  # its hooks look for gradients
        network.eval()(video, audio)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return parameters, counter.get_total_flops() / 2  # the counter takes a multiplication and an addition as two


def _parts(backbone: nn.Module) -> list[str]:
    """Names of the parts of a backbone: its stages whole, and the parts outside of stages."""
    blocks = {block for block, _ in shift_places(backbone)}
    stages = {name for name, module in backbone.named_modules() if not blocks.isdisjoint(module.children())}
    names: list[str] = []

    def visit(name: str, module: nn.Module) -> None:
        if name not in stages and any(stage.startswith(f"{name}." if name else "") for stage in stages):
            for child_name, child in module.named_children():
                visit(f"{name}.{child_name}".lstrip("."), child)
        elif not isinstance(module, nn.Identity):
            names.append(name)

    visit("", backbone)
    return names


def _note_shape(module: nn.Module, name: str, shapes: dict[str, tuple[int, ...]]) -> RemovableHandle:
    def note(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
        shapes[name] = tuple(output.shape)

    return module.register_forward_hook(note)


def _last(stage: nn.Module) -> nn.Module:
    """The module whose output is that of a stage; a list of blocks is not called itself."""
    return stage[-1] if isinstance(stage, nn.ModuleList) else stage


def _shift(network: TSAM) -> str:
    """The settings of the shift."""
    shift = network.shift_temporal
    if not shift.status:
        return "shift: none"
    parts = [f"distances 1 to {shift.shift_depth}", f"edge {shift.edge}", *(["causal"] if shift.causal else [])]
    if any(isinstance(module, TokenShift) for _, module in shifts(network.backbone)):
        parts.append(f"tokens {shift.tokens}")
    return f"shift: {', '.join(parts)}"


def _shifted(backbone: nn.Module, stage: str) -> str:
    """Which blocks of a stage are shifted, and how many channels move."""
    moved = {  # a transformer's block is shifted twice
        name.removeprefix(f"{stage}."): f"{shift.channels_per_distance}/{shift.channels}"
        for name, shift in shifts(backbone)
        if name.startswith(f"{stage}.")
    }
    return ", ".join(f"{name}: {channels}" for name, channels in moved.items())
