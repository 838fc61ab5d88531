"""Making the log-mel store of a data set, in this process or by the tool, and checking it."""

import json
from pathlib import Path

from pipelines.audio.log_mel import AudioImage
from pipelines.audio.mel_records import read_summary, store_audio, summary_writer
from pipelines.audio.mel_store import MelStore
from pipelines.dataset.audio_files import audio_file, audio_states
from tests.helpers.processes import run

OPTIONS = AudioImage(n_mels=16, spec_size=(3, 20, 20))


def store_all(dataset, *clip_ids, audio_segments=2):
    with summary_writer(dataset.mels) as write:
        for clip_id in clip_ids:
            known = read_summary(dataset.mels).get(clip_id, ())
            files = (dataset.mels, dataset.data_dir, clip_id, audio_file(dataset, clip_id))
            write(store_audio(*files, OPTIONS, known, audio_segments))


def check(dataset, *clip_ids, options=OPTIONS, audio_segments=1):
    videos = [(clip_id, dataset.videos / f"{clip_id}.mp4") for clip_id in clip_ids]
    return MelStore(dataset.mels, options).check(audio_states(dataset, dict(videos))[0], audio_segments)


def write_settings(place: Path, folder: Path) -> None:
    """The JSON files for the tool, beside the data set."""
    image = {"n_mels": OPTIONS.n_mels, "spec_size": OPTIONS.spec_size}
    sizes = {"audio_image_param": image, "video_image_param": {"output_size": image["spec_size"][1]}}
    (place / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder)}}))
    (place / "config.json").write_text(json.dumps({"data_augmentation": sizes}))


def command(folder: Path, *more: str) -> list[str]:
    settings = ("--data", str(folder.parent / "data.json"), "--config", str(folder.parent / "config.json"))
    return ["tools/precompute_audio.py", *settings, *more]


def precompute(folder: Path, *more: str):
    return run(*command(folder, "--workers", "1", *more))


def stored(folder: Path) -> dict[str, int]:
    """When the columns of each clip were written."""
    files = (folder / "mels").rglob("*.safetensors")
    return {str(path.relative_to(folder / "mels").with_suffix("")): path.stat().st_mtime_ns for path in files}
