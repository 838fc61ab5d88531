"""How a video and its audio become the inputs of an exported network, as plain values for JSON."""

import dataclasses
from typing import Any

from pipelines.audio.log_mel import N_FFT
from tsam_dali.config.sections import Model
from tsam_dali.model.tsam import TSAM
from tsam_dali.training.tasks import thresholds_of
from tsam_dali.weights.trained import Trained

KEY = "tsam_dali.preprocessing"
"""Under this name files keep the JSON text: ONNX in its metadata_props, OpenVINO in its rt_info, .pt2 in its extra
files."""

FRAMES = "the middle of each of S equal parts: frame int(n / S / 2 + n / S * s) of n, counted from 0, s = 0..S-1"
STRETCHES = {
    "tsm": "frame int(start + L / S * s + 1e-6) modulo n, start = int(n - L) // 2",
    "slowfast": "frame int(start + (L - 1) / (S - 1) * s), at most n - 1, start = int((n - L) / 2)",
}
DENSE = (
    "a stretch of L frames in the middle of n: {rule}, start at least 0, counted from 0, s = 0..S-1; "
    "L = {length}; where the rate varies, the frame that is shown at that time, by the mean rate"
)
CROP = "the square in the middle with the frame's short side as its side"
VALUES = "low + (high - low) * (logit + 1) / 2, with low and high the range of the number, kept within this range"
RESIZE = "to H x W, bilinear with antialias"
AUDIO = (
    "power of Hann windows (periodic, centred in n_fft samples or their own length if longer, audio reflected at both "
    "ends), HTK mel bands from 0 Hz to half the sample rate without normalisation, log(power + eps); one window per "
    "color plane; band 0 is the top row, time runs along the width; resized bilinearly with antialias to spec_size. "
    "The audio is cut into num_segments pieces that overlap by 1 / m_segments of their length; all pieces of the first "
    "channel come before those of the second, a single channel is used twice"
)


def preprocessing(trained: Trained, network: TSAM) -> dict[str, Any]:
    """Inputs, classes and shift of a trained network; `audio` is None for one without audio segments."""
    config = trained.config
    size = config.data_augmentation.video_image_param.output_size
    video = {
        "shape": ["batch", network.video_segments, 3, size, size],
        "frames": _frames(config.model),
        "crop": CROP,
        "resize": RESIZE,
        "color_order": "RGB",
        "pixel_range": [0.0, 1.0],
        "normalisation": _normalisation(network),
    }
    audio = None
    if network.audio_segments:
        options = config.data_augmentation.audio_image_param
        audio = {
            "shape": ["batch", network.audio_segments, *options.spec_size],
            "channels": config.model.audio_segments,
            "of": "the stretch of the frames" if config.model.sampling == "dense" else "the whole clip",
            "log_mel": _lists(dataclasses.asdict(options)) | {"n_fft": N_FFT, "rule": AUDIO},
        }
    return {
        "video": video,
        "audio": audio,
        "output": {"name": "logits", "shape": ["batch", len(trained.class_names)], **_answers(trained)},
        "class_names": list(trained.class_names),
        "shift_temporal": dataclasses.asdict(config.shift_temporal),
    }


def _frames(model: Model) -> str:
    """Which frames of a video are the input."""
    if model.sampling == "segments":
        return FRAMES
    length = f"S * {model.stride}" if model.clip_seconds is None else f"{model.clip_seconds:g} s at the video's rate"
    if model.target_fps:
        length += f" / {model.target_fps:g} * the video's frames per second"
    return DENSE.format(rule=STRETCHES[model.dense_rule], length=length)


def _answers(trained: Trained) -> dict[str, Any]:
    """What the logits mean."""
    dataset = trained.config.dataset
    if dataset.task == "numbers":
        return {"numbers": [_lists(dataclasses.asdict(number)) for number in dataset.numbers], "values": VALUES}
    if dataset.task == "labels":
        return {"probabilities": "sigmoid", "thresholds": thresholds_of(trained.history)}
    return {"probabilities": "softmax"}


def _lists(values: dict[str, Any]) -> dict[str, Any]:
    """Lists in place of tuples, as JSON has them."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _normalisation(network: TSAM) -> dict[str, Any]:
    """Part of the graph: it must not be done again before."""
    if network.normalize == "none":
        return {"applied": "none"}
    return {
        "applied": "inside the network",
        "mean": network.mean.flatten().tolist(),
        "std": network.std.flatten().tolist(),
    }
