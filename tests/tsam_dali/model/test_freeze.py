"""Frozen parts keep their weights and statistics; BatchNorm works as asked for."""

import pytest
import torch
from torch import nn

from tests.helpers.networks import network
from tsam_dali.config.sections import TrainingParam
from tsam_dali.distributed import Job
from tsam_dali.model.backbone import ModelError
from tsam_dali.model.freeze import set_training, shared_batch_norm
from tsam_dali.training.mixup import warn_if_alone


@pytest.fixture
def net():
    return network()


def norms(net):
    return [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]


def test_a_frozen_part_learns_nothing_until_its_epoch(net):
    options = TrainingParam(freeze={"layer1": 2, "conv1": 1})
    set_training(net, options, 1)
    frozen = {name for name, parameter in net.named_parameters() if not parameter.requires_grad}
    assert frozen
    assert all(name.startswith("backbone.layer1.") for name in frozen)
    assert not net.backbone.layer1[0].bn1.training
    assert net.backbone.layer2[0].bn1.training
    set_training(net, options, 2)
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(norm.training for norm in norms(net))


def test_partial_and_frozen_batch_norm(net):
    set_training(net, TrainingParam(batch_norm="partial"), 0)
    assert [norm.training for norm in norms(net)] == [True] + [False] * (len(norms(net)) - 1)
    assert [norm.weight.requires_grad for norm in norms(net)] == [norm.training for norm in norms(net)]
    set_training(net, TrainingParam(batch_norm="frozen"), 0)
    assert not any(norm.training for norm in norms(net))


def test_an_unknown_part_is_named(net):
    with pytest.raises(ModelError, match=r"no 'layer9' in the network; its parts: conv1, .*head"):
        set_training(net, TrainingParam(freeze={"layer9": 1}), 0)


def test_batch_norm_over_the_ranks_needs_gpus(net):
    options = TrainingParam(batch_norm="sync")
    assert shared_batch_norm(net, options, Job(0, 1, 1, torch.device("cpu"))) is net
    with pytest.raises(ModelError, match="sync works on GPUs only; choose train, partial or frozen"):
        shared_batch_norm(net, options, Job(0, 2, 2, torch.device("cpu")))
    over_ranks = shared_batch_norm(net, options, Job(0, 2, 2, torch.device("cuda", 0)))
    assert any(isinstance(module, nn.SyncBatchNorm) for module in over_ranks.modules())


@pytest.mark.parametrize(("mixup", "batch_size", "rank"), [(0.2, 4, 0), (0.2, 8, 0), (0.0, 4, 0), (0.2, 4, 1)])
def test_mixup_without_partners_is_a_warning(caplog, mixup, batch_size, rank):
    warn_if_alone(TrainingParam(mixup=mixup, batch_size=batch_size), Job(rank, 4, 4, torch.device("cpu")))
    assert ("nothing is blended" in caplog.text) == (mixup > 0 and batch_size == 4 and rank == 0)


def test_audio_and_labels_are_blended_alike():
    from pipelines.loader import Batch
    from tsam_dali.training.mixup import mix

    video, audio = torch.rand(4, 2, 3, 2, 2), torch.rand(4, 1, 3, 2, 2)
    ok = torch.tensor([True, True, False, True])
    batch = Batch(video, audio, torch.arange(4), torch.arange(4), ok)
    mixed, targets = mix(batch, 0.5, seed=1, step=7)
    share = targets.share[0].item()
    assert 0.5 <= share < 1
    torch.testing.assert_close(mixed.video[0], share * video[0] + (1 - share) * video[3])
    torch.testing.assert_close(mixed.audio[3], share * audio[3] + (1 - share) * audio[0])
    assert targets.other.tolist() == [3, 2, 1, 0]
    assert targets.share[1] == 1  # its partner could not be read
    assert torch.equal(mixed.video[1], video[1])
    assert mix(batch, 0.5, seed=1, step=7)[1].share[0] == targets.share[0]
    assert mix(batch, 0.5, seed=1, step=8)[1].share[0] != targets.share[0]
    assert mix(batch, 0.0, seed=1, step=7)[0] is batch
