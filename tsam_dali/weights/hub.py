"""Networks on the Hugging Face Hub, named hf://OWNER/NAME or hf://OWNER/NAME@REVISION.

A network is a folder of `tsam_dali.weights.export_folder`. Of a repository its settings and its safetensors file are
fetched, both of one commit, and nothing else: no pickle ever arrives. They stay in the cache of the Hub (HF_HOME), from
where they are read without the network: those of a commit always, those of a branch where there is none.
"""

import logging
import re
from contextlib import ExitStack
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tsam_dali.weights.checkpoint import CheckpointError
from tsam_dali.weights.export_folder import SETTINGS, WEIGHTS, read_folder

log = logging.getLogger(__name__)
SCHEME = "hf://"
COMMIT = re.compile("[0-9a-f]{40}")
NOT_REACHED = ("ConnectError", "ConnectTimeout", "ConnectionError")
"""Names of errors: the Hub's client has changed the library that it takes them from."""
LOG_IN = "a private one needs `hf auth login`, or HF_TOKEN"


def local_path(path: str | Path, download: bool = True) -> Path:
    """Where the network of an address lies on this machine; any other path is returned unchanged.

    Args:
        path: hf://OWNER/NAME, hf://OWNER/NAME@REVISION, or a path.
        download: whether what is not in the cache may be fetched.

    Raises:
        CheckpointError: the address is none, there is no such network, or it cannot be fetched.
    """
    if not str(path).startswith(SCHEME):
        return Path(path)
    address = str(path)
    name, _, revision = address.removeprefix(SCHEME).partition("@")
    known = bool(COMMIT.fullmatch(revision))
    try:
        settings = Path(hf_hub_download(name, SETTINGS, revision=revision or None, local_files_only=not download))
        commit = settings.parent.name
        hf_hub_download(name, WEIGHTS, revision=commit, local_files_only=not download)
    except LocalEntryNotFoundError as error:
        how = f"the Hub gives none: {_reason(error.__cause__ or error)}" if download else "add --download to fetch it"
        raise CheckpointError(f"{address}: not in this machine's cache (HF_HOME); {how}") from error
    except Exception as error:  # whatever the Hub's client and its network library raise
        raise CheckpointError(f"{address}: {_reason(error)}") from error
    if not known:
        log.info("%s: commit %s; %s%s@%s will always be this one", address, commit, SCHEME, name, commit)
    return settings.parent


def push_folder(folder: Path, name: str, *, private: bool = False) -> str:
    """Upload a network's folder to the repository OWNER/NAME, which is made if it is not there; its address.

    Raises:
        CheckpointError: the folder is damaged, or the Hub refuses it.
    """
    read_folder(folder)
    hub = HfApi()
    try:
        hub.create_repo(name, private=private, exist_ok=True)
        with ExitStack() as opened:  # of open files the client makes LFS uploads, which every server of the Hub knows
            files = [(path.name, opened.enter_context(path.open("rb"))) for path in sorted(folder.iterdir())]
            added = [CommitOperationAdd(path_in_repo=path, path_or_fileobj=file) for path, file in files]
            commit = hub.create_commit(name, added, commit_message="Add a network of tsam_dali")
    except Exception as error:  # as above
        raise CheckpointError(f"{SCHEME}{name}: {_reason(error)}") from error
    return f"{SCHEME}{name}@{commit.oid}"


def _reason(error: BaseException) -> str:
    match error:
        case GatedRepoError():
            return f"its owner has to give you access; {LOG_IN}"
        case RepositoryNotFoundError():
            return f"no such repository; {LOG_IN}"
        case RevisionNotFoundError():
            return "the repository has no such revision"
        case EntryNotFoundError():
            return f"has no {SETTINGS} and {WEIGHTS}; expected a network that `tsam_dali.export --push` wrote"
        case HFValidationError():
            return "expected hf://OWNER/NAME or hf://OWNER/NAME@REVISION"
        case HfHubHTTPError(response=response) if response is not None and response.status_code in (401, 403):
            return f"the Hub refuses it ({response.status_code}); log in with `hf auth login`, or set HF_TOKEN"
    text = str(error).strip()
    if type(error).__name__ in NOT_REACHED:
        return f"the Hub cannot be reached ({text or type(error).__name__})"
    return text.splitlines()[0] if text else type(error).__name__
