"""Frame folders that are broken: named at the start, or black clips where they break later."""

import logging
import shutil
from pathlib import Path

import pytest

from pipelines.dataset.load import load_clips
from pipelines.loader import LoaderError, build_loader
from pipelines.sampling import validation_frames
from tests.helpers.frame_folders import frame_settings, problems, renumber, zip_rows
from tests.helpers.loading import SEGMENTS, batches
from tests.pipelines.decode.test_jpeg import jpeg
from tsam_dali.config.load import ConfigError

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


@pytest.mark.parametrize("template", ["frame.jpg", "{:05d}-{}.jpg", "{name}.jpg", "{:.2f}.jpg", "{", "a/{}.jpg"])
def test_templates_that_name_no_number(data, template):
    config = frame_settings(data, dataset={"data_dir": str(data), "frames_tmpl": template})
    assert "dataset.frames_tmpl: expected a name with one number" in problems(config)


def test_settings_that_contradict_each_other():
    with pytest.raises(ConfigError, match="gpu_whole is for videos, but pipeline.source is frames"):
        frame_settings("none", pipeline={"decode": "gpu_whole"})
