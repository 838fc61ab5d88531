"""Write docs/capacity.md: what the measured cost of a clip means for large data sets and many GPUs.

example:
  python -m benchmarks.documents.capacity --check
"""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness.markdown import Results, hardware, median, shown, table, wrapped, write_or_check
from benchmarks.harness.preparation import ROOT
from benchmarks.training.end_to_end_variants import COPIES_OURS, DECORD, JPEG_OURS, TORCHCODEC, TSAM, VIDEOS_OURS

PAGE = ROOT / "docs" / "capacity.md"
DATA_SETS = {"Kinetics-400": 240_000, "Ten million clips": 10_000_000}
"""Clips. Kinetics-400 has about 240 000, a part of which is gone from the web."""
GPUS = (1, 8, 64)
IMAGES_PER_SECOND = (3000, 5000, 8000)
SEGMENTS = 16
IMAGES = SEGMENTS + 1
"""Of a clip: the frames, and the audio as one more."""
SERVER_CORES, SERVER_GPUS = 192, 8
"""A usual server for training."""
CORES_PER_GPU = SERVER_CORES // SERVER_GPUS
DISK = 7.0
"""GB/s that one fast NVMe drive reads."""
ENGINES = 7
"""NVDEC engines of an H100 or H200."""
ENGINE_RATE = 1000
"""Frames per second of one engine: SPDL trains on Kinetics-400 with about 28 whole clips per second and H100, all seven
engines busy (facebookresearch/spdl, docs/source/autoresearch, 2026), so 7000 frames of clips of ten seconds at 25."""
WAYS = (TSAM, JPEG_OURS, TORCHCODEC, DECORD, VIDEOS_OURS, COPIES_OURS)
NVDEC_WAYS = (VIDEOS_OURS, COPIES_OURS)
"""Those whose files NVDEC can decode, pruned to the packets that are needed."""

INTRODUCTION = (
    "Written by `python -m benchmarks.documents.capacity` from the files in benchmarks/results; "
    "arithmetic, not a measurement. A "
    f"clip is {SEGMENTS} frames and the audio, {IMAGES} images for the network, so a GPU that trains on N images per "
    f"second takes N / {IMAGES} clips. Such GPUs are assumed: with ResNet-50, 3 000 images/s is NVIDIA's stock PyTorch "
    "script on an H200 (3 079, Lambda's benchmark), 8 000 the best published training on one (7 950, MLPerf Training "
    "4.0)."
)


def page(results: Results) -> str:
    """The whole document."""
    measured = results.load("end_to_end")
    figures = [f for f in (measured or {}).get("figures", ()) if f.get("segments") == SEGMENTS and not f["missing"]]
    ways = {figure["way"]: figure for figure in figures if figure["way"] in WAYS}
    if not ways:
        return (
            f"# Capacity\n\n{wrapped(INTRODUCTION)}\n\nNot measured yet: `python -m benchmarks.training.end_to_end`.\n"
        )
    source = f"Measured on {hardware(measured)}, {measured['date'][:10]} (benchmarks/results/end_to_end.json)."
    blocks = [
        "# Capacity",
        INTRODUCTION,
        source,
        *_preparation(ways),
        *_cores(ways),
        *_engines(ways),
        *_bytes(ways),
        *_breaks(ways),
    ]
    return "\n\n".join(block if block.startswith("#") else wrapped(block) for block in blocks) + "\n"


def _preparation(ways: Mapping[str, Mapping[str, Any]]) -> list[str]:
    blocks = ["## To prepare and to keep"]
    for name, clips in DATA_SETS.items():
        rows = []
        for way, figure in ways.items():
            hours = clips * figure["preparation_cpu_seconds_per_clip"] / 3600
            size, files = figure["kilobytes_per_clip"] * clips / 1e9, figure["files_per_clip"] * clips / 1e6
            rows.append((way, hours, hours / SERVER_CORES, size, files))
        columns = ("way", "core hours", f"hours on {SERVER_CORES} cores", "TB on the disk", "million files")
        blocks += [f"{name}, {shown(clips)} clips:", table(columns, rows)]
    return blocks


