"""A model repository for NVIDIA's Triton Inference Server: the bytes of a video become logits.

    DIR/video_frames/config.pbtxt          DALI: decode, choose the frames, crop, resize
                     1/model.dali
        video_network/config.pbtxt         ONNX
                      1/model.onnx
        video_classifier/config.pbtxt      both, one after the other: what a client asks
                         labels.txt        class names

A network with audio also takes `audio`, the log-mel spectrograms of the clip, which the client makes.
"""

from pathlib import Path
from typing import Any

from torch import nn

from pipelines.dali.installed import check_dali
from pipelines.files.atomic import temporary_path
from pipelines.files.errors import InputError
from tsam_dali.inference import preprocessing
from tsam_dali.inference.export.formats import ExportError, check_format, write_network

FRAMES, NETWORK, CLASSIFIER = "video_frames", "video_network", "video_classifier"
MAX_BATCH = 8
"""Clips that the server computes together."""
LABELS = "labels.txt"


def write_triton(folder: Path, network: nn.Module, about: dict[str, Any], *, on_gpu: bool = True) -> float:
    """Write a model repository, whole or not at all.

    Args:
        folder: new, or empty.
        network: in evaluation mode, float32, on the CPU.
        about: as from `tsam_dali.inference.preprocessing.preprocessing`.
        on_gpu: whether the server has a GPU; without one, DALI decodes VP8, VP9 and MJPEG only.

    Returns:
        As `tsam_dali.inference.export.formats.write_network`.

    Raises:
        ExportError: as there; further frames of a stretch, DALI is missing, or the folder has something in it.
    """
    check_packages()
    if about["video"]["frames"] != preprocessing.FRAMES:
        raise ExportError(f"{folder}: frames of a stretch (model.sampling dense) cannot be chosen in Triton")
    from pipelines.dali.graph import whole_video_graph  # imports DALI

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rmdir()
        with temporary_path(folder) as temporary:
            difference = write_network(temporary / NETWORK / "1" / "model.onnx", network, about)
            _, segments, _, size, _ = about["video"]["shape"]
            graph = whole_video_graph(segments, size, batch_size=MAX_BATCH, on_gpu=on_gpu)
            (temporary / FRAMES / "1").mkdir(parents=True)
            (temporary / FRAMES / "1" / "model.dali").write_bytes(graph)
            (temporary / CLASSIFIER / "1").mkdir(parents=True)  # Triton wants a version, if an empty one
            (temporary / CLASSIFIER / LABELS).write_text(_lines(about["class_names"]), encoding="utf-8")
            for name, text in _configs(about, on_gpu).items():
                (temporary / name / "config.pbtxt").write_text(text, encoding="utf-8")
            temporary.rename(folder)
    except OSError as error:
        raise ExportError(f"{folder}: cannot be written ({error.strerror})") from error
    return difference


def check_packages() -> None:
    """Raises ExportError: a package is missing."""
    check_format(Path("model.onnx"))
    try:
        check_dali()
    except InputError as error:
        raise ExportError("--triton needs NVIDIA DALI; install it: pip install -e '.[cuda12]', or [cuda13]") from error


def _configs(about: dict[str, Any], on_gpu: bool) -> dict[str, str]:
    """Model -> its config.pbtxt."""
    shapes = {name: about[name]["shape"][1:] for name in ("video", "audio") if about[name]}
    encoded = 'input { name: "encoded" data_type: TYPE_UINT8 dims: -1 allow_ragged_batch: true }'
    video, *audio = (f'{{ name: "{name}" data_type: TYPE_FP32 {_dims(shape)} }}' for name, shape in shapes.items())
    logits = f'output {{ name: "logits" data_type: TYPE_FP32 {_dims(about["output"]["shape"][1:])}'
    spectrograms = [f"input {one}" for one in audio]
    kind = f"instance_group {{ kind: {'KIND_GPU' if on_gpu else 'KIND_CPU'} }}"
    batching = "dynamic_batching { }"
    return {
        FRAMES: _text(FRAMES, 'backend: "dali"', encoded, f"output {video}", batching, kind),
        NETWORK: _text(
            NETWORK, 'backend: "onnxruntime"', f"input {video}", *spectrograms, f"{logits} }}", batching, kind
        ),
        CLASSIFIER: _text(
            CLASSIFIER,
            'platform: "ensemble"',
            encoded,
            *spectrograms,
            f'{logits} label_filename: "{LABELS}" }}',
            "ensemble_scheduling {",
            _step(FRAMES, ["encoded"], "video"),
            _step(NETWORK, [*shapes], "logits"),
            "}",
        ),
    }


def _text(name: str, *lines: str) -> str:
    return "\n".join([f'name: "{name}"', f"max_batch_size: {MAX_BATCH}", *lines, ""])


def _dims(shape: list[int]) -> str:
    return f"dims: {shape}"


def _step(model: str, inputs: list[str], output: str) -> str:
    maps = [f'    input_map {{ key: "{name}" value: "{name}" }}' for name in inputs]
    maps.append(f'    output_map {{ key: "{output}" value: "{output}" }}')
    return "\n".join(["  step {", f'    model_name: "{model}"', "    model_version: -1", *maps, "  }"])


def _lines(names: list[str]) -> str:
    return "".join(" ".join(name.split()) + "\n" for name in names)
