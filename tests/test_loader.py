"""Batches: the right frames and pixels, whatever the way in; what cannot be read; restarts. Real DALI, real workers."""

import logging
import os
import signal
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.clips import Clip
from pipelines.dataset import load_clips
from pipelines.decode import decode_frames, probe
from pipelines.loader import LoaderError, build_loader
from pipelines.mel_store import MelStore
from pipelines.mel_summary import store_sound, summary_writer
from pipelines.sampling import validation_frames
from pipelines.ways_in import WholeVideo
from tests.media import frame_numbers, write_video
from tsam_dali.config import config_from_dict

SIZES = [(96, 128), (128, 96), (90, 160), (112, 112), (144, 176), (64, 96), (100, 140)]
SEGMENTS, SIDE = 5, 48


@pytest.fixture(scope="module", params=["h264", "vp9"])
def codec(request):
    return request.param


@pytest.fixture(scope="module")
def clips(codec, tmp_path_factory) -> list[Clip]:
    folder = tmp_path_factory.mktemp(codec)
    return [make_clip(folder, i, size, codec) for i, size in enumerate(SIZES)]


def make_clip(folder, i, size, codec="h264", frames=None, options=None) -> Clip:
    path = write_video(folder / f"clip{i}.mp4", frames or 20 + i, size, codec=codec, options=options or {"g": "8"})
    info = probe(path)
    return Clip(f"clip{i}", i % 3, str(path), info.frames, info.height, info.width, sound=False)


def settings(folder="none", *, workers=0, batch_size=3, look=None, **sections):
    still = {"RandomHorizontalFlip": False, "ColorJitter": False, "RandomGrayscale": 0}
    images = {
        "video_image_param": {"output_size": SIDE},
        "video_augmentation": still | (look or {}),
        "audio_image_param": {"n_mels": 32, "spec_size": [3, SIDE, SIDE]},
        "audio_augmentation": {"random_shift_waveform": [0.3, 0.2]},
    }
    sections = {
        "dataset": {"data_dir": str(folder)},
        "data_augmentation": images,
        "model": {"video_segments": SEGMENTS},
        "training_param": {"batch_size": batch_size, "seed": 3},
        **sections,
    }
    sections["pipeline"] = {"workers": workers, **sections.get("pipeline", {})}
    return config_from_dict(sections)


def batches(config, split, clips, steps=None, **options):
    with build_loader(config, split, clips, **options) as loader:
        return [batch for _, batch in zip(range(steps or len(loader)), loader, strict=False)]


def expected_video(clip, plan, read=decode_frames) -> np.ndarray:
    """The plan carried out by Pillow on what `read(path, frames)` gives: float64 (S, 3, SIDE, SIDE), 0..255."""
    y, x, height, width = plan.crop
    pictures = []
    for frame in read(clip.path, plan.frames)[:, y : y + height, x : x + width]:
        for plane in frame.transpose(2, 0, 1).astype(np.float32):  # as float, or Pillow rounds
            picture = Image.fromarray(plane).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            pictures.append(np.asarray(picture, float)[:, :: -1 if plan.flip else 1])
    return np.stack(pictures).reshape(-1, 3, SIDE, SIDE)


def all_plans(loader, steps):
    source = loader.source
    return [
        source.plan(source.order.position(step, place))
        for step in range(steps)
        for place in range(source.order.rank_batch)
    ]


@pytest.mark.parametrize("split", ["training", "validation"])
def test_pixels_are_those_of_the_plan(clips, codec, split):
    config = settings(look={"RandomHorizontalFlip": True})
    with build_loader(config, split, clips) as loader:
        found = list(loader)
        rows = [row for batch in found for row in batch.row.tolist()]
        assert sorted(rows) == (sorted([-1, -1, *range(7)]) if split == "validation" else sorted(rows))
        for batch in found:
            assert batch.video.shape == (3, SEGMENTS, 3, SIDE, SIDE)
            assert batch.video.dtype == torch.float32
            assert batch.audio is None
        flips = 0
        for step, batch in enumerate(found):
            for place, row in enumerate(batch.row.tolist()):
                if row < 0:
                    assert not batch.ok[place]
                    assert batch.video[place].abs().max() == 0
                    continue
                assert batch.ok[place]
                assert batch.label[place] == row % 3
                plan = loader.source.plan(loader.source.order.position(step, place))
                flips += plan.flip
                difference = np.abs(batch.video[place].numpy() * 255 - expected_video(clips[row], plan))  # levels
                # At the border DALI repeats the last pixel where Pillow leaves it out.
                assert difference[..., 1:-1, 1:-1].max() <= 0.01
                assert difference.mean() < 0.1
    assert flips > 0 or split == "validation"


