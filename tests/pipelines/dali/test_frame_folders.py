"""Frame folders as a way in: from tools/video2frames.py to batches; what is wrong with folders."""

import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.dataset.load import DataError, load_clips
from pipelines.loader import LoaderError, build_loader
from pipelines.sampling import validation_frames
from tests.helpers.loading import SEGMENTS, batches, expected_video, settings
from tests.helpers.media import frame_numbers, write_video
from tests.helpers.processes import run
from tests.pipelines.decode.test_jpeg import KINDS, jpeg
from tsam_dali.config.load import ConfigError

SIZES = [(96, 128), (128, 96), (90, 160), (112, 112), (144, 176), (64, 96), (100, 140)]
FRAMES = {"pipeline": {"source": "frames", "max_bad_fraction": 0.6}}


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """A data set of seven clips whose frames were extracted, and whose videos are gone."""
    folder = tmp_path_factory.mktemp("extracted")
    (folder / "videos").mkdir()
    for i, size in enumerate(SIZES):
        write_video(folder / f"videos/clip{i}.mp4", 20 + i, size)
    (folder / "training.txt").write_text("".join(f"clip{i} {i % 3}\n" for i in range(7)))
    (folder / "validation.txt").write_text("".join(f"clip{i} {i % 3}\n" for i in range(7)))
    (folder / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder)}}))
    made = run("tools/video2frames.py", "--data", folder / "data.json", "--fps", "0")
    assert made.returncode == 0, made.stderr
    shutil.rmtree(folder / "videos")
    return folder


@pytest.fixture
def data(extracted, tmp_path):
    """A copy that a test may damage."""
    folder = tmp_path / "data"
    shutil.copytree(extracted, folder, ignore=shutil.ignore_patterns("frames.jsonl"))
    return folder


def frame_settings(folder, *, workers=0, **sections):
    sections["pipeline"] = FRAMES["pipeline"] | sections.get("pipeline", {})
    return settings(folder, workers=workers, **sections)


def read_with_pillow(folder, frames) -> np.ndarray:
    pictures = [Image.open(f"{folder}/{frame + 1:05d}.jpg") for frame in frames]
    return np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])


def problems(config) -> str:
    with pytest.raises(DataError) as caught:
        load_clips(config)
    return str(caught.value)


def renumber(folder: Path, first: int) -> None:
    for number, path in enumerate(sorted(folder.iterdir()), first):
        path.rename(folder / f"moved{number}")
    for path in list(folder.iterdir()):
        path.rename(folder / f"{int(path.name[5:]):05d}.jpg")


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
                assert difference[..., 1:-1, 1:-1].max() <= 0.01  # at the border they differ, see test_loader


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
            assert difference[..., 1:-1, 1:-1].max() <= 0.01


def zip_rows(batch):
    return zip(batch.row.tolist(), batch.video, strict=True)


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


BROKEN = {
    "no file": None,
    "no bytes": b"",
    "half": lambda data: data[: len(data) // 2],
    "end": lambda data: data[:-2],
    "zeros": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "other size": jpeg(),
}
REASONS = {
    "no file": "no such file",
    "no bytes": "holds no bytes",
    "half": "cut short",
    "end": "cut short",
    "zeros": "cut short",
    "other size": "48 x 64 pixels, but the first frame has",
}


def spoil(path: Path, content) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content(path.read_bytes()) if callable(content) else content)


@pytest.mark.parametrize("workers", [0, 2])
def test_frames_that_break_later_make_black_clips_with_a_reason(data, workers, caplog):
    clips = load_clips(frame_settings(data))["validation"]
    for kind, clip in zip(BROKEN, clips[1:], strict=True):
        middle = validation_frames(clip.frames, SEGMENTS)[2]
        spoil(Path(clip.path, f"{middle + 1:05d}.jpg"), BROKEN[kind])
    config = frame_settings(data, workers=workers, batch_size=7, pipeline={"max_bad_fraction": 1})
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        (batch,) = batches(config, "validation", clips)
    assert batch.ok.tolist() == [True] + [False] * 6
    assert batch.video[0].max() > 0.5
    assert batch.video[1:].max() == 0
    messages = [record.getMessage() for record in caplog.records]
    for kind, clip, message in zip(BROKEN, clips[1:], messages, strict=True):
        assert message.startswith(f"clip {clip.id} is left out")
        assert REASONS[kind] in message


