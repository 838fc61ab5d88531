"""The origin of a result: command, versions, hardware, commit, date."""

import os
import platform
import re
import shlex
import subprocess
import sys
import time
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    *(
        "tsam-dali",
        "torch",
        "torchvision",
        "timm",
        "nvidia-dali-cuda120",
        "nvidia-dali-cuda130",
        "av",
        "librosa",
        "numpy",
        "pillow",
    ),
    *("onnxruntime", "openvino", "nncf"),  # run exported networks
    *("torchcodec", "decord", "opencv-python-headless"),  # compared with in the benchmarks
)
INSTRUCTIONS = ("avx2", "avx512_f", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16")
"""Instruction sets of CPUs, as torch names them. Fewer may be used: PyTorch's kernels follow ATEN_CPU_CAPABILITY, those
of oneDNN, which multiply matrices, ONEDNN_MAX_CPU_ISA."""
FORMAT_INSTRUCTIONS = {"bf16": ("avx512_bf16", "amx_bf16", "bf16"), "fp16": ("avx512_fp16", "amx_fp16", "fp16")}
"""As torch names them; the last of each is ARM's."""
_WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")
LIMITS_WITHOUT = {"bf16": _WITHOUT_BF16, "fp16": (*_WITHOUT_BF16, "AVX512_CORE_BF16")}
"""Values of ONEDNN_MAX_CPU_ISA that leave out these instructions."""
_DRIVER = Path("/proc/driver/nvidia/version")


def provenance() -> dict[str, Any]:
    """The origin that is written into result files."""
    return {
        "command": shlex.join([Path(sys.executable).name, *map(_portable, sys.orig_argv[1:])]),
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "commit": _commit(),
        "versions": versions(),
        "hardware": hardware(),
    }


def _portable(word: str) -> str:
    """A word of the command line, its absolute path (if it is one, or one after =) without the folders of this machine:
    relative to the working directory, or, outside of that, the last name alone."""
    name, separator, value = word.rpartition("=")
    path = Path(value)
    if not path.is_absolute():
        return word
    inside = path.is_relative_to(Path.cwd())
    return f"{name}{separator}{path.relative_to(Path.cwd()) if inside else Path('...', path.name)}"


def _commit() -> str:
    """The commit of this checkout, with a + if files differ from it; empty outside of a checkout."""
    git = [
        "git",
        "-C",
        str(Path(__file__).parent.parent),
        "describe",
        "--always",
        "--abbrev=40",
        "--dirty=+",
        "--exclude=*",
    ]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def versions() -> dict[str, str]:
    installed: dict[str, str] = {}
    for distribution in metadata.distributions():  # of two with a name, Python imports the first
        installed.setdefault(distribution.name, distribution.version)
    return {"python": platform.python_version()} | {name: installed[name] for name in PACKAGES if name in installed}


def hardware() -> dict[str, Any]:
    import torch  # takes seconds: not for commands that only import this module

    cpu = next(
        (line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")), platform.machine()
    )
    return {
        "cpu": cpu,
        "instructions": [name for name in INSTRUCTIONS if torch.cpu.get_capabilities().get(name)],
        "instructions_used": {
            "torch": torch.backends.cpu.get_cpu_capability(),
            "onednn_limit": onednn_limit(),
        },
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "driver": nvidia_driver(_DRIVER.read_text()) if _DRIVER.is_file() else "",
        "cuda": torch.version.cuda or "",
    }


@cache
def cpu_computes_in(amp: str) -> bool:
    """Whether this CPU has instructions for the number format of `training_param.amp`, and oneDNN may use them."""
    if amp == "off":
        return True
    import torch  # takes seconds: not for commands that only import this module

    known, allowed = torch.cpu.get_capabilities(), onednn_limit().upper() not in LIMITS_WITHOUT[amp]
    return allowed and any(known.get(name) for name in FORMAT_INSTRUCTIONS[amp])


def onednn_limit() -> str:
    """The largest instruction set that oneDNN (convolutions, matrix products) may use; empty: any."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA", "")


def nvidia_driver(text: str) -> str:
    """The version in the version text of NVIDIA's kernel module, such as "570.86.10"."""
    return next((word for word in text.split() if re.fullmatch(r"\d+\.\d+(\.\d+)?", word)), "")


def _cpu_lines() -> list[str]:
    cpu_info = Path("/proc/cpuinfo")
    return cpu_info.read_text().splitlines() if cpu_info.is_file() else []
