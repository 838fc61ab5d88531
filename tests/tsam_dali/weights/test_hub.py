"""Networks on the Hub: pushed, loaded, pinned, refused, taken from the cache; with the Hub's own client."""

import hashlib
import json
import os
import pickle
import re
import socket
import sys
from unittest.mock import patch

import pytest
import safetensors.torch
import timm
import torch
import yaml

import tsam_dali
from tests.helpers.checkpoints import TINY, checkpoint
from tests.helpers.media import write_video
from tests.helpers.networks import CONFIG
from tests.helpers.processes import called, run
from tests.tsam_dali.weights.hub_server import TOKEN, Hub
from tsam_dali import export, predict, push
from tsam_dali.config.load import load_config
from tsam_dali.model import build_model
from tsam_dali.weights.checkpoint import load_checkpoint, save_checkpoint
from tsam_dali.weights.load import load_weights
from tsam_dali.weights.trained import read_trained
from tsam_dali.weights.tsam_zoo import weight_path

NAME = "ann/arrows"
ADDRESS = f"hf://{NAME}"


class Harmful:
    def __reduce__(self):
        return sys.exit, ("code of a file was run",)


def session(first: str, second: str, video: str, port: str) -> None:
    """Print what becomes of pushing and loading, as JSON."""
    told: dict = {}

    def error_of(address, **options):
        try:
            tsam_dali.load(address) if not options else weight_path(address, **options)
        except ValueError as error:
            return str(error)

    def probabilities(address):
        return [one.probability for one in tsam_dali.load(address).predict(video).classes]

    with Hub(int(port)) as hub:
        told["address"] = pinned = tsam_dali.push_to_hub(first, NAME, private=True, example=video)
        (commit,) = hub.repositories[NAME]
        files = hub.repositories[NAME][commit]
        told["pushed"] = [commit, sorted(files), hub.private[NAME]]
        told["card"] = files["README.md"].decode()
        told["inputs"] = json.loads(files["preprocessing.json"])
        hub.asked_for()
        told["without_download"] = error_of(ADDRESS, download=False)
        told["loaded"] = [probabilities(first), probabilities(ADDRESS)]
        told["asked"] = hub.asked_for()
        told["again"] = [probabilities(pinned), hub.asked_for()]

        done = called(export.main, "--checkpoint", second, "--push", "ann/exported")
        told["exported"] = [done.returncode, list(hub.repositories["ann/exported"])]
        done = called(push.main, "--checkpoint", second, NAME)
        told["command"] = [done.returncode, done.stdout, done.stderr, list(hub.repositories[NAME])[-1]]
        told["changed"] = [probabilities(second), probabilities(ADDRESS), probabilities(pinned)]
        done = called(predict.main, "--checkpoint", ADDRESS, video)
        told["predicted"] = [one["probability"] for one in json.loads(done.stdout)["classes"]]
        network = build_model(read_trained(second).config, 4)
        told["fine_tuned"] = str(load_weights(network, ADDRESS))

        told["backbone"] = list(backbone(hub))

        weights, about = files["model.safetensors"], files["config.json"]
        broken = bytearray(weights)
        broken[-1] ^= 1
        hub.commit("ann/damaged", {"config.json": about, "model.safetensors": bytes(broken)})
        code = pickle.dumps(Harmful())
        hub.commit("eve/pickle", {"config.json": b"{}", "pytorch_model.bin": code})
        about = json.loads(about) | {"sha256": hashlib.sha256(code).hexdigest()}
        hub.commit("eve/disguised", {"config.json": json.dumps(about).encode(), "model.safetensors": code})
        hub.asked_for()
        told["errors"] = {
            address: error_of(f"hf://{address}")
            for address in ("ann/damaged", "eve/pickle", "eve/disguised", "ann/none", "ann/arrows@old", "a/b/c", "")
        }
        told["pickles"] = [request for request in hub.asked_for() if ".bin" in request]
        os.environ["HF_TOKEN"] = "hf_of_bob"
        try:
            tsam_dali.push_to_hub(first, NAME)
        except ValueError as error:
            told["not_allowed"] = str(error)
    with patch("time.sleep"):  # of the Hub's client, which asks six times
        told["offline"] = [probabilities(ADDRESS), probabilities(pinned)]
        told["unreachable"] = error_of("hf://ann/other")
    print(json.dumps(told))


