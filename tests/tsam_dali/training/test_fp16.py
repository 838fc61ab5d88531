"""Training in fp16: the scale of the loss, and steps that are skipped for it."""

import pytest
import torch

from tests.tsam_dali.training.test_engine import (
    JOB,
    Network,
    batch,
    settings,
    train,
    train_state_of,
    watched,
    weights_after,
)
from tsam_dali.training.nan_guard import MOST_SKIPPED, NonFiniteError
from tsam_dali.training.state import build_train_state


def test_fp16_steps_like_float32():
    expected, _ = weights_after([batch()] * 3, settings())
    found, _ = weights_after([batch()] * 3, settings(amp="fp16"))
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def test_fp16_skips_a_step_that_is_not_finite():
    spoiled = batch()
    spoiled.video[3] = float("inf")
    train_state = train_state_of(settings(amp="fp16"))
    train(train_state, [spoiled] * MOST_SKIPPED + [batch(), *[spoiled] * MOST_SKIPPED], watched(train_state))
    train_state.nan_guard.flush()
    assert train_state.scaler.get_scale() == 65536 * 0.5 ** (2 * MOST_SKIPPED)
    once, _ = weights_after([batch()], settings(amp="fp16"))
    torch.testing.assert_close(train_state.network.head.weight.detach(), once)


def test_fp16_stops_where_every_step_is_skipped():
    spoiled = batch()
    spoiled.video[3] = float("nan")
    train_state = train_state_of(settings(amp="fp16"))
    with pytest.raises(NonFiniteError, match=rf"step {MOST_SKIPPED} is not finite, as in the {MOST_SKIPPED}") as caught:
        train(train_state, [spoiled] * 2 * MOST_SKIPPED, watched(train_state))
    assert caught.value.rows == [3]
    assert torch.equal(train_state.network.head.weight, Network().head.weight)


def test_a_state_without_a_scale_goes_on_in_fp16():
    first = train_state_of(settings())
    state = first.state_dict() | {"epoch_sums": first.metrics.state_dict(), "config": settings().to_dict()}
    second = build_train_state(Network(), settings(amp="fp16"), JOB, steps_per_epoch=3, state=state)
    assert second.scaler.get_scale() == 65536