def test_what_only_the_decoder_notices_costs_one_clip_and_one_restart(data, caplog):
    """Code tables that cannot be: all markers are in their place, but DALI gives up the whole batch."""
    clips = load_clips(frame_settings(data))["training"]
    for path in Path(clips[2].path).iterdir():
        content = path.read_bytes()
        table = content.index(b"\xff\xc4") + 5
        path.write_bytes(content[:table] + b"\xff" * 16 + content[table + 16 :])
    config = frame_settings(data, batch_size=7, workers=2)
    caplog.clear()
    with caplog.at_level(logging.WARNING), build_loader(config, "training", clips) as loader:
        for _ in range(3):
            (batch,) = loader
            for row, video in zip_rows(batch):
                assert (video.max() == 0) == (row == 2)
            assert batch.ok.tolist() == [row != 2 for row in batch.row.tolist()]
    restart, left_out = [record.getMessage() for record in caplog.records]
    assert "the data pipeline failed at step 0 and is started again" in restart
    assert "clip clip2 is left out (black, ok = 0): DALI: " in left_out
    assert left_out.endswith("DALI: Failed to decode")


def test_too_many_that_break_later_stop_the_loader(data):
    clips = load_clips(frame_settings(data))["training"]
    for clip in clips[:2]:
        shutil.rmtree(clip.path)
    config = frame_settings(data, batch_size=7, pipeline={"max_bad_fraction": 0.2})
    with pytest.raises(LoaderError, match="2 of 7 clips could not be read"):
        batches(config, "training", clips)


def test_everything_that_is_wrong_with_folders_is_named_at_once(data):
    frames = data / "frames"
    (frames / "clip0/00007.jpg").unlink()
    renumber(frames / "clip1", 0)
    (frames / "clip2/00001.jpg").write_bytes(b"junk")
    for path in (frames / "clip3").iterdir():
        path.rename(path.with_suffix(".jpeg"))
    found = problems(frame_settings(data, pipeline={"max_bad_fraction": 0.5}))
    assert "4 of 7 frame folders of the training list cannot be opened (2 gap, 1 damaged, 1 empty)" in found
    assert "more than pipeline.max_bad_fraction=0.5 allows" in found
    assert "clip0: frame 00007.jpg is missing, but there is 00020.jpg" in found
    assert "clip1: its frames must be counted from 1, but there is 00000.jpg" in found
    assert "00001.jpg: is no JPEG file" in found
    assert "clip3: holds no frames, only 23 other files; expected 00001.jpg, 00002.jpg" in found
    clips = load_clips(frame_settings(data))
    assert [clip.id for clip in clips["training"]] == ["clip4", "clip5", "clip6"]


def test_missing_folders_are_errors(data):
    shutil.rmtree(data / "frames/clip5")
    (data / "frames/clip6").rename(data / "frames/elsewhere")
    found = problems(frame_settings(data))
    assert "clip5: no such folder" in found
    assert "clip6: no such folder" in found
    shutil.rmtree(data / "frames")
    assert "dataset.dir_frames" in problems(frame_settings(data))


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


@pytest.mark.parametrize("template", ["frame.jpg", "{:05d}-{}.jpg", "{name}.jpg", "{:.2f}.jpg", "{", "a/{}.jpg"])
def test_templates_that_name_no_number(data, template):
    config = frame_settings(data, dataset={"data_dir": str(data), "frames_tmpl": template})
    assert "dataset.frames_tmpl: expected a name with one number" in problems(config)


def test_settings_that_contradict_each_other():
    with pytest.raises(ConfigError, match="gpu_whole reads whole videos, but pipeline.source is frames"):
        frame_settings("none", pipeline={"decode": "gpu_whole"})


def test_frames_may_lie_anywhere(data, tmp_path):
    moved = (data / "frames").rename(tmp_path / "moved")
    clips = load_clips(frame_settings(data, dataset={"data_dir": str(data), "dir_frames": str(moved)}))["training"]
    assert {os.path.dirname(clip.path) for clip in clips} == {str(moved)}
