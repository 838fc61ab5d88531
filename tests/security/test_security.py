"""What SECURITY.md promises: no shell, no pickle, no playlist, no path out of the data folder, nothing on import."""

import ast
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines
import tsam_dali
from pipelines.audio.mel_file import columns_path
from pipelines.audio.read import read_audio
from pipelines.dataset.clips import Dataset
from pipelines.dataset.list_line import id_problem
from tests.helpers.media import write_video
from tests.helpers.processes import ROOT

PACKAGES = ("pipelines", "tsam_dali")
PROGRAMS = (*PACKAGES, "tools", "benchmarks")


def calls(*folders: str) -> Iterator[tuple[str, str, ast.Call]]:
    """(place, name of the function as it is written, the call) of every call in the files of some folders."""
    for folder in folders:
        yield from _calls(folder)


@cache
def _calls(folder: str) -> list[tuple[str, str, ast.Call]]:
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), node)
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]


def option(call: ast.Call, name: str) -> object:
    """The constant that a call gives an option; None if there is none."""
    found = [keyword.value for keyword in call.keywords if keyword.arg == name]
    return ast.literal_eval(found[0]) if found else None


SHELLS = {
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell"),
    *("eval", "exec", "compile"),
}
STARTERS = {f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")}


def test_there_is_no_shell():
    """Programs are started with lists of arguments, so a file's name is never more than a name."""
    started = [(place, call) for place, name, call in calls(*PROGRAMS) if name in STARTERS]
    assert started
    assert [place for place, name, call in calls(*PROGRAMS) if name in SHELLS or option(call, "shell")] == []
    assert [place for place, call in started if isinstance(call.args[0], ast.Constant | ast.JoinedStr)] == []


UNPICKLERS = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "torch.jit.load"),
    *("torch.hub.load_state_dict_from_url", "yaml.load", "yaml.unsafe_load", "marshal.loads", "shelve.open"),
}


def test_nothing_is_unpickled():
    found = list(calls(*PROGRAMS))
    loads = [(place, call) for place, name, call in found if name == "torch.load"]
    assert len(loads) >= 2
    assert [place for place, call in loads if option(call, "weights_only") is not True] == []
    arrays = [(place, call) for place, name, call in found if name in ("np.load", "numpy.load")]
    assert [place for place, call in arrays if option(call, "allow_pickle")] == []
    assert [place for place, name, _ in found if name in UNPICKLERS] == []


def test_code_of_others_is_run_in_one_place_only_and_never_fetched():
    """That it has to be allowed: tests/tsam_dali/weights/test_torch_hub.py."""
    hubs = [(place, call) for place, name, call in calls(*PROGRAMS) if name.startswith("torch.hub.")]
    assert [place.split(":")[0] for place, _ in hubs] == ["tsam_dali/config/torch_hub.py"]
    assert [option(call, "source") for _, call in hubs] == ["local"]


def test_every_demuxer_is_forced():
    """A text named x.mp4 must not be opened as a playlist, which reads other files."""
    opened = [(place, call) for place, name, call in calls(*PACKAGES, "tools") if name == "av.open"]
    reading = [(place, call) for place, call in opened if not (len(call.args) > 1)]
    assert len(reading) >= 2
    for place, call in reading:
        if place.startswith("pipelines/decode/stream.py"):  # pipes with a list of formats, cameras with theirs
            continue
        assert "format" in {keyword.arg for keyword in call.keywords}, place
        # A name alone, such as `concat:a|b.mp4`, would be a protocol; what an object store gives is an open file.
        source = ast.unparse(call.args[0]).removeprefix("remote or ")
        assert source.startswith("f'file:") or source == "open_remote(path)", place
    inputs = [(place, call) for place, name, call in calls(*PACKAGES, "tools") if name == "ffmpeg.input"]
    assert inputs
    assert [place for place, call in inputs if "format" not in {keyword.arg for keyword in call.keywords}] == []


def test_the_network_is_used_in_one_place_only():
    """tsam_zoo.py, which fetches only when asked; besides, timm fetches `model.pretrain`."""
    names = {"urllib.request.urlopen", "urllib.request.urlretrieve", "socket.socket", "socket.create_connection"}
    places = [place for place, name, _ in calls(*PROGRAMS) if name in names or name.startswith(("requests.", "httpx."))]
    assert [place.split(":")[0] for place in places] == ["tsam_dali/weights/tsam_zoo.py"]


PARTS = st.sampled_from(["..", ".", "", "~", "a", "b c", "...", "$(x)"]) | st.text(max_size=6)
IDS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)


@settings(max_examples=1000, deadline=None)
@given(IDS)
def test_every_id_that_a_list_may_hold_stays_inside_the_folders(clip_id):
    if id_problem(clip_id) is not None:
        return
    dataset = Dataset(data_dir="/data")
    paths = [dataset.videos / f"{clip_id}.mp4", dataset.audios / f"{clip_id}.wav", columns_path(dataset.mels, clip_id)]
    folders = [dataset.videos, dataset.audios, dataset.mels]
    for folder, path in zip([*folders, dataset.frames], [*paths, dataset.frames / clip_id], strict=True):
        assert Path(os.path.normpath(path)).is_relative_to(folder)


@pytest.mark.parametrize("name", ["concat:a|b.mp4", "-i.mp4", "$(touch x).mp4", "data:,x.mp4", "a b\n.mp4"])
def test_odd_names_of_files_with_audio_are_only_names(tmp_path, monkeypatch, name):
    write_video(tmp_path / "a.mp4", 10, audio=True).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(read_audio(Path(name))[0]) == 2
    assert os.listdir(tmp_path) == [name]


TORCH_LOOKS_FOR_LIBRARIES = "subprocess.Popen ('/sbin/ldconfig', ['/sbin/ldconfig', '-p']"
WATCH_IMPORTS = """
import importlib, sys
seen = []
EVENTS = ("socket.", "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn")
sys.addaudithook(lambda event, arguments: seen.append((event, arguments)) if event.startswith(EVENTS) else None)
for name in sys.argv[1:]:
    importlib.import_module(name)
    for event, arguments in seen:
        print(name, event, arguments)
    seen.clear()
"""


@pytest.mark.ci
def test_importing_everything_opens_no_socket_and_starts_no_process():
    """But for one process that torch's CUDA builds start when they are imported: `ldconfig -p` lists libraries."""
    names = [
        module.name
        for package in (pipelines, tsam_dali)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    assert len(names) > 90
    done = subprocess.run([sys.executable, "-c", WATCH_IMPORTS, *names], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if TORCH_LOOKS_FOR_LIBRARIES not in line] == []


def test_the_watch_over_imports_sees_a_process_and_a_socket(tmp_path):
    (tmp_path / "noisy.py").write_text("import socket, subprocess\nsubprocess.run(['true'])\nsocket.socket().close()\n")
    done = subprocess.run([sys.executable, "-c", WATCH_IMPORTS, "noisy"], cwd=tmp_path, capture_output=True, text=True)
    assert "noisy subprocess.Popen" in done.stdout
    assert "noisy socket.__new__" in done.stdout
