"""Batches: the right frames and pixels, whatever the way in; epochs that go on. Real DALI, real workers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from benchmarks.baselines.tsam_augmentation import recolored
from pipelines.audio.mel_records import store_audio, summary_writer
from pipelines.audio.mel_store import MelStore
from pipelines.dataset.clips import Clip
from pipelines.dataset.load import load_clips
from pipelines.loader import build_loader
from pipelines.sampling import validation_frames
from tests.helpers.loading import (
    SEGMENTS,
    SIDE,
    SIZES,
    batches,
    batches_from,
    children,
    expected_video,
    make_clip,
    resized_as_pillow,
    settings,
)
from tests.helpers.media import frame_numbers, write_video


@pytest.fixture(scope="module", params=["h264", "vp9"])
def codec(request):
    return request.param


@pytest.fixture(scope="module")
def clips(codec, tmp_path_factory) -> list[Clip]:
    folder = tmp_path_factory.mktemp(codec)
    return [make_clip(folder, i, size, codec) for i, size in enumerate(SIZES)]


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
                assert resized_as_pillow(difference)
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
    """The same graphs, with DALI's CPU decoder, which takes VP9. Its colors are rounded otherwise."""
    clips = [make_clip(tmp_path, i, size, "vp9") for i, size in enumerate(SIZES[:3])]
    clips.append(make_clip(tmp_path, 3, SIZES[3], "vp9", frames=3))  # of five segments, some see the same frame
    look = {"RandomHorizontalFlip": True}
    reference = batches(settings(look=look, batch_size=4), "training", clips, 3)
    found = batches(settings(look=look, batch_size=4, pipeline={"decode": decode}), "training", clips, 3)
    for ours, theirs in zip(found, reference, strict=False):
        assert ours.row.tolist() == theirs.row.tolist()
        assert ours.ok.all()
        assert (ours.video - theirs.video).abs().mean() * 255 < 2


def test_color_changes_are_those_of_the_plan(tmp_path):
    clips = [make_clip(tmp_path, i, (96, 96)) for i in range(6)]
    look = {"ColorJitter": True, "RandomGrayscale": 0.5, "GaussianBlur": True}
    config = settings(look=look, batch_size=6)
    with build_loader(config, "training", clips) as loader:
        batch = next(iter(loader))
        plans = all_plans(loader, 1)
    greys = 0
    for video, row, plan in zip(batch.video.numpy(), batch.row.tolist(), plans, strict=True):
        expected = expected_video(clips[row], plan).astype(np.float32) / 255
        expected = recolored(torch.from_numpy(expected), plan, functional).numpy()
        assert np.abs(video - expected).mean() * 255 < 0.3
        greys += plan.color.grey
        assert (np.ptp(video, axis=1).max() < 0.02) == plan.color.grey
    assert 0 < greys < 6


@pytest.mark.parametrize("audio_segments", [1, 2])
def test_audio_is_that_of_the_plan(tmp_path, audio_segments):
    (tmp_path / "videos").mkdir()
    for i in range(4):
        write_video(tmp_path / f"videos/clip{i}.mp4", 25, audio=i < 3)
    model = {"video_segments": SEGMENTS, "audio_segments": audio_segments}
    config = settings(tmp_path, model=model, batch_size=4)
    (tmp_path / "training.txt").write_text("clip0 0\nclip1 0\nclip2 0\nclip3 0\n")
    (tmp_path / "validation.txt").write_text("clip0 0\n")
    options = config.data_augmentation.audio_image_param
    with summary_writer(config.dataset.mels) as add:
        for i in range(4):
            add(
                store_audio(
                    config.dataset.mels, config.dataset.data_dir, f"clip{i}", tmp_path / f"videos/clip{i}.mp4", options
                )
            )
    clips = load_clips(config)["training"]
    assert [clip.audio for clip in clips] == ["clip0", "clip1", "clip2", ""]
    store = MelStore(config.dataset.mels, options)
    with build_loader(config, "training", clips) as loader:
        batch = next(iter(loader))
        plans = all_plans(loader, 1)
    for picture, row, plan in zip(batch.audio, batch.row.tolist(), plans, strict=True):
        assert plan.audio_cut[0] > 0
        expected = store.spectrogram(f"clip{row}", audio_segments, plan.audio_cut)
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


def test_a_mirrored_clip_has_the_label_of_what_it_shows(clips):
    """Labels are 0, 1 and 2; 0 and 2 change places where the plan mirrors, and nowhere else."""
    dataset = {"data_dir": ".", "flip_labels": [[2, 0]]}
    config = settings(look={"RandomHorizontalFlip": True}, dataset=dataset)
    with build_loader(config, "training", clips) as loader:
        found = set()
        for step, batch in enumerate([*loader, *loader]):
            for place, (row, label) in enumerate(zip(batch.row.tolist(), batch.label.tolist(), strict=True)):
                flip = loader.source.plan(loader.source.order.position(step, place)).flip
                assert label == ({0: 2, 1: 1, 2: 0}[clips[row].label] if flip else clips[row].label)
                found.add((clips[row].label, flip))
        assert len(found) > 4
    for batch in batches(config, "validation", clips):
        assert [clips[row].label for row in batch.row[batch.ok].tolist()] == batch.label[batch.ok].tolist()


def test_a_mirrored_clip_has_the_labels_of_what_it_shows(clips):
    """Labels 0 and 2 change places, where a clip has one of them; a clip may have none."""
    texts, mirrored = ("0,1", "2", "-"), {"0,1": [0, 1, 1], "2": [1, 0, 0], "-": [0, 0, 0]}
    dataset = {"data_dir": ".", "task": "labels", "class_names": ["to the left", "up", "to the right"]}
    config = settings(look={"RandomHorizontalFlip": True}, dataset=dataset | {"flip_labels": [[2, 0]]})
    labelled = [clip._replace(label=-1, target=texts[row % 3]) for row, clip in enumerate(clips)]
    with build_loader(config, "training", labelled) as loader:
        for step, batch in enumerate([*loader, *loader]):
            for place, (row, label) in enumerate(zip(batch.row.tolist(), batch.label.tolist(), strict=True)):
                text, flip = texts[row % 3], loader.source.plan(loader.source.order.position(step, place)).flip
                assert label == (mirrored[text] if flip else config.dataset.targets.vector(text).tolist())