def test_validation_frames_are_the_middle_ones(clips, codec):
    for batch in batches(settings(), "validation", clips):
        for video, row in zip(batch.video, batch.row.tolist(), strict=True):
            if row < 0 or clips[row].height != clips[row].width:
                continue  # the numbers can be read where nothing is cropped
            numbers = frame_numbers((video.numpy().transpose(0, 2, 3, 1) * 255).astype(np.uint8))
            assert numbers.tolist() == validation_frames(clips[row].frames, SEGMENTS).tolist()


@pytest.mark.parametrize("decode", ["gpu", "gpu_whole"])
def test_the_gpu_ways_in_give_the_same_pictures(decode, tmp_path):
    """The same graphs, with DALI's CPU decoder, which takes VP9. Its colours are rounded otherwise."""
    clips = [make_clip(tmp_path, i, size, "vp9") for i, size in enumerate(SIZES[:4])]
    look = {"RandomHorizontalFlip": True}
    reference = batches(settings(look=look, batch_size=4), "training", clips, 3)
    found = batches(settings(look=look, batch_size=4, pipeline={"decode": decode}), "training", clips, 3)
    for ours, theirs in zip(found, reference, strict=False):
        assert ours.row.tolist() == theirs.row.tolist()
        assert ours.ok.all()
        assert (ours.video - theirs.video).abs().mean() * 255 < 2


def damage_packet(path, number) -> None:
    """Overwrite the beginning of a packet behind its first byte: the container stays whole, the decoder gives up."""
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
    content = bytearray(Path(path).read_bytes())
    content[packet.pos + 1 : packet.pos + 9] = b"\xff" * 8
    Path(path).write_bytes(content)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("decode", ["gpu", "gpu_whole"])
