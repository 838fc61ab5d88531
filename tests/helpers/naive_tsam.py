"""TSAM written a second time, from its formulas and as plainly as possible: loops over frames, distances and layers.

It shares no code with the package and knows only plain ResNets (BasicBlock and Bottleneck).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def naive_shift(
    x: Tensor, segments: int, video_segments: int, f_div: int, depth: int, edge: str, causal: bool = False
) -> Tensor:
    """x (B*T, C, H, W), shifted frame by frame; differentiable."""
    channels = x.shape[1]
    g = channels // f_div // depth
    pictures = []
    for i in range(len(x)):
        clip, t = divmod(i, segments)
        picture = list(x[i])  # C maps (H, W)
        if t < video_segments:
            for d in range(1, depth + 1):
                for first, source in ((2 * (d - 1) * g, t + d), ((2 * d - 1) * g, t - d)):
                    if causal and source > t:
                        continue
                    for channel in range(first, first + g):
                        if 0 <= source < video_segments:
                            picture[channel] = x[clip * segments + source, channel]
                        elif edge == "zero":
                            picture[channel] = 0 * x[i, channel]  # stays differentiable
        pictures.append(torch.stack(picture))
    return torch.stack(pictures)


def tsm_shift(x: Tensor, segments: int) -> Tensor:
    """TSM's shift of x (B*T, C, H, W): an eighth of the channels each way, zeros at the ends."""
    eighth = x.shape[1] // 8
    pictures = []
    for i in range(len(x)):
        t = i % segments
        nothing = torch.zeros_like(x[i, :eighth])
        from_next = x[i + 1, :eighth] if t + 1 < segments else nothing
        from_last = x[i - 1, eighth : 2 * eighth] if t > 0 else nothing
        pictures.append(torch.cat([from_next, from_last, x[i, 2 * eighth :]]))
    return torch.stack(pictures)


class NaiveResNet:
    """A ResNet in evaluation, computed from the names in its state dict."""

    def __init__(self, state: dict[str, Tensor]):
        self.state = state

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def norm(self, x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            self.state[f"{name}.{part}"].view(-1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias

    def block(self, x: Tensor, name: str, stride: int, shift) -> Tensor:
        shortcut = x
        if f"{name}.downsample.0.weight" in self.state:
            shortcut = self.norm(self.conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        bottleneck = f"{name}.conv3.weight" in self.state
        x = F.relu(self.norm(self.conv(shift(x), f"{name}.conv1", 1 if bottleneck else stride), f"{name}.bn1"))
        x = self.norm(self.conv(x, f"{name}.conv2", stride if bottleneck else 1), f"{name}.bn2")
        if bottleneck:
            x = self.norm(self.conv(F.relu(x), f"{name}.conv3"), f"{name}.bn3")
        return F.relu(x + shortcut)

    def features(self, x: Tensor, shift, n_insert: int, m_insert: int) -> Tensor:
        """Pictures (N, 3, H, W) -> (N, F)."""
        x = F.relu(self.norm(self.conv(x, "conv1", 2), "bn1"))
        x = F.max_pool2d(x, 3, 2, 1)
        for stage in (1, 2, 3, 4):
            i = 0
            while f"layer{stage}.{i}.conv1.weight" in self.state:
                chosen = shift if i % n_insert == m_insert else lambda same: same
                x = self.block(x, f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1, chosen)
                i += 1
        return x.mean((2, 3))


def naive_logits(
    state: dict[str, Tensor], video: Tensor, audio: Tensor | None, shift, n_insert: int, m_insert: int
) -> Tensor:
    """Logits (B, classes); state: of a `tsam_dali` network; shift: a function of the pictures' features."""
    resnet = NaiveResNet({name.removeprefix("backbone."): value for name, value in state.items()})
    clips = []
    for b in range(len(video)):
        pictures = torch.stack([*video[b], *(audio[b] if audio is not None else [])])  # (T, 3, H, W)
        features = resnet.features(pictures, shift, n_insert, m_insert)
        clips.append(sum(features) / len(features))
    return torch.stack(clips) @ state["head.weight"].T + state["head.bias"]
