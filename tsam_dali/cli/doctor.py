"""Print what this machine has and what will be used for what, to find out why something is slow or does not start.

Paste it into a bug report: it names no file of yours, no user and no host. What is wrong stands at the end, with a
remedy; the exit status is 0 all the same.

examples:
  python -m tsam_dali.cli.doctor
  python -m tsam_dali.cli.doctor --json
"""

import ctypes
import importlib.util
import json
import locale
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from pipelines.files.unicode_names import locale_hint
from pipelines.files.words import counted
from pipelines.transcode.ffmpeg import ffmpeg_program
from tsam_dali.cli.common import friendly_errors, importing, parser
from tsam_dali.cli.provenance import cpu_computes_in, hardware, versions

SHARED_MEMORY = "/dev/shm"
SMALL = 1e9
"""Bytes of /dev/shm, and of a disk, below which a training is likely to end for want of them."""
NVDEC = ("libnvcuvid.so.1", "libnvcuvid.so")


@friendly_errors
def main() -> None:
    command = parser("python -m tsam_dali.cli.doctor", __doc__)
    command.add_argument("--json", action="store_true", help="print the same as JSON")
    args = command.parse_args()
    with importing():
        found = report()
    print(json.dumps(found, indent=4) if args.json else as_text(found))


def report() -> dict[str, Any]:
    """What there is: versions, hardware, system, what is used for what, and what is wrong."""
    machine = hardware()
    nvdec = any(map(_loads, NVDEC))
    found = {
        "versions": versions(),
        "hardware": machine | {"gpu_memory_gib": _gpu_memory(), "nvdec": nvdec},
        "system": {
            "name": platform.platform(),
            "ffmpeg": _ffmpeg_version(),
            "shared_memory_gb": _free_gb(SHARED_MEMORY),
            "disk_gb": _free_gb("."),
            "temporary_gb": _free_gb(tempfile.gettempdir()),
            "file_names": sys.getfilesystemencoding(),
            "locale": locale.setlocale(locale.LC_CTYPE),
        },
    }
    found["used"] = _used(bool(machine["gpus"]), nvdec, dali=_dali() != [])
    return found | {"problems": list(_problems(found))}


def as_text(found: dict[str, Any]) -> str:
    """The report in lines that fit a terminal."""
    machine, system, used = found["hardware"], found["system"], found["hardware"]["instructions_used"]
    cores, instructions = counted(machine["cores"], "core"), " ".join(machine["instructions"])
    cpu = f"{machine['cpu']}, {cores}, {machine['memory_gib']} GiB; {instructions}"
    gpus = [f"{name}, {memory} GiB" for name, memory in zip(machine["gpus"], machine["gpu_memory_gib"], strict=True)]
    rows = {
        "system": system["name"],
        "versions": ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        "ffmpeg": system["ffmpeg"] or "none",
        "CPU": cpu,
        "PyTorch uses": used["torch"] + (f", oneDNN at most {used['onednn_limit']}" if used["onednn_limit"] else ""),
        "GPU": "; ".join(gpus) or "none",
        "driver": machine["driver"] or "none",
        "CUDA": f"{machine['cuda'] or 'none'} (of PyTorch)",
        "NVDEC": "its library is there" if machine["nvdec"] else "none",
        SHARED_MEMORY: _space(system["shared_memory_gb"]),
        "disk": f"{_space(system['disk_gb'])} here, {_space(system['temporary_gb'])} for temporary files",
        "locale": f"{system['locale']}, names of files in {system['file_names']}",
    }
    lines = [f"{name:<14}{value}" for name, value in rows.items()]
    lines += ["", "used for", *(f"  {name:<12}{value}" for name, value in found["used"].items())]
    lines += ["", *([f"problem: {problem}" for problem in found["problems"]] or ["no problem found"])]
    return "\n".join(lines)


def _used(gpu: bool, nvdec: bool, dali: bool) -> dict[str, str]:
    decode = "decode workers on the CPU (PyAV)"
    if gpu and nvdec:
        decode = "NVDEC where a training finds it right and faster (train --check_gpu), else " + decode
    resize = "DALI on the GPU" if gpu else "PyTorch on the CPU"
    network = "float32, as this CPU has no instructions for bf16"
    if gpu:
        network = "bf16 on the GPU"
    elif cpu_computes_in("bf16"):
        network = "bf16 on the CPU"
    return {
        "training": "DALI" if dali else "not possible: DALI is not installed",
        "decoding": decode,
        "resizing": resize,
        "network": f"{network} (training_param.amp)",
        "audio": "the log-mel store in a training, FFmpeg's libraries (PyAV) to make it and in predictions",
    }


def _problems(found: dict[str, Any]) -> Iterator[str]:
    machine, system, dali = found["hardware"], found["system"], _dali()
    if not dali:
        yield 'DALI is not installed: pip install "tsam-dali[cuda12]", or [cuda13] for a driver of CUDA 13'
    if len(dali) > 1:
        yield f"{' and '.join(dali)} share a folder: uninstall both, and install one of them"
    if machine["driver"] and not machine["gpus"]:
        built = f"is built for CUDA {machine['cuda']}" if machine["cuda"] else "is built without CUDA"
        yield f"there is a driver ({machine['driver']}), but PyTorch sees no GPU: it {built}; see nvidia-smi"
    if machine["gpus"] and not machine["nvdec"]:
        yield "NVDEC's library is missing: in a container set NVIDIA_DRIVER_CAPABILITIES=compute,video,utility"
    if not system["ffmpeg"]:
        yield "there is no ffmpeg program, which training copies and frames need: pip install imageio-ffmpeg"
    if (free := system["shared_memory_gb"][0]) * 1e9 < SMALL:
        yield f"{SHARED_MEMORY} has {free:.2f} GB free, little for batches: docker run --shm-size 8g"
    for name in ("disk_gb", "temporary_gb"):
        if (free := system[name][0]) * 1e9 < SMALL:
            place = "this folder" if name == "disk_gb" else "temporary files (TMPDIR)"
            yield f"{free:.2f} GB are free for {place}: checkpoints may not fit"
    if hint := locale_hint("é"):
        yield hint.removeprefix("; ")


def _dali() -> list[str]:
    """The packages of DALI that are installed."""
    there = importlib.util.find_spec("nvidia") and importlib.util.find_spec("nvidia.dali")
    return [name for name in versions() if name.startswith("nvidia-dali")] if there else []


def _gpu_memory() -> list[float]:
    import torch

    sizes = (torch.cuda.get_device_properties(number).total_memory for number in range(torch.cuda.device_count()))
    return [round(size / 2**30, 1) for size in sizes]


def _ffmpeg_version() -> str:
    try:
        shown = subprocess.run([ffmpeg_program(), "-version"], capture_output=True, text=True, check=True).stdout
    except (OSError, RuntimeError, subprocess.CalledProcessError):
        return ""
    return shown.split()[2]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _free_gb(folder: str) -> tuple[float, float]:
    """GB that are free, and all; 0 where there is no such folder."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return 0.0, 0.0
    return round(usage.free / 1e9, 2), round(usage.total / 1e9, 2)


def _space(free_and_all: tuple[float, float]) -> str:
    return "{:.1f} of {:.1f} GB free".format(*free_and_all)


if __name__ == "__main__":
    main()