def test_the_gpu_ways_in_survive_files_that_cannot_be_read(decode, workers, tmp_path, caplog):
    """The first of the list too: `gpu_whole` needs a readable file to stand for others."""
    clips = [make_clip(tmp_path, i, size, "vp9") for i, size in enumerate(SIZES[:6])]
    Path(clips[0].path).write_bytes(b"junk")
    os.truncate(clips[1].path, os.path.getsize(clips[1].path) * 2 // 3)
    damage_packet(clips[2].path, 0)
    damage_packet(clips[3].path, 8)  # a keyframe
    Path(clips[4].path).unlink()
    config = settings(batch_size=7, workers=workers, pipeline={"decode": decode, "max_bad_fraction": 1})
    with caplog.at_level(logging.WARNING), build_loader(config, "validation", clips, rank_batch=7) as loader:
        for _ in range(2):
            (batch,) = loader
            assert batch.row.tolist() == [0, 1, 2, 3, 4, 5, -1]
            assert batch.ok.tolist() == [False] * 5 + [True, False]
            assert batch.video[batch.ok].max() > 0.5
            assert batch.video[~batch.ok].max() < 0.1  # black, as limited-range video knows it
    reasons = {record.args[0]: record.getMessage() for record in caplog.records if "left out" in record.getMessage()}
    assert sorted(reasons) == [clip.id for clip in clips[:5]]
    assert "which is not mp4" in reasons["clip0"]
    assert "cut short" in reasons["clip1"]
    assert "DALI: " in reasons["clip3"] or "damaged" in reasons["clip3"]
    assert "no such file" in reasons["clip4"]


def test_clips_that_the_decoder_does_not_know_stop_the_loader(tmp_path):
    """Without a GPU, DALI does not decode H.264: the batch is black, not the end, and that many are too many."""
    clips = [make_clip(tmp_path, i, (96, 128)) for i in range(3)]
    config = settings(batch_size=3, pipeline={"decode": "gpu", "max_bad_fraction": 0.5})
    with pytest.raises(LoaderError, match="2 of 3 clips could not be read.*DALI: .*Failed to create video decoder"):
        batches(config, "training", clips)
    config = settings(batch_size=3, pipeline={"decode": "gpu", "max_bad_fraction": 1})
    (batch,) = batches(config, "training", clips)
    assert not batch.ok.any()


def test_a_fault_of_the_pipeline_itself_is_raised(tmp_path):
    """Where not even black can be decoded, no clip is to blame."""
    clips = [make_clip(tmp_path, i, (96, 128)) for i in range(3)]
    config = settings(batch_size=3, pipeline={"decode": "gpu_whole", "max_bad_fraction": 1})
    with build_loader(config, "training", clips) as loader:
        loader.source.way_in = WholeVideo("nowhere.mp4")
        with pytest.raises(RuntimeError, match="nowhere.mp4"):
            next(iter(loader))


def test_colour_changes_are_those_of_the_plan(tmp_path):
    clips = [make_clip(tmp_path, i, (96, 96)) for i in range(6)]
    look = {"ColorJitter": True, "RandomGrayscale": 0.5}
    config = settings(look=look, batch_size=6)
    with build_loader(config, "training", clips) as loader:
        batch = next(iter(loader))
        plans = all_plans(loader, 1)
    greys = 0
    for video, row, plan in zip(batch.video.numpy(), batch.row.tolist(), plans, strict=True):
        expected = twisted(expected_video(clips[row], plan), plan.colour)
        assert np.abs(video * 255 - expected).mean() < 1
        greys += plan.colour.saturation == 0
        assert (np.ptp(video, axis=1).max() < 0.02) == (plan.colour.saturation == 0)
    assert 0 < greys < 6


def twisted(video, colour) -> np.ndarray:
    """Saturation and hue in YIQ, then contrast about 128, then brightness: (S, 3, H, W), 0..255."""
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.321], [0.211, -0.523, 0.311]])
    angle = np.deg2rad(-colour.hue)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    scale = np.diag([1, colour.saturation, colour.saturation])
    matrix = np.linalg.inv(to_yiq) @ scale @ turn @ to_yiq
    changed = np.einsum("ij,sjhw->sihw", matrix, video)
    return np.clip(((changed - 128) * colour.contrast + 128) * colour.brightness, 0, 255)


@pytest.mark.parametrize("audio_segments", [1, 2])
def test_sound_is_that_of_the_plan(tmp_path, audio_segments):
    (tmp_path / "videos").mkdir()
    for i in range(4):
        write_video(tmp_path / f"videos/clip{i}.mp4", 25, sound=i < 3)
    model = {"video_segments": SEGMENTS, "audio_segments": audio_segments}
    config = settings(tmp_path, model=model, batch_size=4)
    (tmp_path / "training.txt").write_text("clip0 0\nclip1 0\nclip2 0\nclip3 0\n")
    (tmp_path / "validation.txt").write_text("clip0 0\n")
    options = config.data_augmentation.audio_image_param
    with summary_writer(config.dataset.mels) as add:
        for i in range(4):
            add(store_sound(config.dataset, f"clip{i}", tmp_path / f"videos/clip{i}.mp4", options))
    clips = load_clips(config)["training"]
    assert [clip.sound for clip in clips] == [True, True, True, False]
    store = MelStore(config.dataset.mels, options)
    with build_loader(config, "training", clips) as loader:
        batch = next(iter(loader))
        plans = all_plans(loader, 1)
    for picture, row, plan in zip(batch.audio, batch.row.tolist(), plans, strict=True):
        assert plan.sound_cut[0] > 0
        expected = store.picture(f"clip{row}", audio_segments, plan.sound_cut)
        assert np.array_equal(picture.numpy(), expected)
        assert picture.shape == (audio_segments, 3, SIDE, SIDE)
        assert (np.ptp(expected) == 0) == (row == 3)  # silence


def test_workers_change_nothing_and_epochs_go_on(tmp_path):
    clips = [make_clip(tmp_path, i, size) for i, size in enumerate(SIZES)]
    look = {"RandomHorizontalFlip": True, "ColorJitter": True, "GaussianBlur": True}
    alone = batches(settings(look=look), "training", clips, 2) + batches_from(2, settings(look=look), clips, 3)
    config = settings(look=look, workers=2)
    with build_loader(config, "training", clips) as loader:
        together = [batch for _ in range(3) for batch in loader][:5]
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.row.tolist() == theirs.row.tolist()
        assert torch.equal(ours.video, theirs.video)


