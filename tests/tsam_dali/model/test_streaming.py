"""Frame by frame equals the whole clip."""

import pytest
import torch

from tests.helpers.networks import clips, network, one_thread  # noqa: F401
from tsam_dali.model.backbone import ModelError
from tsam_dali.model.streaming import Stream


@pytest.mark.parametrize("edge", ["keep", "zero"])
@pytest.mark.parametrize(("segments", "depth", "audio"), [(4, 1, 0), (4, 2, 1), (3, 4, 2)])
def test_after_s_frames_the_stream_equals_the_clip(segments, depth, audio, edge):
    model = network(
        *("shift_temporal.causal=true", f"model.video_segments={segments}", f"shift_temporal.shift_depth={depth}"),
        *(f"model.audio_segments={audio}", f"shift_temporal.edge={edge}"),
    )
    video, spectrograms = clips(model, count=1)
    with torch.no_grad():
        expected = model(video, spectrograms)[0]
    stream = Stream(model, spectrograms)
    results = [stream.push(frame) for frame in video[0]]
    assert torch.allclose(results[-1], expected, rtol=0, atol=1e-5)
    assert not torch.allclose(results[-2], expected, rtol=0, atol=1e-3)
    with torch.no_grad():
        assert torch.equal(model(video, spectrograms)[0], expected)  # the network is as it was


@pytest.mark.parametrize("arch", ["resnet18", "efficientnet_b0"])
def test_in_single_precision_probabilities_differ_by_less_than_1e_5(arch):
    model = network("shift_temporal.causal=true", "model.video_segments=8", f"model.arch={arch}").float()
    video, spectrograms = (part.float() for part in clips(model, count=1, size=64))
    with torch.no_grad():
        expected = model(video, spectrograms)[0]
    stream = Stream(model, spectrograms)
    last = [stream.push(frame) for frame in video[0]][-1]
    assert last.dtype == torch.float32
    assert torch.allclose(last, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
    assert torch.allclose(last.softmax(0), expected.softmax(0), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        ("shift_temporal.n_insert=2", "shift_temporal.shift_depth=2"),
        ("shift_temporal.n_insert=2", "shift_temporal.m_insert=1", "shift_temporal.shift_depth=3"),
        ("model.arch=mobilenetv2_050", "shift_temporal.shift_depth=2"),
        ("model.arch=mobilenetv3_small_050", "shift_temporal.n_insert=2"),
        ("model.arch=efficientnet_b0", "shift_temporal.shift_depth=2", "model.normalize=backbone"),
        ("model.arch=convnext_atto",),
    ],
)
def test_other_places_and_families(settings):
    model = network("shift_temporal.causal=true", "model.video_segments=4", *settings)
    video, spectrograms = clips(model, count=1)
    stream = Stream(model, spectrograms)
    with torch.no_grad():
        expected = model(video, spectrograms)[0]
    results = [stream.push(frame) for frame in video[0]]
    assert torch.allclose(results[-1], expected, rtol=0, atol=1e-5)


def test_the_audio_can_change():
    model = network("shift_temporal.causal=true", "model.video_segments=3")
    video, spectrograms = clips(model, count=1)
    stream = Stream(model, torch.zeros_like(spectrograms))
    for frame in video[0, :2]:
        stream.push(frame)
    stream.set_audio(spectrograms)
    with torch.no_grad():
        assert torch.allclose(stream.push(video[0, 2]), model(video, spectrograms)[0], rtol=0, atol=1e-5)
    with pytest.raises(ModelError, match="got 0 segments, expected 1"):
        stream.set_audio(None)


def test_a_network_that_needs_later_frames_is_an_error():
    with pytest.raises(ModelError, match="causal: got false, expected true"):
        Stream(network())


def test_distances_that_a_clip_does_not_hold_stay_unused_in_longer_videos():
    model = network("shift_temporal.causal=true", "model.video_segments=1", "model.audio_segments=0")
    video, _ = clips(model, count=4)
    stream = Stream(model)
    with torch.no_grad():
        expected = model(video)
    assert torch.allclose(torch.stack([stream.push(clip[0]) for clip in video]), expected, rtol=0, atol=1e-5)
