"""Draws of a clip's variation, and what they do to a batch: only what is switched on, to all frames of a clip alike."""

from collections import Counter

import numpy as np
import pytest
import torch

from pipelines.dali.vary import vary
from pipelines.dataset.load import load_clips
from pipelines.loader import build_loader
from pipelines.sampling.plan import AudioAugmentation, VideoAugmentation, training_plan
from pipelines.sampling.variation import OPERATIONS, Variation, training_variation, varies
from tests.helpers.loading import batches_from
from tests.helpers.processes import called
from tools import precompute_audio
from tsam_dali.config.load import ConfigError, config_from_dict, load_config

SWITCHES = {
    "RandAugment": ("video", 2, {"operations"}),
    "RandomErasing": ("video", 0.5, {"erased"}),
    "SpecAugment": ("audio", 2, {"bands", "times"}),
    "modality_dropout": ("video", 0.3, {"silenced"}),
}
SILENCE = -3.0


def options(*names):
    video = {name: value for name, (part, value, _) in SWITCHES.items() if name in names and part == "video"}
    audio = {name: value for name, (part, value, _) in SWITCHES.items() if name in names and part == "audio"}
    return VideoAugmentation(**video), AudioAugmentation(**audio)


def draws(names, rows=range(400), epoch=1):
    return [training_variation(*options(*names), seed=3, epoch=epoch, row=row) for row in rows]


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_changes_its_own_draws_alone(name):
    others = [other for other in SWITCHES if other != name]
    with_all, without = draws(SWITCHES), draws(others)
    own = SWITCHES[name][2]
    for some, rest in zip(with_all, without, strict=True):
        for field in Variation._fields:
            if field in own:
                assert getattr(rest, field) == getattr(Variation(), field)
            else:
                assert getattr(rest, field) == getattr(some, field)
    assert with_all != without
    assert varies(*options(name))
    assert not varies(*options())
    sizes = {"num_frames": 30, "height": 96, "width": 128, "num_segments": 4, "seed": 3, "epoch": 1, "row": 7}
    plans = [training_plan(video=video, audio=audio, **sizes) for video, audio in (options(name), options())]
    assert np.array_equal(plans[0].frames, plans[1].frames)
    assert plans[0][1:] == plans[1][1:]


def test_draws_have_their_shares():
    found = draws(SWITCHES, range(4000))
    kinds = Counter(operation.kind for varied in found for operation in varied.operations)
    assert set(kinds) == set(OPERATIONS)
    assert sum(kinds.values()) == pytest.approx(4000, rel=0.05)  # two of each clip, each made with probability 1/2
    assert max(kinds.values()) < 1.5 * min(kinds.values())
    erased = [varied.erased for varied in found if varied.erased]
    assert len(erased) == pytest.approx(2000, rel=0.06)
    areas = [one.rows.length * one.columns.length for one in erased]
    assert min(areas) >= 0.0199
    assert max(areas) <= 0.334
    assert sum(varied.silenced == "frames" for varied in found) == pytest.approx(1200, rel=0.08)
    both = sum(varied.silenced == "frames" and varied.erased is not None for varied in found)
    assert both == pytest.approx(600, rel=0.12)  # one draw says nothing of another
    spans = [span for varied in found for span in (*varied.bands, *varied.times)]
    spans += [span for one in erased for span in one[:2]]
    assert all(span.start >= 0 and span.start + span.length <= 1 + 1e-9 for span in spans)
    assert max(span.length for varied in found for span in varied.bands) <= 0.25
    dropped = VideoAugmentation(modality_dropout=0.5), AudioAugmentation(modality_dropout=0.5)
    silenced = Counter(training_variation(*dropped, seed=0, epoch=0, row=row).silenced for row in range(1000))
    assert silenced.keys() == {"frames", "audio"}


def test_draws_are_anew_for_each_epoch_row_and_repeat():
    on = options(*SWITCHES)
    found = {
        training_variation(*on, seed=seed, epoch=epoch, row=row, repeat=repeat)
        for seed in range(2)
        for epoch in range(2)
        for row in range(2)
        for repeat in range(2)
    }
    assert len(found) == 16
    assert draws(SWITCHES) == draws(SWITCHES)


def test_audio_that_is_not_varied_stays_as_it_is():
    still = AudioAugmentation(status=False, SpecAugment=2, modality_dropout=0.9)
    assert not varies(VideoAugmentation(), still)
    found = [training_variation(VideoAugmentation(RandAugment=1), still, seed=0, epoch=0, row=row) for row in range(50)]
    assert not any(varied.bands or varied.times or varied.silenced for varied in found)


def batch(count=24, segments=3):
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(count, 1, 3, 32, 32, generator=generator)
    audio = torch.rand(count, 2, 3, 32, 32, generator=generator)
    return frames.expand(-1, segments, -1, -1, -1).clone(), audio


def test_equal_frames_stay_equal():
    video, audio = batch()
    before = video.clone()
    vary(video, audio, draws(SWITCHES, range(24)), SILENCE)
    assert torch.equal(video, video[:, :1].expand_as(video))
    assert (video != before).flatten(1).any(1).float().mean() > 0.7
    assert video.min() >= 0
    assert video.max() <= 1


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_changes_frames_or_audio(name):
    video, audio = batch()
    varied = draws([name], range(24))
    changed_video, changed_audio = video.clone(), audio.clone()
    vary(changed_video, changed_audio, varied, SILENCE)
    assert torch.equal(changed_video, video) == (name == "SpecAugment")
    assert torch.equal(changed_audio, audio) == (name != "SpecAugment")
    for i, one in enumerate(varied):
        if one == Variation():
            assert torch.equal(changed_video[i], video[i])