def batches_from(step, config, clips, steps):
    with build_loader(config, "training", clips) as loader:
        loader.seek(step)
        found = []
        while len(found) < steps:
            found += list(loader)
        return found[:steps]


def test_a_clip_that_breaks_later_is_black_and_named_once(tmp_path, caplog):
    clips = [make_clip(tmp_path, i, size) for i, size in enumerate(SIZES)]
    Path(clips[2].path).write_bytes(Path(clips[2].path).read_bytes()[:900])
    config = settings(batch_size=7, workers=2, pipeline={"max_bad_fraction": 0.2})
    with caplog.at_level(logging.WARNING), build_loader(config, "training", clips) as loader:
        for _ in range(3):
            (batch,) = loader
            for row, ok, video in zip(batch.row.tolist(), batch.ok.tolist(), batch.video, strict=True):
                assert ok == (row != 2)
                assert (video.max() == 0) == (row == 2)
    (record,) = caplog.records
    assert "clip2" in record.getMessage()
    assert "truncated" in record.getMessage() or "cut short" in record.getMessage()


def test_a_loader_finds_its_clips_by_itself(tmp_path):
    (tmp_path / "videos").mkdir()
    for i in range(3):
        write_video(tmp_path / f"videos/clip{i}.mp4", 10)
    (tmp_path / "training.txt").write_text("clip0 0\nclip1 1\n")
    (tmp_path / "validation.txt").write_text("clip2 1\n")
    config = settings(tmp_path, batch_size=2)
    (trained,) = build_loader(config, "training")
    (validated,) = build_loader(config, "validation")
    assert sorted(trained.label.tolist()) == [0, 1]
    assert (validated.label.tolist(), validated.ok.tolist()) == ([1, 0], [True, False])
    with pytest.raises(ValueError, match="split 'train': expected one of training, validation"):
        build_loader(config, "train")


def test_too_many_broken_clips_stop_the_loader(tmp_path):
    clips = [make_clip(tmp_path, i, size) for i, size in enumerate(SIZES)]
    for clip in clips[:2]:
        Path(clip.path).write_bytes(b"")
    config = settings(batch_size=7, pipeline={"max_bad_fraction": 0.2})
    with pytest.raises(LoaderError, match="2 of 7 clips could not be read, more than pipeline.max_bad_fraction allows"):
        batches(config, "training", clips)


def children() -> list[int]:
    """Processes that this one has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rsplit(")", 1)[1].split()[1]
        except (OSError, IndexError):
            continue
        if int(parent) == os.getpid():
            found.append(int(stat.parent.name))
    return found


def test_a_killed_worker_costs_nothing_but_time(tmp_path):
    clips = [make_clip(tmp_path, i, size) for i, size in enumerate(SIZES)]
    reference = batches_from(0, settings(look={"RandomHorizontalFlip": True}), clips, 8)
    before = set(children())
    with build_loader(settings(look={"RandomHorizontalFlip": True}, workers=2), "training", clips) as loader:
        found = list(loader)
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in set(children()) - before}
        workers = [pid for pid, command in commands.items() if b"spawn_main" in command]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        time.sleep(0.5)  # DALI itself can wait for ever if it sends work in the very moment in which a worker dies
        while len(found) < 8:
            found += list(loader)
    for ours, theirs in zip(found, reference, strict=True):
        assert ours.row.tolist() == theirs.row.tolist()
        assert torch.equal(ours.video, theirs.video)


def test_workers_do_not_import_torch(tmp_path):
    """A worker's memory maps show what it has loaded."""
    clips = [make_clip(tmp_path, i, size) for i, size in enumerate(SIZES)]
    before = set(children())
    with build_loader(settings(workers=2), "training", clips) as loader:
        next(iter(loader))
        maps = [Path(f"/proc/{pid}/maps").read_text() for pid in set(children()) - before]
    maps = [text for text in maps if "libdali" in text]
    assert len(maps) == 2
    assert not any("libtorch" in text for text in maps)
