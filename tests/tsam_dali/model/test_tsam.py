"""The network: the same numbers as a second implementation, every family of backbones, checks at the entrance."""

import copy

import pytest
import torch
from torch.nn import functional as F

from tests.helpers.naive_tsam import naive_logits, naive_shift, tsm_shift
from tests.helpers.networks import clips, network, one_thread, settings  # noqa: F401 (one_thread: a fixture)
from tsam_dali.model import build_model
from tsam_dali.model.backbone import ModelError, shifts
from tsam_dali.model.summary import describe


@pytest.mark.parametrize(
    ("arch", "video", "audio", "f_div", "depth", "n_insert", "m_insert", "edge"),
    [
        ("resnet18", 8, 1, 4, 4, 2, 0, "keep"),
        ("resnet18", 8, 0, 4, 1, 1, 0, "keep"),
        ("resnet18", 6, 2, 2, 3, 2, 1, "keep"),
        ("resnet18", 3, 1, 2, 5, 1, 0, "keep"),  # fewer segments than the shift is deep
        ("resnet18", 3, 2, 4, 5, 1, 0, "zero"),
        ("resnet18", 1, 1, 8, 2, 1, 0, "keep"),
        ("resnet18", 4, 1, 3, 2, 1, 0, "zero"),  # 64 // 3 // 2 = 10 channels a group
        ("resnet34", 4, 1, 4, 2, 3, 2, "keep"),  # stages of 3, 4, 6 and 3 blocks
        ("resnet34", 4, 2, 8, 5, 4, 1, "keep"),
        ("resnet26", 5, 1, 4, 4, 2, 0, "keep"),
        ("resnet26", 4, 0, 8, 2, 2, 1, "zero"),
    ],
)
def test_logits_are_those_of_the_naive_network(arch, video, audio, f_div, depth, n_insert, m_insert, edge):
    model = network(
        *(f"model.arch={arch}", f"model.video_segments={video}", f"model.audio_segments={audio}"),
        *(f"shift_temporal.f_div={f_div}", f"shift_temporal.shift_depth={depth}", f"shift_temporal.edge={edge}"),
        *(f"shift_temporal.n_insert={n_insert}", f"shift_temporal.m_insert={m_insert}"),
    )
    pictures = clips(model)
    expected = naive_logits(
        model.state_dict(),
        *pictures,
        lambda x: naive_shift(x, video + audio, video, f_div, depth, edge),
        n_insert,
        m_insert,
    )
    torch.testing.assert_close(model(*pictures), expected, rtol=1e-9, atol=1e-9)


def test_a_causal_network():
    model = network("shift_temporal.causal=true")
    video, audio = clips(model)
    options = model.shift_temporal
    expected = naive_logits(
        model.state_dict(),
        video,
        audio,
        lambda x: naive_shift(x, 9, 8, options.f_div, options.shift_depth, "keep", True),
        options.n_insert,
        options.m_insert,
    )
    torch.testing.assert_close(model(video, audio), expected, rtol=1e-9, atol=1e-9)
    assert "edge keep, causal" in describe(model.to("meta"), 64)


def test_logits_are_those_of_tsm():
    model = network(
        "model.audio_segments=0", "shift_temporal.f_div=8", "shift_temporal.shift_depth=1", "shift_temporal.edge=zero"
    )
    video, _ = clips(model)
    expected = naive_logits(model.state_dict(), video, None, lambda x: tsm_shift(x, 8), 1, 0)
    torch.testing.assert_close(model(video, None), expected, rtol=1e-9, atol=1e-9)


def test_normalize_applies_to_video_only():
    plain, normalizing = network(), network("model.normalize=backbone")
    video, audio = clips(plain)
    mean, std = (
        torch.tensor(value, dtype=torch.float64).view(3, 1, 1)
        for value in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    torch.testing.assert_close(normalizing(video, audio), plain((video - mean) / std, audio), rtol=1e-5, atol=1e-5)
    assert set(plain.state_dict()) == set(normalizing.state_dict())


def test_clips_of_a_batch_do_not_mix():
    model = network()
    video, audio = clips(model, count=3)
    together = model(video, audio)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], model(video[i : i + 1], audio[i : i + 1]))


