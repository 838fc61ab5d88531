"""Networks that were trained on stretches: predictions, windows, streams and exports know it."""

import numpy as np
import pytest

import tsam_dali
from tests.helpers.checkpoints import checkpoint
from tests.helpers.media import frame_numbers, write_video
from tests.helpers.networks import one_thread  # noqa: F401 (a fixture)
from tsam_dali.config.load import ConfigError
from tsam_dali.evaluate.evaluator import choose_views
from tsam_dali.inference.live import follow
from tsam_dali.inference.preprocessing import preprocessing
from tsam_dali.weights.trained import network_of, read_trained

DENSE = ("model.sampling=dense", "pipeline.workers=0")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("run") / "latest", *DENSE, "model.clip_seconds=3")


@pytest.fixture(scope="module")
def by_stride(tmp_path_factory):
    causal = ("model.audio_segments=0", "shift_temporal.causal=true")
    return checkpoint(tmp_path_factory.mktemp("run") / "latest", *DENSE, *causal, "model.stride=4")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Twelve seconds, square, numbered frames, a tone."""
    return write_video(tmp_path_factory.mktemp("videos") / "a.mp4", 120, size=(96, 96), fps=10, audio=True)


def numbers(video):
    return frame_numbers((255 * video.permute(0, 2, 3, 1).numpy()).astype(np.uint8)).tolist()


def test_a_prediction_sees_the_centred_stretch(file, video):
    (found,) = tsam_dali.load(file).predict_all([video])
    assert numbers(found.video) == [45, 55, 65]
    assert found.audio.std() > 0


def test_each_window_shows_its_own_centred_stretch(file, video, monkeypatch):
    predictor = tsam_dali.load(file)
    fed, spans = [], []
    predictor.network.register_forward_pre_hook(lambda _module, inputs: fed.append(inputs))
    from tsam_dali.inference import timeline

    read = timeline.window_spectrograms
    monkeypatch.setattr(
        timeline, "window_spectrograms", lambda path, own, *rest: spans.extend(own) or read(path, own, *rest)
    )
    found = predictor.timeline(video, window=5, stride=5)
    assert [(one.start, one.end) for one in found.windows] == [(0, 5), (5, 10), (7, 12)]
    assert [numbers(one) for one in fed[0][0]] == [[10, 20, 30], [60, 70, 80], [80, 90, 100]]
    assert np.allclose(spans, [(1, 4), (6, 9), (8, 11)])
    fed.clear()
    predictor.timeline(video, window=2, stride=2)
    assert numbers(fed[0][0][1]) == [20, 30, 20]  # a window that is shorter than the stretch starts over


def test_a_stream_has_the_rate_of_the_stretches(file, by_stride, video, tmp_path):
    causal = checkpoint(tmp_path / "latest", *DENSE, "model.clip_seconds=3", "shift_temporal.causal=true")
    moments = list(tsam_dali.load(causal).live(video))
    assert len(moments) == 12  # three frames in three seconds
    predictor = tsam_dali.load(by_stride)
    with pytest.raises(ValueError, match=r"--fps: needed, .* give that rate divided by 4"):
        next(follow(predictor.network, predictor.config, predictor.device, str(video)))
    assert len(list(predictor.live(video, fps=2.5))) == 30


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (("model.stride=4",), "L = S * 4;"),
        (("model.stride=4", "model.target_fps=15"), "L = S * 4 / 15 * the video's frames per second;"),
        (("model.clip_seconds=2.5", "model.dense_rule=slowfast"), "L = 2.5 s at the video's rate;"),
    ],
)
def test_exports_say_which_frames_to_take(tmp_path, changes, expected):
    trained = read_trained(checkpoint(tmp_path / "latest", *DENSE, *changes))
    about = preprocessing(trained, network_of(trained, "latest"))
    assert expected in about["video"]["frames"]
    assert ("(S - 1)" in about["video"]["frames"]) == ("model.dense_rule=slowfast" in changes)
    assert about["audio"]["of"] == "the stretch of the frames"


def test_an_evaluation_takes_the_stretches_of_the_training(file, tmp_path):
    dense = read_trained(file).config
    views = choose_views(None, dense)
    assert (views.protocol, views.clips, views.crops) == ("dense", 10, 1)
    assert choose_views("centre", dense).clips == 1
    with pytest.raises(
        ValueError, match=r"^protocol tsm-dense: not for a network with model.sampling dense; choose dense$"
    ):
        choose_views("tsm-dense", dense)
    segments = read_trained(checkpoint(tmp_path / "latest")).config
    assert choose_views(None, segments).protocol == "tsam"
    with pytest.raises(ValueError, match="protocol dense: not for a network with model.sampling segments"):
        choose_views("dense", segments)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (("model.sampling=dense",), "model.sampling: dense needs the length of its stretch"),
        (("model.stride=4",), "model.stride: has no meaning for model.sampling segments"),
        (
            ("model.sampling=dense", "model.clip_seconds=2", "model.target_fps=9"),
            "model.target_fps: model.clip_seconds",
        ),
        (("model.sampling=dense", "model.clip_seconds=2", "pipeline.source=frames"), "dataset.frames_fps: missing"),
        (("model.sampling=dense", "model.stride=2", "pipeline.source=frames"), "dataset.frames_fps: missing"),
        (("model.sampling=dense", "model.stride=0"), "model.stride: input should be greater than or equal to 1, got 0"),
        (("model.sampling=sparse",), "model.sampling: input should be 'segments' or 'dense', got \"sparse\""),
    ],
)
def test_settings_that_do_not_go_together_are_named(tmp_path, changes, expected):
    with pytest.raises(ConfigError) as caught:
        checkpoint(tmp_path / "latest", *changes)
    (problem,) = caught.value.problems
    assert problem.startswith(expected)
