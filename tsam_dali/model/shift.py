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

from collections.abc import Callable

from torch import Tensor, bfloat16, cat, compiler, float16, library, nn, zeros_like

from tsam_dali.model import shift_cpu


class TemporalShift(nn.Module):
    """The shift before one layer of a residual branch.

    Args:
        channels: C of the layer's input.
        segments: T, all segments of a clip.
        video_segments: S, the first segments of a clip, which exchange channels; the others (audio) stay as they are.
        f_div: C // f_div channels come from earlier frames and as many from later ones; at least 2.
        depth: D, the longest distance. A distance of S or more has no partner frame: its groups follow the edge rule.
        edge: "keep" or "zero", for frames without a partner.
        causal: nothing comes from later frames.

    The module is a child of the block, but acts as a forward pre-hook of the layer (`attach`). So the layer keeps its
    place and its name, weights load from and save to plain timm state dicts, the block's own code stays as it is, and
    `print(model)` still shows where the shifts are. A wrapper around the layer would rename its weights.
    """

    def __init__(
        self,
        channels: int,
        segments: int,
        video_segments: int,
        f_div: int,
        depth: int,
        edge: str,
        causal: bool = False,
    ) -> None:
        super().__init__()
        if f_div < 2:
            raise ValueError(f"f_div {f_div}: two times C // f_div channels cannot move, use 2 or more")
        self.channels, self.segments, self.video_segments = channels, segments, video_segments
        self.f_div, self.depth, self.edge, self.causal = f_div, depth, edge, causal

    @property
    def channels_per_distance(self) -> int:
        """Channels that a frame takes over from its neighbours at one distance: 2 * g, or g if causal."""
        return (1 if self.causal else 2) * (self.channels // self.f_div // self.depth)

    def attach(self, block: nn.Module, layer: nn.Module) -> None:
        """Shift the input of `layer`, a part of `block`, from now on."""
        block.add_module("shift", self)
        layer.register_forward_pre_hook(self._before)

    def _before(self, _layer: nn.Module, inputs: tuple) -> tuple:
        return (self(inputs[0]), *inputs[1:])

    def forward(self, x: Tensor) -> Tensor:
        """x (B*T, C, H, W) -> the same shape, dtype and memory format."""
        return temporal_shift(x, self.segments, self.video_segments, self.f_div, self.depth, self.edge, self.causal)

    def extra_repr(self) -> str:
        return (
            f"channels={self.channels}, segments={self.segments}, video_segments={self.video_segments}, "
            f"f_div={self.f_div}, depth={self.depth}, edge={self.edge!r}, causal={self.causal}"
        )


def temporal_shift(
    x: Tensor, segments: int, video_segments: int, f_div: int, depth: int, edge: str, causal: bool = False
) -> Tensor:
    """Shift x (B*T, C, H, W); arguments as for `TemporalShift`. The result never shares memory with x.

    One operator for autograd and the compiler: autograd's own derivative of slice assignments fills a tensor of x's
    size with zeros for every slice, and a compiler that sees the slices makes them slower than the plain copies.
    An exported graph must run without this package, so there the shift is made of slices and concatenations.
    """
    if compiler.is_exporting():
        return _shift_by_cat(x, segments, video_segments, f_div, depth, edge, causal)
    return _shift(x, segments, video_segments, f_div, depth, edge, causal)


def shift_by_slices(
    x: Tensor, segments: int, video_segments: int, f_div: int, depth: int, edge: str, causal: bool
) -> Tensor:
    """The shift on any device, in any layout."""
    out = x.clone()
    for n, source, target in _pairs(x, out, segments, video_segments, f_div, depth):
        rest = video_segments - n
        if not causal:
            target[:, :rest, 0] = source[:, n:, 0]
        target[:, n:, 1] = source[:, :rest, 1]
        if edge == "zero":
            target[:, :n, 1] = 0
            if not causal:
                target[:, rest:, 0] = 0
    return out


def transposed_by_slices(
    grad: Tensor, segments: int, video_segments: int, f_div: int, depth: int, edge: str, causal: bool
) -> Tensor:
    """The transposed shift: each gradient goes back to the frame whose value was used."""
    out = grad.clone()
    if edge == "keep":
        add_second_use(grad, out, segments, video_segments, f_div, depth, causal)
    for n, source, target in _pairs(grad, out, segments, video_segments, f_div, depth):
        rest = video_segments - n
        if edge == "zero":
            if not causal:
                target[:, n:, 0] = source[:, :rest, 0]
                target[:, :n, 0] = 0
            target[:, :rest, 1] = source[:, n:, 1]
            target[:, rest:, 1] = 0
            continue
        few, many = min(n, rest), max(n, rest)
        if not causal:
            target[:, n:rest, 0] = source[:, : many - n, 0]
            target[:, :few, 0] = 0
        target[:, n:rest, 1] = source[:, video_segments - (many - n) :, 1]
        target[:, many:, 1] = 0
    return out


def add_second_use(
    grad: Tensor, out: Tensor, segments: int, video_segments: int, f_div: int, depth: int, causal: bool
) -> None:
    """Where edges are kept, a frame's value was used by its partner (frames n.. for the first group) and, if the frame
    had no partner itself, by the frame too (frames rest.. for the first group): both, one or neither of them. Where it
    was both, add the partner's gradient to `out`, which holds the frame's own.
    """
    for n, source, target in _pairs(grad, out, segments, video_segments, f_div, depth):
        few = min(n, video_segments - n)
        if not causal:
            _add(target[:, video_segments - few :, 0], source[:, video_segments - n - few : video_segments - n, 0])
        _add(target[:, :few, 1], source[:, n : n + few, 1])


def _pairs(x: Tensor, out: Tensor, segments: int, video_segments: int, f_div: int, depth: int):
    """For each distance: the distance (at most S) and the views (B, S, 2, g, H, W) of its two groups in x and out."""
    g = x.shape[1] // f_div // depth

    def groups(tensor: Tensor) -> Tensor:
        clips = tensor.unflatten(0, (-1, segments))  # (B*T, C, H, W) -> (B, T, C, H, W)
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


def _on_cpu(by_slices: Callable[..., Tensor], transposed: bool) -> Callable[..., Tensor]:
    def shift(x: Tensor, *options) -> Tensor:
        if shift_cpu.takes(x, *options):
            return shift_cpu.shift_by_blocks(x, *options, transposed=transposed)
        return by_slices(x, *options)

    return shift


def _on_cuda(by_slices: Callable[..., Tensor], transposed: bool) -> Callable[..., Tensor]:
    def shift(x: Tensor, *options) -> Tensor:
        from tsam_dali.model import shift_triton  # Triton comes with PyTorch's builds for GPUs, not with the others

        if shift_triton.takes(x):
            return shift_triton.shift_channels_last(x, *options, transposed=transposed)
        return by_slices(x, *options)

    return shift


_shift = library.custom_op("tsam_dali::temporal_shift", shift_by_slices, mutates_args=())
_shift_backward = library.custom_op("tsam_dali::temporal_shift_backward", transposed_by_slices, mutates_args=())
for _kernel, _by_slices, _back in ((_shift, shift_by_slices, False), (_shift_backward, transposed_by_slices, True)):
    _kernel.register_kernel("cpu")(_on_cpu(_by_slices, _back))
    _kernel.register_kernel("cuda")(_on_cuda(_by_slices, _back))


def _set_up_context(ctx, inputs: tuple, output: Tensor) -> None:
    ctx.options = inputs[1:]


for _forward, _transposed in ((_shift, _shift_backward), (_shift_backward, _shift)):
    _forward.register_fake(lambda x, *options: x.clone())
    _forward.register_autograd(
        lambda ctx, grad, transposed=_transposed: (transposed(grad, *ctx.options), *(None for _ in ctx.options)),
        setup_context=_set_up_context,
    )


def _shift_by_cat(
    x: Tensor, segments: int, video_segments: int, f_div: int, depth: int, edge: str, causal: bool
) -> Tensor:
    clips = x.unflatten(0, (-1, segments))  # (B*T, C, H, W) -> (B, T, C, H, W)
    video, audio = clips[:, :video_segments], clips[:, video_segments:]
    channels = []
    for n, source, _ in _pairs(x, x, segments, video_segments, f_div, depth):
        rest = video_segments - n
        no_later, no_earlier = source[:, rest:, 0], source[:, :n, 1]  # frames without a partner
        if edge == "zero":
            no_later, no_earlier = zeros_like(no_later), zeros_like(no_earlier)
        first = source[:, :, 0] if causal else cat([source[:, n:, 0], no_later], 1)
        channels += [first, cat([no_earlier, source[:, :rest, 1]], 1)]
    moved = sum(group.shape[2] for group in channels)
    return cat([cat([*channels, video[:, :, moved:]], 2), audio], 1).flatten(0, 1)  # -> (B*T, C, H, W)
