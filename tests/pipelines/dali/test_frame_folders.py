"""Frame folders as a way in: from tools/video2frames.py to batches; what is wrong with folders."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.dataset import frame_index
from pipelines.dataset.clips import Dataset
from pipelines.dataset.load import load_clips
from pipelines.loader import build_loader
from pipelines.sampling import validation_frames
from tests.helpers.frame_folders import frame_settings, zip_rows
from tests.helpers.loading import SEGMENTS, batches, expected_video, resized_as_pillow
from tests.helpers.media import frame_numbers
from tests.helpers.processes import ROOT
from tests.pipelines.decode.test_jpeg import KINDS, jpeg


def read_with_pillow(folder, frames) -> np.ndarray:
    pictures = [Image.open(f"{folder}/{frame + 1:05d}.jpg") for frame in frames]
    return np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])


@pytest.mark.parametrize("split", ["training", "validation"])
def test_pixels_are_those_of_the_plan(extracted, split):
    config = frame_settings(extracted, look={"RandomHorizontalFlip": True})
    clips = load_clips(config)[split]
    assert [clip.frames for clip in clips] == [20 + i for i in range(7)]
    with build_loader(config, split, clips) as loader:
        for step, batch in enumerate(loader):
            for place, row in enumerate(batch.row.tolist()):
                if row < 0:
                    assert batch.video[place].abs().max() == 0
                    continue
                assert batch.ok[place]
                assert batch.label[place] == row % 3
                plan = loader.source.plan(loader.source.order.position(step, place))
                expected = expected_video(clips[row], plan, read_with_pillow)
                difference = np.abs(batch.video[place].numpy() * 255 - expected)  # levels
                assert resized_as_pillow(difference)


def test_the_numbers_of_the_frames(extracted):
    """`--fps 0` extracts every frame of the video, so the pictures carry the numbers that the plan asks for."""
    config = frame_settings(extracted)
    clips = load_clips(config)["validation"]
    square = next(row for row, clip in enumerate(clips) if clip.height == clip.width)  # nothing is cropped
    videos = {row: video for batch in batches(config, "validation", clips) for row, video in zip_rows(batch)}
    numbers = frame_numbers((videos[square].numpy().transpose(0, 2, 3, 1) * 255).astype(np.uint8))
    assert numbers.tolist() == validation_frames(clips[square].frames, SEGMENTS).tolist()


def test_every_kind_of_jpeg_looks_as_in_pillow(tmp_path):
    """Also one whose EXIF data says that it is to be shown turned: TSAM shows it as it is stored."""
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds = [*KINDS.values(), jpeg(exif=turned)]
    for i, content in enumerate(kinds):
        (tmp_path / f"frames/{i}").mkdir(parents=True)
        (tmp_path / f"frames/{i}/00001.jpg").write_bytes(content)
    for split in ("training", "validation"):
        (tmp_path / f"{split}.txt").write_text("".join(f"{i} 0\n" for i in range(len(kinds))))
    config = frame_settings(tmp_path, batch_size=len(kinds))
    clips = load_clips(config)["validation"]
    with build_loader(config, "validation", clips) as loader:
        (batch,) = loader
        for row, video in zip_rows(batch):
            plan = loader.source.plan(loader.source.order.position(0, row))
            difference = np.abs(video.numpy() * 255 - expected_video(clips[row], plan, read_with_pillow))
            assert resized_as_pillow(difference)


def test_workers_and_threads_change_nothing_over_epochs(extracted):
    look = {"RandomHorizontalFlip": True, "ColorJitter": True}
    runs = []
    for options in ({"workers": 0}, {"workers": 2, "threads": 3}):
        config = frame_settings(extracted, look=look, pipeline=options, workers=options["workers"])
        with build_loader(config, "training") as loader:
            runs.append([batch for _ in range(3) for batch in loader])
    assert len(runs[0]) == 6
    for ours, theirs in zip(*runs, strict=True):
        assert ours.row.tolist() == theirs.row.tolist()
        assert torch.equal(ours.video, theirs.video)


def test_the_index_is_used_again_until_a_folder_changes(data):
    load_clips(frame_settings(data))
    index = data / "frames.jsonl"
    records = [json.loads(line) for line in index.read_text().splitlines()]
    index.write_text("".join(json.dumps(record | {"frames": 1000}) + "\n" for record in records))
    (data / "frames/clip1/00022.jpg").write_bytes((data / "frames/clip1/00001.jpg").read_bytes())
    assert [clip.frames for clip in load_clips(frame_settings(data))["training"][:3]] == [1000, 22, 1000]
    for folder in (data / "frames").iterdir():
        for path in list(folder.iterdir()):
            path.rename(folder / f"img_{path.name}")
        os.utime(folder, ns=(0, next(r["mtime_ns"] for r in records if r["id"] == folder.name)))
    config = frame_settings(data, dataset={"data_dir": str(data), "frames_tmpl": "img_{:05d}.jpg"})
    assert [clip.frames for clip in load_clips(config)["training"][:3]] == [20, 22, 22]


SLOW_RUN = """
import sys, time
from pipelines.dataset import frame_index
from pipelines.dataset.clips import Dataset

probe = frame_index.probe_folder
frame_index.probe_folder = lambda *place: (time.sleep(0.2), probe(*place))[1]
frame_index.frame_facts(Dataset(data_dir=sys.argv[1]), sys.argv[2:], 1)
"""


def test_what_a_killed_run_has_read_is_kept(data, monkeypatch):
    ids, index = sorted(os.listdir(data / "frames")), data / "frames.jsonl"
    with subprocess.Popen([sys.executable, "-c", SLOW_RUN, data, *ids], stderr=subprocess.DEVNULL, cwd=ROOT) as run:
        while not index.exists() or index.read_text().count("\n") < 2:
            assert run.poll() is None
            time.sleep(0.01)
        run.kill()
    kept, read = index.read_text().count("\n"), []
    assert 2 <= kept < len(ids)
    probe = frame_index.probe_folder
    monkeypatch.setattr(frame_index, "probe_folder", lambda *place: (read.append(place), probe(*place))[1])
    facts = frame_index.frame_facts(Dataset(data_dir=str(data)), ids, 1)
    assert all(facts.frames)
    assert len(read) == len(ids) - kept
    assert len(index.read_text().splitlines()) == len(ids)


def test_frames_may_lie_anywhere(data, tmp_path):
    moved = (data / "frames").rename(tmp_path / "moved")
    clips = load_clips(frame_settings(data, dataset={"data_dir": str(data), "dir_frames": str(moved)}))["training"]
    assert {os.path.dirname(clip.path) for clip in clips} == {str(moved)}