def backbone(hub):
    """What becomes of a network of timm on the Hub as `model.arch`: settings, or errors."""
    state = timm.create_model("resnet10t").state_dict()
    state["layer3.0.conv1.weight"].fill_(0.125)
    for name, about in {
        "timm": {"tag": "c3_in1k"},
        "other": {"mean": [0.1, 0.2, 0.3]},
    }.items():
        about = json.dumps({"architecture": "resnet10t", "pretrained_cfg": about}).encode()
        hub.commit(f"ann/{name}", {"config.json": about, "model.safetensors": safetensors.torch.save(state)})
    for name, changes, download in (
        ("timm", [], False),
        ("timm", ["model.pretrain=imagenet"], True),
        ("timm", ["model.pretrain=none"], False),
        ("other", ["model.normalize=backbone"], True),
    ):
        try:
            overrides = [*TINY, f"model.arch=hf_hub:ann/{name}", *changes]
            config = load_config(CONFIG / "example_data.json", CONFIG / "example_config.json", overrides, download)
        except ValueError as error:
            yield str(error)
            continue
        network = build_model(config, 4)
        if config.model.weights:
            load_weights(network, config.model.weights)
        yield [config.model.arch, bool(config.model.weights), network.backbone.layer3[0].conv1.weight.mean().item()]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    silent = ("model.audio_segments=0", 'dataset.class_names=["left","right","up","down"]', "dataset.name=arrows")
    first = checkpoint(folder / "first", *silent)
    state = load_checkpoint(first)
    state["model"]["head.bias"] += torch.arange(4.0)
    save_checkpoint(second := folder / "second", state)
    video = write_video(folder / "walk.mp4", 12)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(folder / "cache"), "HF_TOKEN": TOKEN}
    code = f"import sys; from {__name__} import session; session(*sys.argv[1:])"
    done = run("-c", code, first, second, video, port, env=os.environ | here)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_network_is_pushed_with_all_that_belongs_to_it(told):
    commit, files, private = told["pushed"]
    assert told["address"] == f"{ADDRESS}@{commit}"
    assert files == ["README.md", "config.json", "example.mp4", "model.safetensors", "preprocessing.json"]
    assert private
    assert told["inputs"]["class_names"] == ["left", "right", "up", "down"]
    assert told["inputs"]["video"]["shape"] == ["batch", 3, 3, 32, 32]


def test_its_card_holds_what_the_hub_shows(told):
    _, head, text = told["card"].split("---\n", 2)
    about = yaml.safe_load(head)
    assert (about["library_name"], about["pipeline_tag"]) == ("tsam_dali", "video-classification")
    assert about["widget"] == [{"src": "example.mp4", "example_title": "walk"}]
    ((result,),) = [one["results"] for one in about["model-index"]]
    scores = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert scores["accuracy"] == 0.625
    assert result["dataset"]["name"] == "arrows"
    assert f'tsam_dali.load("{ADDRESS}")' in text


def test_it_is_loaded_and_nothing_else_is_fetched(told):
    here, there = told["loaded"]
    assert here == there
    fetched = {re.sub(r"resolve/\w+/", "", request.partition(" ")[2]) for request in told["asked"]}
    assert {path for path in fetched if not path.startswith("/large/")} == {
        f"/{NAME}/config.json",
        f"/{NAME}/model.safetensors",
    }
    assert "add --download to fetch it" in told["without_download"]


def test_a_commit_stays_what_it_is(told):
    assert told["again"] == [told["loaded"][0], []]  # without a request
    status, output, errors, commit = told["command"]
    assert (status, output) == (0, f"{ADDRESS}@{commit}\n"), errors
    assert (told["exported"][0], len(told["exported"][1])) == (0, 1)
    second, latest, pinned = told["changed"]
    assert second == latest != pinned == told["loaded"][0]
    assert told["predicted"] == second
    assert "tsam_dali weights" in told["fine_tuned"]


def test_what_is_damaged_no_network_or_not_there_is_refused(told):
    errors = told["errors"]
    assert "damaged, its SHA-256 is not the one in config.json" in errors["ann/damaged"]
    assert "has no config.json and model.safetensors" in errors["eve/pickle"]
    assert "not a safetensors file" in errors["eve/disguised"]
    assert "no such repository; a private one needs `hf auth login`" in errors["ann/none"]
    assert "has no such revision" in errors["ann/arrows@old"]
    assert errors["a/b/c"] == errors[""].replace("hf://:", "hf://a/b/c:")
    assert "expected hf://OWNER/NAME" in errors[""]
    assert told["pickles"] == []
    assert told["not_allowed"].startswith("hf://ann/arrows: the Hub refuses it (401); log in with `hf auth login`")
    assert all(len(error.splitlines()) == 1 for error in (*errors.values(), told["not_allowed"]))


def test_a_network_of_timm_becomes_the_backbone(told):
    missing, fetched, alone, other = told["backbone"]
    assert "hf_hub:ann/timm cannot be read" in missing
    assert "fetched by --download" in missing
    assert fetched == ["resnet10t.c3_in1k", True, 0.125]
    assert alone[:2] == ["resnet10t.c3_in1k", False]
    assert alone[2] != 0.125
    assert "was trained on pixels of mean [0.1, 0.2, 0.3]" in other


def test_without_the_network_the_cache_is_used(told):
    assert told["offline"] == [told["changed"][0], told["loaded"][0]]
    assert "(HF_HOME); the Hub gives none: the Hub cannot be reached (" in told["unreachable"]
