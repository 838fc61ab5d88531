"""Videos that are damaged or out of the ordinary, through everything that reads them."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.dataset.load import DataError, load_clips
from pipelines.decode import decode_frames
from pipelines.decode.frames import VideoError, probe
from pipelines.decode.probe import probe_video
from pipelines.loader import build_loader
from tests.helpers.audio_media import noise, write_clip
from tests.helpers.media import ffmpeg, write_video
from tsam_dali.config.load import Config, config_from_dict

CUTS = 40


@pytest.mark.parametrize("container_options", [{}, {"movflags": "faststart"}], ids=["index_last", "index_first"])
def test_cut_at_many_places(tmp_path, container_options):
    """The whole file is read; every shorter one has a status and gives no picture that could be another."""
    path = write_video(tmp_path / "v.mp4", 12, (48, 64), container_options=container_options)
    whole, original = path.read_bytes(), decode_frames(path, range(12))
    for length in np.linspace(0, len(whole) - 1, CUTS).astype(int).tolist():
        path.write_bytes(whole[:length])
        assert probe_video(path)["status"] in {"empty", "not_a_video", "truncated", "damaged"}, length
        try:
            pictures = decode_frames(path, [0, 11])
        except VideoError:
            continue
        pytest.fail(f"{length} of {len(whole)} bytes gave {len(pictures)} pictures")
    path.write_bytes(whole)
    np.testing.assert_array_equal(decode_frames(path, range(12)), original)


@pytest.mark.usefixtures("ordinary_rights")
def test_a_file_without_the_right_to_read_it(tmp_path):
    path = write_video(tmp_path / "v.mp4", 3, (48, 64))
    path.chmod(0)
    with pytest.raises(VideoError, match="check its permissions") as caught:
        probe(path)
    assert caught.value.status == "unreadable"
    path.chmod(0o600)
    assert probe(path).frames == 3


def settings(folder: Path, max_bad_fraction: float, audio_segments: int = 0) -> Config:
    sections = {
        "dataset": {"data_dir": str(folder)},
        "model": {"audio_segments": audio_segments, "video_segments": 4},
        "pipeline": {"max_bad_fraction": max_bad_fraction, "workers": 1},
        "training_param": {"batch_size": 2, "num_workers": 1},
    }
    return config_from_dict(sections | {"data_augmentation": {"video_image_param": {"output_size": 32}}})


def write_lists(folder: Path, training: list[str], validation: list[str]) -> None:
    for name, ids in (("training", training), ("validation", validation)):
        (folder / f"{name}.txt").write_text("".join(f"{clip_id} {i % 2}\n" for i, clip_id in enumerate(ids)))


ODD = {
    "variable_rate": {"pts": [0, 40, 50, 300, 310, 700, 705, 1000]},
    "edit_list": {"pts": [40 * i - 80 for i in range(8)]},
    "first_later": {"pts": [40 * i + 500 for i in range(8)]},
    "turned": {"rotation": 90},
    "odd_size": {"size": (97, 131), "pix_fmt": "yuv444p"},
    "ten_bit": {"pix_fmt": "yuv420p10le"},
    "one_frame": {"frames": 1},
    "three_frames": {"frames": 3},
    "with_audio": {"audio": True},
}


def test_whatever_is_out_of_the_ordinary_is_trained_on(tmp_path):
    (tmp_path / "videos").mkdir()
    for name, options in ODD.items():
        write_video(tmp_path / f"videos/{name}.mp4", **({"frames": 8, "size": (96, 128)} | options))
    write_lists(tmp_path, [*ODD], ["turned", "edit_list"])
    config = settings(tmp_path, max_bad_fraction=0)
    clips = load_clips(config)
    frames = {clip.id: clip.frames for clip in clips["training"]}
    assert frames == dict.fromkeys(ODD, 8) | {"edit_list": 6, "one_frame": 1, "three_frames": 3}
    size = next((clip.height, clip.width) for clip in clips["training"] if clip.id == "turned")
    assert size == (128, 96)
    with build_loader(config, "training", clips["training"]) as loader:
        batches = [*loader, *loader, *loader]
    assert {row for batch in batches for row in batch.row.tolist()} == set(range(len(ODD)))
    assert all(batch.ok.all() and torch.isfinite(batch.video).all() for batch in batches)
    assert all(clip.flatten().max() > 0.1 for batch in batches for clip in batch.video)


def test_whatever_cannot_be_read_is_named_and_left_out(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    whole = write_video(videos / "good.mp4", 8, (48, 64)).read_bytes()
    write_video(videos / "other.mp4", 8, (48, 64))
    contents = {
        "empty": b"",
        "page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "playlist": b"ffconcat version 1.0\nfile good.mp4\n",
        "cut": whole[: len(whole) // 2],
    }
    for name, content in contents.items():
        (videos / f"{name}.mp4").write_bytes(content)
    write_clip(tmp_path / "both.mp4", noise(0.2, 16000), 16000)
    ffmpeg("-i", tmp_path / "both.mp4", "-vn", "-c", "copy", videos / "audio_alone.mp4")
    os.mkfifo(videos / "fifo.mp4")
    (videos / "nowhere.mp4").symlink_to("gone.mp4")
    bad = [*contents, "audio_alone", "fifo", "nowhere"]
    write_lists(tmp_path, ["good", "other", *bad], ["good", "other"])
    with pytest.raises(DataError) as caught:
        load_clips(settings(tmp_path, max_bad_fraction=0.5))
    first, *reasons = caught.value.problems
    assert first.startswith("7 of 9 videos of the training list cannot be opened (1 empty, 2 not_a_video, ")
    assert Counter(Path(reason.split(": ")[0]).stem for reason in reasons) == Counter(bad)
    clips = load_clips(settings(tmp_path, max_bad_fraction=0.8))
    assert [clip.id for clip in clips["training"]] == ["good", "other"]
