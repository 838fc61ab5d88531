"""File names and links: a name is never an option, a link is its owner's choice, a list alone leads nowhere else."""

import json
import os

import pytest

from pipelines.dataset.clips import Dataset
from pipelines.dataset.load import DataError, load_clips
from pipelines.dataset.media_files import video_ids
from tests.helpers.media import write_video
from tests.helpers.processes import ROOT, run
from tsam_dali.config.load import config_from_dict

OPTIONS = ("-i", "--help", "-y -f null", "-version", "@list")


@pytest.fixture
def data(tmp_path):
    """A data set whose clips have names that programs could take for options."""
    folder = tmp_path / "data"
    (folder / "videos").mkdir(parents=True)
    video = write_video(tmp_path / "v.mp4", 4, (48, 64), audio=True)
    for name in OPTIONS:
        os.link(video, folder / f"videos/{name}.mp4")
    lines = "".join(f"{name} {i}\n" for i, name in enumerate(OPTIONS))
    for split in ("training", "validation"):
        (folder / f"{split}.txt").write_text(lines)
    (tmp_path / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder)}}))
    return folder


@pytest.mark.parametrize(
    ("tool", "made"),
    [
        (("video2frames.py", "--fps", "0"), "frames/{}/00004.jpg"),
        (("video2frames.py", "--audio"), "audios/{}.wav"),
        pytest.param(("make_training_copies.py",), "videos_256/{}.mp4", marks=pytest.mark.slow),
        pytest.param(("precompute_audio.py",), "mels/{}.safetensors", marks=pytest.mark.slow),
        pytest.param(("index_videos.py", "--decode"), "videos/{}.mp4", marks=pytest.mark.slow),
    ],
)
def test_names_like_options_are_only_names(data, tool, made):
    before = {path.name for path in ROOT.iterdir()}
    done = run(f"tools/{tool[0]}", *tool[1:], "--data", data.parent / "data.json", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert [name for name in OPTIONS if not (data / made.format(name)).is_file()] == []
    assert {path.name for path in ROOT.iterdir()} == before


def load(folder, training: str):
    (folder / "training.txt").write_text(training)
    (folder / "validation.txt").write_text("inside 0\n")
    return load_clips(config_from_dict({"dataset": {"data_dir": str(folder)}, "model": {"audio_segments": 0}}))


def test_links_are_the_owners(tmp_path):
    """What lies outside is read through a link in the folder, and through nothing that stands in a list."""
    folder, outside = tmp_path / "data", tmp_path / "outside"
    (folder / "videos").mkdir(parents=True)
    outside.mkdir()
    video = write_video(outside / "secret.mp4", 3, (48, 64))
    os.link(video, folder / "videos/inside.mp4")
    for leaving in ("../../outside/secret", "x/../../../outside/secret", str(outside / "secret")):
        with pytest.raises(DataError, match="the id leaves the data folder"):
            load(folder, f"inside 0\n{leaving} 1\n")
    (folder / "videos/one").symlink_to(outside)
    with pytest.raises(DataError, match="the id leaves the data folder"):
        load(folder, "inside 0\none/../secret 1\n")
    (folder / "videos/link.mp4").symlink_to(video)
    clips = load(folder, "inside 0\nlink 1\none/secret 1\n")["training"]
    assert [clip.frames for clip in clips] == [3, 3, 3]
    assert all(clip.path.startswith(f"{folder}/videos/") for clip in clips)
    assert video_ids(Dataset(data_dir=str(folder))) == ["inside", "link", "one/secret"]
    assert {path.name for path in outside.iterdir()} == {"secret.mp4"}
