"""Whether DALI is installed, without importing it."""

from importlib.util import find_spec

from pipelines.files.errors import InputError

NEEDED = (
    "training, NVDEC and JPEG frames need NVIDIA DALI, which is for Linux and not installed here: pip install "
    '"tsam_dali[cuda12]", or [cuda13]; predictions and evaluations of videos do without'
)


def check_dali() -> None:
    """Raise InputError where it is not installed."""
    try:
        found = find_spec("nvidia.dali")
    except ImportError:
        found = None
    if not found:
        raise InputError([NEEDED])
