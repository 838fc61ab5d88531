"""Published weights: fetched from a server on this machine; what goes wrong on the way leaves no file."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.networks import settings
from tests.processes import run
from tsam_dali.model import build_model
from tsam_dali.published_weights import PUBLISHED, weight_path
from tsam_dali.weight_formats import WeightsError

CONTENT = bytes(range(256)) * 20
FILE = PUBLISHED["kinetics400"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if not self.path.startswith(("/whole/", "/cut/")):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path.startswith("/whole/") else CONTENT[:1000])

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
    with pytest.raises(WeightsError, match="changed since it was first used"):
        weight_path("kinetics400", True, tmp_path / "weights", f"{server}/whole")


@pytest.mark.parametrize(("place", "message"), [("none", "404"), ("cut", "got 1000 bytes, expected 5120")])
def test_a_failed_transfer_leaves_nothing(tmp_path, server, place, message):
    with pytest.raises(WeightsError, match=message):
        weight_path("kinetics400", True, tmp_path, f"{server}/{place}")
    assert list(tmp_path.iterdir()) == []


def test_a_refused_connection_says_what_to_do(tmp_path):
    with pytest.raises(WeightsError, match="cannot be fetched .*check the network, or put the file at"):
        weight_path("kinetics400", True, tmp_path, "http://127.0.0.1:9")


def test_nothing_is_fetched_unasked(tmp_path):
    with pytest.raises(WeightsError, match=f"add --download, or put https://.*/{FILE} there yourself"):
        weight_path("kinetics400", False, tmp_path)


def test_other_texts_are_paths(tmp_path):
    assert weight_path(str(tmp_path / "mine.pth"), True) == tmp_path / "mine.pth"


NAMED = ["--set", "model.audio_segments=0", "--set", "model.arch=resnet50", "--dry_run", "--device", "cpu"]


@pytest.mark.parametrize("setting", ["model.pretrain=miil_21k", "model.weights=miil_21k"])
def test_settings_take_the_names(example, setting):
    """The 21k ResNet-50 is asked for before anything is trained; its place and the option to fetch it are named."""
    done = run("-m", "tsam_dali.train", "--data", example / "data.json", *NAMED, "--set", setting)
    assert done.returncode == 2
    assert "miil_21k: weights/resnet50_miil_21k.pth is missing; add --download, or put https://" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_published_name_is_no_tag_of_timm():
    assert build_model(settings("model.arch=resnet10t", "model.pretrain=miil_21k"), 3).head.out_features == 3