def _cores(ways: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = []
    for way, figure in ways.items():
        cost = median(figure, "loader_cpu_ms_per_clip") / 1000
        rows.append((way, 1000 * cost, *(images / IMAGES * cost * gpus for gpus, images in _cases())))
    return [
        "## Cores",
        "To decode, augment and hand over on the CPU. The CPU cost of a clip includes crop, resize and color, which a "
        "GPU takes over where it is there: an upper bound there, and not measured on one.",
        table(("way", "CPU ms per clip", *_headings()), rows),
    ]


def _engines(ways: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = []
    for way in NVDEC_WAYS:
        decoded = ways[way]["decoded_frames_per_clip"]
        rows.append((way, decoded, *(images / IMAGES * decoded / ENGINE_RATE * gpus for gpus, images in _cases())))
    return [
        "## NVDEC engines",
        f"In place of the cores, where NVDEC decodes (`pipeline.decode=gpu`). The rate of an engine is published, not "
        f"measured here: {shown(ENGINE_RATE)} frames per second (SPDL, Kinetics-400, H100, all {ENGINES} engines "
        f"busy). A GPU has {ENGINES}. The frames that have to be decoded for {SEGMENTS} wanted ones are measured.",
        table(("way", "frames decoded per clip", *_headings()), rows),
    ]


def _bytes(ways: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = []
    for way, figure in ways.items():
        size = figure["kilobytes_read_per_clip"]
        rows.append((way, size, *(images / IMAGES * size / 1e6 * gpus for gpus, images in _cases())))
    hours = [
        (name, *(clips / (images / IMAGES * gpus) / 3600 for gpus, images in _cases()))
        for name, clips in DATA_SETS.items()
    ]
    return [
        "## Bytes and hours",
        "GB/s that are read where nothing stays in memory: whole files; of JPEG frames those that are wanted.",
        table(("way", "kB per clip", *_headings()), rows),
        "Hours of an epoch, if the GPUs are kept busy:",
        table(("data set", *_headings()), hours),
    ]


def _breaks(ways: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = []
    for way, figure in ways.items():
        by_cores = CORES_PER_GPU / (median(figure, "loader_cpu_ms_per_clip") / 1000) * IMAGES
        by_disk = DISK / (figure["kilobytes_read_per_clip"] / 1e6) * IMAGES / SERVER_GPUS
        by_engines = None
        if way in NVDEC_WAYS:
            by_engines = ENGINES * ENGINE_RATE / figure["decoded_frames_per_clip"] * IMAGES
        rows.append((way, by_cores, by_engines, by_disk, _verdict(by_cores, by_engines)))
    return [
        "## Where each breaks",
        f"Images per second and GPU that can be fed from {CORES_PER_GPU} cores (a server of {SERVER_CORES} cores and "
        f"{SERVER_GPUS} GPUs; assumed), from the {ENGINES} engines of the GPU itself, and from one drive of "
        f"{shown(DISK)} GB/s for {SERVER_GPUS} GPUs. 64 GPUs are {64 // SERVER_GPUS} such servers: cores and engines "
        "grow with them, a common disk does not.",
        table(("way", "by the cores", "by NVDEC", "by the drive", "keeps up"), rows),
    ]


def _verdict(by_cores: float, by_engines: float | None) -> str:
    """Up to which of the rates a GPU is kept busy, by its cores or else by NVDEC."""
    fed = max(by_cores, by_engines or 0)
    kept = [images for images in IMAGES_PER_SECOND if images <= fed]
    if not kept:
        return f"not even with {shown(IMAGES_PER_SECOND[0])} images/s"
    return f"up to {shown(kept[-1])} images/s" + (" with NVDEC alone" if by_cores < kept[-1] else "")


def _cases() -> list[tuple[int, int]]:
    return [(gpus, images) for gpus in GPUS for images in IMAGES_PER_SECOND]


def _headings() -> Sequence[str]:
    return [f"{gpus} GPU{'s' if gpus > 1 else ''}, {images // 1000}k/s" for gpus, images in _cases()]


def main() -> None:
    write_or_check("python -m benchmarks.documents.capacity", __doc__, PAGE, page(Results()))


if __name__ == "__main__":
    main()
