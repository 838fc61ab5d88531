"""`training_param.compile`: `auto` compiles what that makes faster, and compiled gradients are sent as they come."""

import time
from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch import nn

from pipelines.loader import Batch
from tests.helpers.networks import one_thread
from tsam_dali.config.load import config_from_dict
from tsam_dali.distributed import Job
from tsam_dali.training import compiled, state
from tsam_dali.training.compiled import WORTH_SECONDS, compiling_pays
from tsam_dali.training.engine import train_one_epoch
from tsam_dali.training.state import build_train_state

__all__ = ["one_thread"]  # a fixture

JOB = Job(0, 1, 1, torch.device("cpu"))
MANY = 10**9  # steps


class Network(nn.Module):
    """Video (B, 2, 3, 4, 4) -> logits (B, 3), in so many seconds."""

    def __init__(self, seconds=0.0, features=8):
        super().__init__()
        self.seconds = seconds
        self.norm, self.first = nn.BatchNorm1d(96), nn.Linear(96, features)
        self.second, self.head = nn.Linear(features, features), nn.Linear(features, 3)

    def forward(self, video, audio):
        if self.seconds:
            time.sleep(self.seconds)
        return self.head(self.second(self.first(self.norm(video.flatten(1))).relu()).relu())


def settings(**training):
    training = {"amp": "off", "batch_size": 6, **training}
    return config_from_dict({"dataset": {"data_dir": "."}, "training_param": training})


def batch() -> Batch:
    rows = torch.arange(6)
    return Batch(torch.rand(6, 2, 3, 4, 4), None, rows % 3, rows, rows >= 0)


def stand_in(monkeypatch, seconds):
    """Take the place of torch.compile: the network then takes so many seconds."""

    def compile_network(network):
        network.seconds = seconds
        return network

    monkeypatch.setattr(torch, "compile", compile_network)


@pytest.mark.parametrize(("seconds", "pays"), [(0.0, True), (0.02, False)])
def test_the_faster_way_is_taken(monkeypatch, caplog, seconds, pays):
    stand_in(monkeypatch, seconds)
    network = Network(0.005)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with caplog.at_level("INFO"):
        assert compiling_pays(network, batch(), settings(accumulate=2).training_param, JOB, MANY) == pays
    assert ("the network is compiled" in caplog.text) == pays
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_short_training_is_not_worth_it(monkeypatch):
    monkeypatch.delattr(torch, "compile")
    network, options = Network(0.01), settings().training_param
    assert not compiling_pays(network, batch(), options, JOB, int(0.5 * WORTH_SECONDS / 0.02))


def test_a_network_that_cannot_be_compiled_is_trained_as_it_is(monkeypatch, caplog):
    def without_compiler(network):
        raise RuntimeError("no C compiler\nand a long explanation")

    monkeypatch.setattr(torch, "compile", without_compiler)
    assert not compiling_pays(Network(0.001), batch(), settings().training_param, JOB, MANY)
    assert caplog.messages == ["training_param.compile: compiling the network failed: no C compiler"]


def test_all_ranks_give_the_answer_of_the_slowest(monkeypatch):
    """Another rank whose compiler fails; of both passes, the second is the compiled one."""
    stand_in(monkeypatch, 0.0)
    others = iter([0.001, float("inf")])
    monkeypatch.setattr(compiled, "of_all_ranks", lambda seconds: [seconds, next(others)])
    assert not compiling_pays(Network(0.005), batch(), settings().training_param, JOB, MANY)


@pytest.mark.parametrize("pays", [True, False])
def test_the_first_step_settles_it(monkeypatch, pays):
    """On a GPU; a CPU stands in for it here."""
    asked = []
    monkeypatch.setattr(state, "compiling_pays", lambda *arguments: asked.append(arguments[-1]) or pays)
    monkeypatch.setattr(torch, "compile", lambda network: nn.Sequential(network))
    train_state = build_train_state(Network(), settings(epochs=2), JOB, steps_per_epoch=3)
    assert train_state.compiled is False  # a CPU never compiles
    train_state.compiled = None
    monkeypatch.setattr(nn.Sequential, "forward", lambda self, *inputs: self[0](*inputs))
    assert train_one_epoch(train_state, [batch()] * 3, lambda step: False)
    assert asked == [6]  # steps of both epochs, and once
    assert isinstance(train_state.model, nn.Sequential) == pays


@pytest.mark.parametrize("value", [True, False])
def test_what_the_settings_say_is_done(monkeypatch, value):
    monkeypatch.setattr(torch, "compile", lambda network: nn.Sequential(network))
    train_state = build_train_state(Network(), settings(compile=value), JOB, steps_per_epoch=3)
    assert isinstance(train_state.model, nn.Sequential) == train_state.compiled == value


def test_the_compiler_cuts_the_graph_where_gradients_are_sent(monkeypatch, tmp_path):
    """Also after the trial, in which the same network was compiled without DDP."""
    graphs = []

    def note_graph(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=note_graph))
    monkeypatch.setattr(compiled, "WORTH_SECONDS", 0)
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    try:
        job = Job(0, 2, 2, torch.device("cpu"))  # the other rank is not there
        config, network = settings(compile=True), Network(features=3000)  # 36 MB in the second layer
        compiling_pays(network, batch(), config.training_param, job, MANY)
        assert len(graphs) == 1
        graphs.clear()
        train_one_epoch(build_train_state(network, config, job, steps_per_epoch=3), [batch()], lambda step: False)
        assert len(graphs) > 1
    finally:
        dist.destroy_process_group()
        torch.compiler.reset()