def test_what_is_erased_masked_and_silenced():
    video, audio = batch()
    rng = np.random.default_rng(0)
    on = VideoAugmentation(RandomErasing=1), AudioAugmentation(SpecAugment=1, modality_dropout=0.5)
    varied = [training_variation(*on, seed=0, epoch=0, row=int(row)) for row in rng.permutation(24)]
    found = video.clone(), audio.clone()
    vary(*found, varied, SILENCE)
    for i, one in enumerate(varied):
        inside = torch.zeros(32, 32, dtype=torch.bool)
        inside[one.erased.rows.pixels(32), one.erased.columns.pixels(32)] = True
        assert torch.equal(found[0][i][..., ~inside], video[i][..., ~inside])
        for channel, value in enumerate(one.erased.color):
            assert (found[0][i][:, channel, inside] == np.float32(value)).all()
        if one.silenced:
            assert (found[1][i] == SILENCE).all()
            continue
        masked = torch.zeros(32, 32, dtype=torch.bool)
        masked[one.bands[0].pixels(32)] = True
        masked[:, one.times[0].pixels(32)] = True
        assert torch.equal(found[1][i][..., ~masked], audio[i][..., ~masked])
        means = audio[i].mean((2, 3))[..., None].expand(-1, -1, int(masked.sum()))
        torch.testing.assert_close(found[1][i][..., masked], means)


@pytest.fixture(scope="module")
def settings(example):
    made = called(precompute_audio.main, "--data", example / "data.json", "--workers", 1)
    assert made.returncode == 0, made.stderr

    def settings(**changes):
        images = "data_augmentation.video_augmentation"
        sizes = ["training_param.batch_size=6", "model.video_segments=2", "pipeline.workers=0"]
        changed = [f"data_augmentation.{name.replace('__', '.')}={value}" for name, value in changes.items()]
        return load_config(
            example / "data.json", "config/example_config.json", [*sizes, f"{images}.scales=[1]", *changed]
        )

    return settings


ALL = {"video_augmentation__RandAugment": 2, "video_augmentation__RandomErasing": 0.5}
ALL |= {"audio_augmentation__SpecAugment": 1, "audio_augmentation__modality_dropout": 0.3}


def test_batches_are_the_same_on_any_number_of_ranks_and_from_any_step(settings):
    config = settings(**ALL)
    clips = load_clips(config)["training"]
    whole, plain = (batches_from(3, one, clips, 3) for one in (config, settings()))
    resumed = batches_from(4, config, clips, 1)
    images = config.data_augmentation
    for step, (batch, still) in enumerate(zip(whole, plain, strict=True), 3):
        draws = {"seed": config.training_param.seed, "epoch": step // 4}
        on = images.video_augmentation, images.audio_augmentation
        varied = [training_variation(*on, row=row, **draws) for row in still.row.tolist()]
        expected = still.video.clone(), still.audio.clone()
        vary(*expected, varied, images.audio_image_param.silence)
        assert torch.equal(batch.video, expected[0])
        assert torch.equal(batch.audio, expected[1])
    for name in ("video", "audio"):
        assert torch.equal(getattr(resumed[0], name), getattr(whole[1], name))
        assert not torch.equal(getattr(plain[0], name), getattr(whole[0], name))
        parts = []
        for rank in range(3):
            with build_loader(config, "training", clips, rank=rank, world=3) as loader:
                loader.seek(3)
                parts.append(getattr(next(iter(loader)), name))
        assert torch.equal(torch.cat(parts), getattr(whole[0], name))
    assert all(torch.equal(a.label, b.label) and torch.equal(a.row, b.row) for a, b in zip(whole, plain, strict=True))


def test_validation_is_not_varied(settings):
    clips = load_clips(settings())["validation"]
    found = []
    for config in (settings(), settings(**ALL)):
        with build_loader(config, "validation", clips) as loader:
            found.append(next(iter(loader)))
    assert torch.equal(found[0].video, found[1].video)
    assert torch.equal(found[0].audio, found[1].audio)


def test_a_clip_without_audio_keeps_its_frames(settings):
    config = settings(video_augmentation__modality_dropout=1.0)
    clips = [
        clip._replace(audio=clip.audio if row % 2 else "") for row, clip in enumerate(load_clips(config)["training"])
    ]
    with build_loader(config, "training", clips) as loader:
        found = next(iter(loader))
    black = found.video.flatten(1).amax(1) == 0
    assert black.tolist() == [row % 2 == 1 for row in found.row.tolist()]
    assert 0 < black.sum() < 6


@pytest.mark.parametrize(
    ("audio_segments", "dropout", "said"),
    [(0, (0.1, 0), "for networks with audio"), (1, (0.7, 0.4), r"0.7 \+ 0.4, are above 1"), (1, (0.5, 0.5), "")],
)
def test_modality_dropout_that_makes_no_sense_is_refused(audio_segments, dropout, said):
    parts = ("video_augmentation", "audio_augmentation")
    images = {part: {"modality_dropout": share} for part, share in zip(parts, dropout, strict=True)}
    sections = {"dataset": {"data_dir": "."}, "data_augmentation": images, "model": {"audio_segments": audio_segments}}
    if said:
        with pytest.raises(ConfigError, match=said):
            config_from_dict(sections)
    else:
        config_from_dict(sections)
