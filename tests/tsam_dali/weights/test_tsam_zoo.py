"""Published weights: fetched from a server on this machine; what goes wrong on the way leaves no file."""

import io
import threading
from argparse import Namespace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import quote, unquote

import pytest
import timm
import torch

from tests.helpers.networks import CONFIG, settings
from tests.helpers.processes import called
from tsam_dali.config import load_config
from tsam_dali.config.load import change_config
from tsam_dali.config.sections import PUBLISHED
from tsam_dali.model import build_model
from tsam_dali.model.backbone import first_weights
from tsam_dali.runs.initial_network import initial_network, weight_file
from tsam_dali.train import main
from tsam_dali.weights import tsam_zoo
from tsam_dali.weights.read import WeightsError
from tsam_dali.weights.tsam_zoo import weight_path

FILE = PUBLISHED["kinetics400"]


def saved(**options):
    file = io.BytesIO()
    torch.save({"conv1.weight": torch.ones(1000)}, file, **options)
    return file.getvalue()


CONTENT = saved()
OLD = saved(_use_new_zipfile_serialization=False)
ANSWERS = {  # what the server sends, and what it says the length is
    "whole": (CONTENT, len(CONTENT)),
    "cut": (CONTENT[:1000], len(CONTENT)),
    "no length": (CONTENT, None),
    "cut, no length": (CONTENT[:-100], None),
    "old, cut, no length": (OLD[:-100], None),
    "empty": (b"", 0),
    "page": (b"<html>sign in</html>", 20),
    "json": (b'{"type":{"error": 1}}', 21),
    "bad length": (CONTENT, "many"),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        content, length = ANSWERS.get(unquote(self.path).split("/")[1], (None, None))
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_fetched_once_and_checked_ever_after(tmp_path, server):
    path = weight_path("kinetics400", True, tmp_path / "weights", f"{server}/whole")
    assert path.read_bytes() == CONTENT
    assert sorted(file.name for file in path.parent.iterdir()) == [FILE, f"{FILE}.sha256"]
    assert weight_path("kinetics400", False, tmp_path / "weights") == path
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match=f"changed since it was first used.*delete {path} and {path}.sha256 and"):
        weight_path("kinetics400", True, tmp_path / "weights", f"{server}/whole")


NO_WEIGHTS = "not a complete file with weights, it is not kept"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("none", "404"),
        ("cut", f"got 1000 bytes, expected {len(CONTENT)}"),
        ("bad length", "got Content-Length 'many', expected a number of bytes"),
        *((place, NO_WEIGHTS) for place in ("cut, no length", "old, cut, no length", "empty", "page", "json")),
    ],
)
def test_a_failed_transfer_leaves_nothing(tmp_path, server, place, message):
    with pytest.raises(WeightsError, match=message):
        weight_path("kinetics400", True, tmp_path, f"{server}/{quote(place)}")
    assert list(tmp_path.iterdir()) == []


def test_a_length_is_not_needed(tmp_path, server):
    assert weight_path("kinetics400", True, tmp_path, f"{server}/no%20length").read_bytes() == CONTENT


def test_the_digest_of_what_is_no_weights_is_not_kept(tmp_path):
    (tmp_path / FILE).write_bytes(b"<html>sign in</html>")
    with pytest.raises(WeightsError, match=f"delete {tmp_path / FILE} and fetch it again with --download"):
        weight_path("kinetics400", False, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_a_refused_connection_says_what_to_do(tmp_path):
    with pytest.raises(WeightsError, match="cannot be fetched .*check the network, or put the file at"):
        weight_path("kinetics400", True, tmp_path, "http://127.0.0.1:9")


def test_nothing_is_fetched_unasked(tmp_path):
    with pytest.raises(WeightsError, match=f"add --download, or put https://.*/{FILE} there yourself"):
        weight_path("kinetics400", False, tmp_path)


def test_a_folder_of_the_name_is_no_file(tmp_path, monkeypatch):
    (tmp_path / "kinetics400").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="add --download"):
        weight_path("kinetics400", False, tmp_path)


def test_other_texts_are_paths(tmp_path):
    assert weight_path(str(tmp_path / "mine.pth"), True) == tmp_path / "mine.pth"


NAMED = ["--set", "model.audio_segments=0", "--set", "model.arch=resnet50", "--dry_run", "--device", "cpu"]


@pytest.mark.parametrize("setting", ["model.pretrain=miil_21k", "model.weights=miil_21k"])
def test_settings_take_the_names(example, setting):
    """The 21k ResNet-50 is asked for before anything is trained; its place and the option to fetch it are named."""
    done = called(main, "--data", example / "data.json", *NAMED, "--set", setting)
    assert done.returncode == 2
    assert "miil_21k: weights/resnet50_miil_21k.pth is missing; add --download, or put https://" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_tsam_loads_for_resnet50_timm(tmp_path, monkeypatch, caplog):
    """TSAM's backbone.py loads MIIL's ResNet-50 there, whose pixels are 0..1; the ready settings begin with it, too."""
    config, other = (
        load_config(CONFIG / f"{name}_data.json", CONFIG / f"{name}_config.json")
        for name in ("kinetics400", "something_v1")
    )
    assert first_weights(config.model) == first_weights(other.model) == "miil_21k"
    asked = []
    monkeypatch.setattr(tsam_zoo.urllib.request, "urlopen", lambda url, **_: asked.append(url) or refuse())
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    args = Namespace(validate=None, fine_tune=None, resume=None, download=False)
    with pytest.raises(WeightsError, match=r"miil_21k: weights/resnet50_miil_21k.pth is missing; add --download"):
        weight_file(args, config, None)
    with pytest.raises(WeightsError, match="cannot be fetched"):
        weight_file(Namespace(**{**vars(args), "download": True}), config, None)
    assert [url.rpartition("/")[2] for url in asked] == ["resnet50_miil_21k.pth"]
    assert "resnet50_timm starts from MIIL's ImageNet-21k ResNet-50 (miil_21k), as in TSAM" in caplog.text

    state = timm.create_model("resnet50", num_classes=11221).state_dict()
    values = {
        key: torch.full((), 1 if tensor.ndim else 0, dtype=tensor.dtype).expand(tensor.shape)
        for key, tensor in state.items()
    }
    (tmp_path / "weights").mkdir()
    torch.save({"state_dict": values}, tmp_path / "weights/resnet50_miil_21k.pth")
    caplog.clear()
    job = SimpleNamespace(device=torch.device("cpu"))
    model = initial_network(weight_file(args, config, None), config, job, 7, None)
    assert (model.backbone.conv1.weight == 1).all()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    normalized = change_config(config, overrides=["model.normalize=backbone"])
    initial_network(weight_file(args, normalized, None), normalized, job, 7, None)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "model.normalize is 'backbone', the file was trained with 'none'" in warning


def refuse():
    raise OSError("no network here")


def test_a_published_name_is_no_tag_of_timm():
    assert build_model(settings("model.arch=resnet10t", "model.pretrain=miil_21k"), 3).head.out_features == 3
