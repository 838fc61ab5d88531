"""The network's modules and their arithmetic; see `tsam_dali.model`.

B clips, S video segments, A audio segments, T = S + A; images of 3 channels and H x W pixels; F features.
"""

import torch
from torch import Tensor, nn

from pipelines.files.words import counted
from tsam_dali.config.load import Config
from tsam_dali.model.backbone import ModelError, check_patches, create_backbone, insert_shift


class TSAM(nn.Module):
    """See `tsam_dali.model.build_model`. Weights: `backbone.` and timm's own names, `head.weight`, `head.bias`."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: Config, num_class: int) -> None:
        super().__init__()
        self.video_segments = config.model.video_segments
        self.audio_segments = config.num_spectrograms
        self.normalize = config.model.normalize
        self.shift_temporal = config.shift_temporal
        self.backbone = create_backbone(config.model, config.data_augmentation.video_image_param.output_size)
        if self.shift_temporal.status:
            segments = self.video_segments + self.audio_segments
            insert_shift(self.backbone, self.shift_temporal, segments, self.video_segments)
        self.dropout = nn.Dropout(config.model.dropout)
        self.head = nn.Linear(self.backbone.head_hidden_size, num_class)
        pixels = self.backbone.pretrained_cfg
        self.register_buffer("mean", torch.tensor(pixels["mean"]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(pixels["std"]).view(3, 1, 1), persistent=False)

    def forward(self, video: Tensor, audio: Tensor | None = None) -> Tensor:
        """Logits (B, num_class). Raises ModelError for input of another shape."""
        return self.head(self.dropout(self.features(video, audio)).mean(1))  # (B, T, F) -> (B, F) -> logits

    def features(self, video: Tensor, audio: Tensor | None = None) -> Tensor:
        """Those of each segment, (B, T, F), of the frames first. Raises ModelError as `forward`."""
        self._check(video, audio)
        if self.normalize == "backbone":
            video = (video - self.mean) / self.std
        segments = video if audio is None else torch.cat([video, audio], 1)  # (B, T, 3, H, W)
        features = self.backbone(segments.flatten(0, 1))  # (B*T, 3, H, W) -> (B*T, F)
        return features.unflatten(0, segments.shape[:2])

    def _check(self, video: Tensor, audio: Tensor | None) -> None:
        expected = f"(B, {self.video_segments}, 3, H, W)"
        if video.ndim != 5 or video.shape[1:3] != (self.video_segments, 3):
            raise ModelError(f"video: got shape {tuple(video.shape)}, expected {expected}")
        if not video.is_floating_point():
            raise ModelError(f"video: got {video.dtype}, expected floating point values 0..1")
        check_patches(self.backbone, video.shape[3], video.shape[4], "video")
        if (audio is not None) != (self.audio_segments > 0):
            got = "none" if audio is None else f"shape {tuple(audio.shape)}"
            raise ModelError(
                f"audio: got {got}, expected {counted(self.audio_segments, 'segment')} (model.audio_segments)"
            )
        if audio is not None and audio.shape != (video.shape[0], self.audio_segments, *video.shape[2:]):
            shape = (video.shape[0], self.audio_segments, *video.shape[2:])
            raise ModelError(f"audio: got shape {tuple(audio.shape)}, expected {shape}, to go with video")
