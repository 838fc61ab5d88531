"""A ViT with the shift of its tokens, written a second time and as plainly as possible.

It shares no code with the package or timm and knows only plain ViTs with a class token and perhaps register tokens.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.helpers.naive_tsam import naive_shift


def tokshift(x: Tensor, segments: int) -> Tensor:
    """TokShift of tokens (B*T, N, C): of the class token a quarter of the channels each way, zeros at the ends."""
    quarter, out = x.shape[2] // 4, x.clone()
    for i in range(len(x)):
        t = i % segments
        out[i, 0, :quarter] = x[i + 1, 0, :quarter] if t + 1 < segments else 0
        out[i, 0, quarter : 2 * quarter] = x[i - 1, 0, quarter : 2 * quarter] if t > 0 else 0
    return out


def shifted_tokens(x: Tensor, moving: list[int], *spec) -> Tensor:
    """Tokens (B*T, N, C), those in `moving` shifted; spec as for `naive_shift`."""
    out = x.clone()
    for n in moving:
        out[:, n] = naive_shift(x[:, n, :, None, None], *spec)[..., 0, 0]
    return out


class NaiveViT:
    """A ViT in evaluation, computed from the names in its state dict."""

    def __init__(self, state: dict[str, Tensor], heads: int) -> None:
        self.state, self.heads = state, heads

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def norm(self, x: Tensor, name: str) -> Tensor:
        x = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, correction=0, keepdim=True) + 1e-6)
        return x * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def attention(self, x: Tensor, name: str) -> Tensor:
        q, k, v = self.linear(x, f"{name}.qkv").chunk(3, -1)
        size = x.shape[-1] // self.heads
        heads = []
        for h in range(self.heads):
            part = slice(h * size, (h + 1) * size)
            share = (q[..., part] @ k[..., part].transpose(1, 2) / size**0.5).softmax(-1)
            heads.append(share @ v[..., part])
        return self.linear(torch.cat(heads, -1), f"{name}.proj")

    def features(self, images: Tensor, shift, n_insert: int = 1, m_insert: int = 0) -> Tensor:
        """(N, 3, H, W) -> (N, F), the class token of the last block."""
        state = self.state
        weight, bias = state["patch_embed.proj.weight"], state["patch_embed.proj.bias"]
        x = F.conv2d(images, weight, bias, stride=weight.shape[-1]).flatten(2).transpose(1, 2)
        x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x], 1) + state["pos_embed"]
        i = 0
        while f"blocks.{i}.norm1.weight" in state:
            move = shift if i % n_insert == m_insert else lambda same: same
            x = move(x)
            x = x + self.attention(self.norm(x, f"blocks.{i}.norm1"), f"blocks.{i}.attn")
            x = move(x)
            hidden = F.gelu(self.linear(self.norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.fc1"))
            x = x + self.linear(hidden, f"blocks.{i}.mlp.fc2")
            i += 1
        return self.norm(x, "norm")[:, 0]

    def logits(self, video: Tensor, audio: Tensor | None, head: dict[str, Tensor], shift, *insert: int) -> Tensor:
        images = video if audio is None else torch.cat([video, audio], 1)  # (B, T, 3, H, W)
        features = self.features(images.flatten(0, 1), shift, *insert)
        return features.unflatten(0, images.shape[:2]).mean(1) @ head["weight"].T + head["bias"]
