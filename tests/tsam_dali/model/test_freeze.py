"""Frozen parts keep their weights and statistics; BatchNorm works as asked for."""

import pytest
import torch
from torch import nn

from tests.helpers.networks import clips, network, one_thread, settings  # noqa: F401 (one_thread: a fixture)
from tsam_dali.config.sections import OptimizerParam, TrainingParam
from tsam_dali.distributed import Job
from tsam_dali.model import build_model
from tsam_dali.model.backbone import ModelError
from tsam_dali.model.freeze import set_training, shared_batch_norm
from tsam_dali.training.optim import build_optimizer


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


def test_the_head_is_trained_first(net):
    options = TrainingParam(freeze={"backbone": 2})
    set_training(net, options, 1)
    assert {name for name, parameter in net.named_parameters() if parameter.requires_grad} == {
        "head.weight",
        "head.bias",
    }
    assert not any(norm.training for norm in norms(net))
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


@pytest.fixture(scope="module")
def vit():
    """A ViT with stochastic depth; nothing but its gradients and modes changes."""
    return network("model.arch=test_vit", "model.drop_path=0.5").float()


def trained_names(net):
    return {name for name, parameter in net.named_parameters() if parameter.requires_grad}


def test_only_the_norms_and_the_head_are_trained(vit):
    set_training(vit, TrainingParam(trained="norms"), 0)
    blocks = {f"backbone.blocks.{i}.norm{n}.{part}" for i in range(6) for n in (1, 2) for part in ("weight", "bias")}
    ends = {f"{module}.{part}" for module in ("backbone.norm", "head") for part in ("weight", "bias")}
    assert trained_names(vit) == blocks | ends
    before = {name: parameter.detach().clone() for name, parameter in vit.named_parameters()}
    pictures = [part.float() for part in clips(vit)]
    optimizer = build_optimizer(vit, OptimizerParam(name="adamw", lr=0.01), 2)
    vit(*pictures).square().sum().backward()
    optimizer.step()
    changed = {name for name, parameter in vit.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == blocks | ends
    vit.zero_grad()
    set_training(vit, TrainingParam(trained="norms", freeze={"blocks.0": 2, "head": 1}), 1)
    assert trained_names(vit) == {name for name in blocks | ends if "blocks.0" not in name}
    set_training(vit, TrainingParam(), 0)
    assert trained_names(vit) == set(before)


def test_norms_of_a_resnet_are_trained(net):
    set_training(net, TrainingParam(trained="norms"), 0)
    expected = {name for name, _ in net.named_parameters() if "bn" in name or "downsample.1" in name or "head" in name}
    assert trained_names(net) == expected
    assert all(norm.training for norm in norms(net))


def test_only_the_head_is_trained(net, vit):
    for one in (net, vit):
        set_training(one, TrainingParam(trained="head"), 0)
        assert trained_names(one) == {"head.weight", "head.bias"}
        images = torch.rand(9, 3, 32, 32, dtype=one.head.weight.dtype)
        assert torch.equal(one.backbone(images), one.backbone(images))


def test_stochastic_depth(vit):
    set_training(vit, TrainingParam(), 0)
    rates = [getattr(block.drop_path2, "drop_prob", 0.0) for block in vit.backbone.blocks]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    last, x = vit.backbone.blocks[5], torch.ones(4000, 5, 64)
    last.drop_path1.register_forward_hook(lambda _module, _inputs, output: drawn.append(output))
    drawn = []
    with torch.no_grad():
        last.drop_path1(x)
    share = (drawn[0][:, 0, 0] == 0).float().mean()
    assert 0.45 < share < 0.55  # of the segments; what is left counts twice
    assert set(drawn[0].unique().tolist()) == {0.0, 2.0}
    vit.eval()
    assert torch.equal(last.drop_path1(x), x)


@pytest.mark.parametrize("arch", ["resnet18", "resnetv2_18", "regnety_002", "efficientnet_b0", "convnext_atto"])
def test_stochastic_depth_of_convolutional_networks(arch):
    with torch.device("meta"):
        found = build_model(settings(f"model.arch={arch}", "model.drop_path=0.3"), 3)
    assert max(getattr(module, "drop_prob", 0.0) for module in found.modules()) > 0.2


def test_activations_are_computed_again_for_the_same_gradients(vit):
    pictures = [part.float().requires_grad_() for part in clips(vit)]
    kept, gradients = {}, {}
    for checkpointing in (False, True):
        vit.zero_grad()
        set_training(vit, TrainingParam(grad_checkpointing=checkpointing), 0)
        torch.manual_seed(3)  # stochastic depth draws the same again
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, sizes=sizes: sizes.append(x.nbytes) or x, lambda x: x):
            loss = vit(*pictures).square().sum()
        loss.backward()
        kept[checkpointing] = sum(sizes)
        gradients[checkpointing] = {name: parameter.grad.clone() for name, parameter in vit.named_parameters()}
    assert kept[True] < kept[False] / 3
    for name, gradient in gradients[False].items():
        assert torch.equal(gradients[True][name], gradient), name
    vit.backbone.set_grad_checkpointing(False)


def test_batch_norm_must_not_see_a_batch_twice(net):
    with pytest.raises(ModelError, match=r"count each batch twice; set training_param.batch_norm=frozen"):
        set_training(net, TrainingParam(grad_checkpointing=True), 0)
    set_training(net, TrainingParam(grad_checkpointing=True, batch_norm="frozen"), 0)
    assert net.backbone.grad_checkpointing


def test_batch_norm_over_the_ranks_needs_gpus(net):
    options = TrainingParam(batch_norm="sync")
    assert shared_batch_norm(net, options, Job(0, 1, 1, torch.device("cpu"))) is net
    with pytest.raises(ModelError, match="sync works on GPUs only; choose train, partial or frozen"):
        shared_batch_norm(net, options, Job(0, 2, 2, torch.device("cpu")))
    over_ranks = shared_batch_norm(net, options, Job(0, 2, 2, torch.device("cuda", 0)))
    assert any(isinstance(module, nn.SyncBatchNorm) for module in over_ranks.modules())
