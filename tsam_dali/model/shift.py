"""The temporal shift of TSAM and TSM: channels of a frame's features come from earlier and later frames.

B clips, T segments of a clip (S of video, then those of audio), C channels, H x W pixels; D is the shift's depth and
g = C // f_div // D the number of channels that move from one frame to another at one distance.

The first 2 * D * g channels form D pairs of groups of g. In pair d = 1 .. D the first group of frame t comes from frame
t + d, a later one, and the second from frame t - d. With S = 4 and D = 1, the frames that the groups come from are:

    frame           0  1  2  3
    first group     1  2  3  -        no frame comes after 3: "keep" leaves frame 3's own values, "zero" writes zeros
    second group    -  0  1  2
    other channels  0  1  2  3

A causal shift takes from the past alone: the first group of every pair stays as it is, like the other channels.

Sources: TSM, https://arxiv.org/abs/1811.08383 (D = 1, f_div = 8, edge "zero"); TSAM for distances above one.
"""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, bfloat16, cat, compiler, float16, library, nn, zeros_like

from tsam_dali.model import shift_cpu
from tsam_dali.model.shift_spec import ShiftSpec


class TemporalShift(nn.Module):
    """The shift before one layer of a residual branch.

    Args:
        channels: C of the layer's input.
        spec: which of them move.

    The module is a child of the block, but acts as a forward pre-hook of the layer (`attach`). So the layer keeps its
    place and its name, weights load from and save to plain timm state dicts, the block's own code stays as it is, and
    `print(model)` still shows where the shifts are. A wrapper around the layer would rename its weights.
    """

    def __init__(self, channels: int, spec: ShiftSpec) -> None:
        super().__init__()
        if spec.f_div < 2:
            raise ValueError(f"f_div {spec.f_div}: two times C // f_div channels cannot move, use 2 or more")
        self.channels, self.spec = channels, spec
        self.override: Callable[[Tensor], Tensor] | None = None  # what `Stream` does in place of the shift

    @property
    def channels_per_distance(self) -> int:
        """Channels that a frame takes over from its neighbours at one distance: 2 * g, or g if causal."""
        return (1 if self.spec.causal else 2) * self.spec.group(self.channels)

    def attach(self, block: nn.Module, layer: nn.Module) -> None:
        """Shift the input of `layer`, a part of `block`, from now on."""
        block.add_module("shift", self)
        layer.register_forward_pre_hook(self._before)

    def _before(self, _layer: nn.Module, inputs: tuple) -> tuple:
        return (self(inputs[0]), *inputs[1:])

    def forward(self, x: Tensor) -> Tensor:
        """x (B*T, C, H, W) -> the same shape, dtype and memory format."""
        return self.override(x) if self.override else temporal_shift(x, self.spec)

    def extra_repr(self) -> str:
        return (
            f"channels={self.channels}, {', '.join(f'{name}={value!r}' for name, value in self.spec._asdict().items())}"
        )


def temporal_shift(x: Tensor, spec: ShiftSpec) -> Tensor:
    """Shift x (B*T, C, H, W). The result never shares memory with x.

    One operator for autograd and the compiler: autograd's own derivative of slice assignments fills a tensor of x's
    size with zeros for every slice, and a compiler that sees the slices makes them slower than the plain copies.
    An exported graph must run without this package, so there the shift is made of slices and concatenations.
    """
    if compiler.is_exporting():
        return _shift_by_cat(x, spec)
    return _shift(x, *spec)


def shift_by_slices(x: Tensor, spec: ShiftSpec) -> Tensor:
    """The shift on any device, in any layout."""
    out = x.clone()
    for n, source, target in _pairs(x, out, spec):
        rest = spec.video_segments - n
        if not spec.causal:
            target[:, :rest, 0] = source[:, n:, 0]
        target[:, n:, 1] = source[:, :rest, 1]
        if spec.edge == "zero":
            target[:, :n, 1] = 0
            if not spec.causal:
                target[:, rest:, 0] = 0
    return out


def transposed_by_slices(grad: Tensor, spec: ShiftSpec) -> Tensor:
    """The transposed shift: each gradient goes back to the frame whose value was used."""
    out = grad.clone()
    if spec.edge == "keep":
        add_second_use(grad, out, spec)
    for n, source, target in _pairs(grad, out, spec):
        rest = spec.video_segments - n
        if spec.edge == "zero":
            if not spec.causal:
                target[:, n:, 0] = source[:, :rest, 0]
                target[:, :n, 0] = 0
            target[:, :rest, 1] = source[:, n:, 1]
            target[:, rest:, 1] = 0
            continue
        few, many = min(n, rest), max(n, rest)
        if not spec.causal:
            target[:, n:rest, 0] = source[:, : many - n, 0]
            target[:, :few, 0] = 0
        target[:, n:rest, 1] = source[:, spec.video_segments - (many - n) :, 1]
        target[:, many:, 1] = 0
    return out


