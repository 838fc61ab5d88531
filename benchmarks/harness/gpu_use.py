"""How busy the units of an NVIDIA GPU are, as nvidia-smi tells it."""

import logging
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

UNITS = ("gpu", "decoder", "jpeg")
"""The processors, NVDEC and nvJPEG's engine."""

MILLISECONDS = 200
"""From one look to the next."""


@contextmanager
def gpu_use(device: str) -> Iterator[dict[str, float]]:
    """Look at the units while the block runs; afterwards the dict holds the mean percentage of each. Without a GPU, or
    without nvidia-smi, it stays empty."""
    found: dict[str, float] = {}
    if device == "cpu" or shutil.which("nvidia-smi") is None:
        yield found
        return
    fields = ",".join(f"utilization.{unit}" for unit in UNITS)
    what = [f"--query-gpu={fields}", "--format=csv,noheader,nounits", f"--loop-ms={MILLISECONDS}", "--id=0"]
    with tempfile.TemporaryFile("w+") as lines:
        watcher = subprocess.Popen(["nvidia-smi", *what], stdout=lines, stderr=subprocess.STDOUT)
        try:
            yield found
        finally:
            watcher.terminate()
            watcher.wait()
        lines.seek(0)
        text = lines.read()
    found |= mean_use(text)
    if not found:
        log.warning("nvidia-smi says nothing of the GPU's use: %s", text[:200])


def mean_use(text: str) -> dict[str, float]:
    """The mean of each column of nvidia-smi's lines; what is no number ("[N/A]") is left out."""
    lines = [line.split(",") for line in text.splitlines() if line.count(",") == len(UNITS) - 1]
    numbers = {unit: [float(line[i]) for line in lines if _is_number(line[i])] for i, unit in enumerate(UNITS)}
    return {f"{unit}_use": round(sum(values) / len(values), 1) for unit, values in numbers.items() if values}


def _is_number(word: str) -> bool:
    return word.strip().replace(".", "", 1).isdigit()
