"""timm's weights by name, in the cache of the Hugging Face Hub on this machine; downloaded on request."""

import timm
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError

from tsam_dali.weights.read import WeightsError

FILE = "model.safetensors"
INSTEAD = "or train from scratch with --set model.pretrain=none, or use a file with --set model.weights=FILE"


def timm_file(name: str, download: bool = False) -> str:
    """The file with timm's weights for a name such as "resnet50" or "resnet50.a1_in1k".

    Args:
        name: a supported backbone.
        download: whether a file that is not in the cache yet may be fetched.

    Raises:
        WeightsError: there is none, or it cannot be downloaded; says what to do.
    """
    settings = timm.get_pretrained_cfg(name)
    repository = settings.hf_hub_id if settings else None
    if not repository:
        raise WeightsError(f"model.pretrain: timm has no weights for {name}; use another model.arch, {INSTEAD}")
    try:
        return hf_hub_download(repository, FILE, local_files_only=True)
    except LocalEntryNotFoundError as error:
        if not download:
            raise WeightsError(
                f"model.pretrain: timm's weights for {name} are not in this machine's cache; add --download to fetch "
                f"{FILE} of https://huggingface.co/{repository} (HF_HOME names the cache, to be shared by all "
                f"machines of a run), {INSTEAD}"
            ) from error
    try:
        return hf_hub_download(repository, FILE)
    except Exception as error:  # whatever the hub's client and its network library raise
        raise WeightsError(
            f"model.pretrain: timm's weights for {name} cannot be fetched ({str(error).splitlines()[0]}); check the "
            f"network, {INSTEAD}"
        ) from error
