"""The example server, started as a user does and asked over HTTP: predictions, and what it refuses."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.helpers.checkpoints import checkpoint
from tests.helpers.media import write_video
from tests.helpers.networks import one_thread  # noqa: F401 (a fixture)
from tests.helpers.processes import ROOT, called
from tools import serve
from tsam_dali.inference.predictor import Predictor

pytest.importorskip("fastapi")
pytestmark = pytest.mark.ci
SECONDS = 15  # of an upload or a prediction
EDGE = "--edge-of-the-test"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serve")
    names = 'dataset.class_names=["left","right","é","down"]'
    checkpoint(folder / "checkpoint", names, "model.audio_segments=0")
    write_video(folder / "a.mp4", 12)
    write_video(folder / "b.MKV", 20)
    (folder / "text.mp4").write_text("not a video\n" * 1000)
    (folder / "large.mp4").write_bytes(bytes(1_050_000))
    return folder


@pytest.fixture(scope="module")
def server(files):
    """Its port and process; it takes 1 MB."""
    options = ("--port", "0", "--megabytes", "1", "--seconds", str(SECONDS), "--topk", "2", "--connections", "8")
    command = [sys.executable, "tools/serve.py", "--checkpoint", str(files / "checkpoint"), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, env=environment, text=True) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                break
        else:
            pytest.fail("".join(lines))
        reader = threading.Thread(target=lambda: lines.extend(process.stderr))
        reader.start()
        yield int(found[1]), process
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        reader.join()
        assert "Traceback" not in "".join(lines)


def form(path: Path, name: str | None = None) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an upload."""
    head = f'--{EDGE}\r\nContent-Disposition: form-data; name="video"; filename="{name or path.name}"\r\n\r\n'
    return head.encode() + path.read_bytes() + f"\r\n--{EDGE}--\r\n".encode(), {
        "Content-Type": f"multipart/form-data; boundary={EDGE}"
    }


def post(port: int, body, headers, **options) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with suppress(BrokenPipeError, ConnectionResetError):  # it need not read all of what it refuses
        connection.request("POST", "/predict", body, headers, **options)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, json.loads(answer)


def test_a_video_is_answered_with_the_classes_of_a_prediction(files, server):
    status, answer = post(server[0], *form(files / "a.mp4", "../ä ö.mp4"))
    assert status == 200
    expected = Predictor(files / "checkpoint").predict(files / "a.mp4", 2)
    assert answer["path"] == "ä ö.mp4"
    assert answer["has_audio"] is False
    assert [one["name"] for one in answer["classes"]] == [one.name for one in expected.classes]
    for ours, theirs in zip(answer["classes"], expected.classes, strict=True):
        assert ours["probability"] == pytest.approx(theirs.probability, abs=1e-6)


def test_several_at_once_are_all_answered(files, server):
    sent = [form(files / name) for name in ("a.mp4", "b.MKV", "text.mp4", "a.mp4", "b.MKV", "large.mp4")]
    with ThreadPoolExecutor(len(sent)) as pool:
        answers = list(pool.map(lambda one: post(server[0], *one), sent))
    assert [status for status, _ in answers] == [200, 200, 422, 200, 200, 413]
    assert answers[0] == answers[3]
    assert answers[1] == answers[4]
    assert [one["path"] for _, one in answers[:2]] == ["a.mp4", "b.MKV"]


def test_more_than_the_connections_are_refused(files, server):
    idle = [socket.create_connection(("127.0.0.1", server[0])) for _ in range(8)]
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server[0], timeout=60)
        connection.request("POST", "/predict", *form(files / "a.mp4"))
        assert connection.getresponse().status == 503
        connection.close()
    finally:
        for one in idle:
            one.close()


def test_what_is_too_large_or_no_video_is_refused(files, server):
    port, _ = server
    assert post(port, *form(files / "large.mp4")) == (413, {"detail": "larger than 1 MB"})
    body, headers = form(files / "large.mp4")  # without a length before it
    pieces = (body[start : start + 50_000] for start in range(0, len(body), 50_000))
    assert post(port, pieces, headers, encode_chunked=True)[0] == 413
    status, answer = post(port, *form(files / "text.mp4"))
    assert status == 422
    assert answer["detail"].startswith("text.mp4: begins with b'not a video")
    assert "/tmp" not in answer["detail"]
    assert post(port, *form(files / "text.mp4", "a.txt"))[0] == 415
    assert post(port, b"", {})[0] == 422


def test_what_takes_too_long_is_ended_and_the_next_video_is_answered(files, server):
    port, process = server
    body, headers = form(files / "a.mp4")
    slow = socket.create_connection(("127.0.0.1", port), timeout=60)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = ["POST /predict HTTP/1.1", "Host: here", f"Content-Length: {len(body)}", *lines]
    slow.sendall("\r\n".join([*head, "", ""]).encode() + body[:1000])  # and no more
    (child,) = children_of(process.pid)
    os.kill(child, signal.SIGSTOP)  # as a decoder that hangs
    status, answer = post(port, body, headers)
    assert (status, answer["detail"]) == (504, f"not done after {SECONDS} s")
    assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
    slow.close()
    assert child not in children_of(process.pid)
    assert post(port, body, headers)[0] == 200


def children_of(pid: int) -> list[int]:
    """The processes with the networks; the other child is multiprocessing's own."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_mistakes_are_a_line(files, tmp_path, monkeypatch):
    trained = files / "checkpoint"
    broken = tmp_path / "broken"
    broken.write_bytes(trained.read_bytes()[:-100])
    cases = {
        "no such checkpoint": ("--checkpoint", tmp_path / "none"),
        "--megabytes: ": ("--checkpoint", trained, "--megabytes", 0),
        f"{broken}: damaged": ("--checkpoint", broken),
    }
    for message, arguments in cases.items():
        done = called(serve.main, *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    monkeypatch.setitem(sys.modules, "fastapi", None)
    done = called(serve.main, "--checkpoint", trained)
    assert "needs the package fastapi; install the extra: pip install -e '.[serve]'" in done.stderr
