"""A trained network as a folder to share, and on the Hugging Face Hub."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tsam_dali.inference.model_card import model_card
from tsam_dali.inference.preprocessing import preprocessing
from tsam_dali.weights.export_folder import write_folder
from tsam_dali.weights.hub import SCHEME, push_folder
from tsam_dali.weights.trained import Trained, network_of, read_trained


def write_shared(
    folder: Path, trained: Trained, about: dict[str, Any], example: Path | None = None, place: str = "this folder"
) -> None:
    """Write the folder.

    Args:
        about: as from `tsam_dali.inference.preprocessing.preprocessing`.
        example: a video that stands in the card.
        place: from where the card says to load it.

    Raises:
        CheckpointError: the folder is not empty, or cannot be written.
    """
    kept = {"config": trained.config.to_dict(), "history": trained.history}
    kept |= {"best": trained.best, "lists": trained.lists}
    write_folder(folder, trained.state, kept, about, model_card(trained, about, example, place), example)


def push_network(
    name: str, trained: Trained, about: dict[str, Any], example: Path | None = None, private: bool = False
) -> str:
    """Upload the folder to the repository OWNER/NAME; its address with its commit.

    Raises:
        CheckpointError: see `tsam_dali.weights.hub.push_folder`.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary, "network")
        write_shared(folder, trained, about, example, f"{SCHEME}{name}")
        return push_folder(folder, name, private=private)


def push_to_hub(path: str | Path, name: str, *, private: bool = False, example: str | Path | None = None) -> str:
    """See `tsam_dali.push_to_hub`."""
    trained = read_trained(path)
    about = preprocessing(trained, network_of(trained, path))
    return push_network(name, trained, about, Path(example) if example else None, private)