def test_dropout_drops_features_of_each_segment():
    """The mean over T segments evens the draws out: its deviation is that of one draw by the root of T."""
    model = network("model.dropout=0.5")
    video, audio = clips(model, count=1)
    model.backbone = torch.nn.Linear(1, 200)  # any features that are the same for all segments
    model.backbone.forward = lambda segments: torch.ones(len(segments), 200, dtype=torch.float64)
    seen = []
    model.head = torch.nn.Linear(200, 3, dtype=torch.float64)
    model.head.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    model.eval()(video, audio)
    model.dropout.train()
    for _ in range(50):
        model(video, audio)
    segments = model.video_segments + model.audio_segments
    whole, dropped = seen[0], torch.cat(seen[1:])
    assert torch.equal(whole, torch.ones_like(whole))
    assert abs(dropped.mean() - 1) < 0.02
    assert abs(dropped.std() * segments**0.5 - 1) < 0.05  # p = 0.5: 0 or 2, each deviates by 1


def test_channels_last_gives_the_same_logits():
    model = network()
    video, audio = clips(model)
    expected = model(video, audio)
    model.to(memory_format=torch.channels_last)
    layouts = []
    for _, shift in shifts(model.backbone):
        shift.register_forward_hook(
            lambda _module, _inputs, output: layouts.append(output.is_contiguous(memory_format=torch.channels_last))
        )
    torch.testing.assert_close(model(video, audio), expected)
    assert layouts == [True] * 8


def test_trains_in_bf16_under_autocast():
    model = build_model(settings("model.arch=test_resnet"), 5).to(memory_format=torch.channels_last)
    video, audio = (pictures.float() for pictures in clips(model))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(12):
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(model(video, audio), torch.tensor([1, 3]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_compiles_without_graph_break():
    model = network("model.arch=resnet10t", "model.normalize=backbone")
    compiled = torch.compile(copy.deepcopy(model), backend="aot_eager", fullgraph=True)
    pictures = clips(model)
    logits, compiled_logits = model(*pictures), compiled(*pictures)
    torch.testing.assert_close(compiled_logits, logits)
    logits.sum().backward()
    compiled_logits.sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name, parameter in compiled._orig_mod.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name])


def test_exports_with_any_number_of_clips():
    model = network("model.arch=resnet10t")
    batch = {0: torch.export.Dim("batch", max=64)}
    program = torch.export.export(model, clips(model), dynamic_shapes={"video": batch, "audio": batch})
    pictures = clips(model, count=3, seed=1)
    torch.testing.assert_close(program.module()(*pictures), model(*pictures))


@pytest.mark.parametrize(
    ("audio_segments", "video", "audio", "message"),
    [
        (1, (2, 4, 3, 8, 8), (2, 1, 3, 8, 8), r"video: got shape \(2, 4, 3, 8, 8\), expected \(B, 8, 3, H, W\)"),
        (1, (2, 8, 1, 8, 8), (2, 1, 3, 8, 8), r"video: got shape \(2, 8, 1, 8, 8\)"),
        (1, (16, 3, 8, 8), (2, 1, 3, 8, 8), r"video: got shape \(16, 3, 8, 8\)"),
        (1, (2, 8, 3, 8, 8), None, "audio: got none, expected 1 segment"),
        (0, (2, 8, 3, 8, 8), (2, 1, 3, 8, 8), r"audio: got shape \(2, 1, 3, 8, 8\), expected 0 segments"),
        (2, (2, 8, 3, 8, 8), (2, 1, 3, 8, 8), r"expected \(2, 2, 3, 8, 8\)"),
        (1, (2, 8, 3, 8, 8), (1, 1, 3, 8, 8), r"expected \(2, 1, 3, 8, 8\)"),
        (1, (2, 8, 3, 8, 8), (2, 1, 3, 16, 8), r"expected \(2, 1, 3, 8, 8\)"),
    ],
)
def test_wrong_shapes_are_refused_at_the_entrance(audio_segments, video, audio, message):
    model = build_model(settings("model.arch=resnet10t", f"model.audio_segments={audio_segments}"), 4)
    with pytest.raises(ModelError, match=message):
        model(torch.zeros(video), None if audio is None else torch.zeros(audio))


def test_integer_pixels_are_refused():
    model = build_model(settings("model.arch=resnet10t", "model.audio_segments=0"), 4)
    with pytest.raises(ModelError, match=r"torch.uint8, expected floating point values 0..1"):
        model(torch.zeros(1, 8, 3, 8, 8, dtype=torch.uint8))