def add_second_use(grad: Tensor, out: Tensor, spec: ShiftSpec) -> None:
    """Where edges are kept, a frame's value was used by its partner (frames n.. for the first group) and, if the frame
    had no partner itself, by the frame too (frames rest.. for the first group): both, one or neither of them. Where it
    was both, add the partner's gradient to `out`, which holds the frame's own.
    """
    for n, source, target in _pairs(grad, out, spec):
        few, S = min(n, spec.video_segments - n), spec.video_segments
        if not spec.causal:
            _add(target[:, S - few :, 0], source[:, S - n - few : S - n, 0])
        _add(target[:, :few, 1], source[:, n : n + few, 1])


def _pairs(x: Tensor, out: Tensor, spec: ShiftSpec) -> Iterator[tuple[int, Tensor, Tensor]]:
    """For each distance: the distance (at most S) and the views (B, S, 2, g, H, W) of its two groups in x and out."""
    depth, video_segments, g = spec.depth, spec.video_segments, spec.group(x.shape[1])

    def groups(tensor: Tensor) -> Tensor:
        clips = tensor.unflatten(0, (-1, spec.segments))  # (B*T, C, H, W) -> (B, T, C, H, W)
        return clips[:, :video_segments, : 2 * depth * g].unflatten(2, (depth, 2, g))  # (B, S, D, 2, g, H, W)

    source, target = groups(x), groups(out)
    for d in range(1, depth + 1):
        yield min(d, video_segments), source[:, :, d - 1], target[:, :, d - 1]


def _add(target: Tensor, other: Tensor) -> None:
    if target.dtype in (bfloat16, float16):
        # Dense copies first: over slices of a few channels the addition of bf16 and fp16 is not vectorised.
        target.copy_(target.clone().add_(other.clone()))
    else:
        target.add_(other)


Slices = Callable[[Tensor, ShiftSpec], Tensor]


def _on_cpu(by_slices: Slices, transposed: bool) -> Callable[..., Tensor]:
    def shift(x: Tensor, *options: Any) -> Tensor:
        spec = ShiftSpec(*options)
        if shift_cpu.takes(x, spec):
            return shift_cpu.shift_by_blocks(x, spec, transposed)
        return by_slices(x, spec)

    return shift


def _on_cuda(by_slices: Slices, transposed: bool) -> Callable[..., Tensor]:
    def shift(x: Tensor, *options: Any) -> Tensor:
        from tsam_dali.model import shift_triton  # Triton comes with PyTorch's builds for GPUs, not with the others

        spec = ShiftSpec(*options)
        if shift_triton.takes(x):
            return shift_triton.shift_channels_last(x, spec, transposed)
        return by_slices(x, spec)

    return shift


def _operator(name: str, by_slices: Slices, transposed: bool) -> library.CustomOpDef:
    """An operator of PyTorch, which knows no tuples: it takes the fields of the spec one by one."""
    operator = library.custom_op(
        name, lambda x, *options: by_slices(x, ShiftSpec(*options)), mutates_args=(), schema=SCHEMA
    )
    operator.register_kernel("cpu")(_on_cpu(by_slices, transposed))
    operator.register_kernel("cuda")(_on_cuda(by_slices, transposed))
    return operator


SCHEMA = (
    "(Tensor x, SymInt segments, SymInt video_segments, SymInt f_div, SymInt depth, str edge, bool causal) -> Tensor"
)
_shift = _operator("tsam_dali::temporal_shift", shift_by_slices, transposed=False)
_shift_backward = _operator("tsam_dali::temporal_shift_backward", transposed_by_slices, transposed=True)


def _set_up_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.options = inputs[1:]


for _forward, _transposed in ((_shift, _shift_backward), (_shift_backward, _shift)):
    _forward.register_fake(lambda x, *options: x.clone())
    _forward.register_autograd(
        lambda ctx, grad, transposed=_transposed: (transposed(grad, *ctx.options), *(None for _ in ctx.options)),
        setup_context=_set_up_context,
    )


def _shift_by_cat(x: Tensor, spec: ShiftSpec) -> Tensor:
    clips = x.unflatten(0, (-1, spec.segments))  # (B*T, C, H, W) -> (B, T, C, H, W)
    video, audio = clips[:, : spec.video_segments], clips[:, spec.video_segments :]
    channels = []
    for n, source, _ in _pairs(x, x, spec):
        rest = spec.video_segments - n
        no_later, no_earlier = source[:, rest:, 0], source[:, :n, 1]  # frames without a partner
        if spec.edge == "zero":
            no_later, no_earlier = zeros_like(no_later), zeros_like(no_earlier)
        first = source[:, :, 0] if spec.causal else cat([source[:, n:, 0], no_later], 1)
        channels += [first, cat([no_earlier, source[:, :rest, 1]], 1)]
    moved = sum(group.shape[2] for group in channels)
    return cat([cat([*channels, video[:, :, moved:]], 2), audio], 1).flatten(0, 1)  # -> (B*T, C, H, W)
