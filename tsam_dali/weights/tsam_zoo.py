"""TSAM's published weights by name: downloaded on request; later uses are compared with the first download."""

import http.client
import urllib.request
from pathlib import Path

from tqdm import tqdm

from pipelines.files.atomic import replacing
from tsam_dali.config.sections import PUBLISHED
from tsam_dali.weights.checkpoint import sha256
from tsam_dali.weights.hub import local_path
from tsam_dali.weights.read import WeightsError, read_content

ADDRESS = (
    "https://bitbucket.org/AlexeyAntonov74/resnet50_pretrained_weights/raw/cc2bc64184212a0c0b710ab27f78b54ec7c06adb"
)
FOLDER = Path("weights")
TIMEOUT_SECONDS = 30
CHUNK = 1 << 20


def weight_path(name: str, download: bool, folder: Path = FOLDER, address: str = ADDRESS) -> Path:
    """The file of a published name, or the folder of a network on the Hub (`tsam_dali.weights.hub`); any other text is
    a path and is returned unchanged.

    Args:
        name: a key of `PUBLISHED`, hf://OWNER/NAME, or a path.
        download: whether a file that is not in `folder` yet may be fetched from `address`.

    Raises:
        WeightsError: the file is not there, cannot be fetched whole, holds no weights, or has changed since
            it was first used.
    """
    if name not in PUBLISHED or Path(name).is_file():
        return local_path(name, download)
    path, url = folder / PUBLISHED[name], f"{address}/{PUBLISHED[name]}"
    if not path.is_file():
        if not download:
            raise WeightsError(f"{name}: {path} is missing; add --download, or put {url} there yourself")
        _fetch(url, path)
    _check(path)
    return path


def _fetch(url: str, path: Path) -> None:
    """Download a file; it appears under its name only when it is complete and holds weights."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer, replacing(path) as temporary:
            length = answer.headers["Content-Length"] or "0"
            if not length.isdecimal():
                raise WeightsError(f"{url}: got Content-Length {length!r}, expected a number of bytes; try again")
            size = int(length)
            with temporary.open("wb") as file, tqdm(total=size, unit="B", unit_scale=True, desc=path.name) as bar:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
                if size and file.tell() != size:
                    raise WeightsError(f"{url}: got {file.tell()} bytes, expected {size}; try again")
            try:
                read_content(temporary)
            except WeightsError as error:
                raise WeightsError(
                    f"{url}: not a complete file with weights, it is not kept; try again, or put the file at "
                    f"{path} yourself ({error})"
                ) from error
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(
            f"{url}: cannot be fetched ({error}); check the network, or put the file at {path} yourself"
        ) from error


def _check(path: Path) -> None:
    """Compare with the digest next to the file, which the first use writes after checking that it holds weights."""
    digest_file, digest = path.with_name(f"{path.name}.sha256"), sha256(path)
    if not digest_file.is_file():
        try:
            read_content(path)
        except WeightsError as error:
            raise WeightsError(f"{error}; delete {path} and fetch it again with --download") from error
        with replacing(digest_file) as temporary:
            temporary.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
    elif digest_file.read_text(errors="replace").split()[:1] != [digest]:
        raise WeightsError(
            f"{path}: changed since it was first used, its SHA-256 is not the one in {digest_file.name}; "
            f"delete {path} and {digest_file} and fetch it again with --download"
        )
