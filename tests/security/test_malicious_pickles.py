"""Files that would run code when they are unpickled: every kind is refused, and nothing of it runs."""

import builtins
import contextlib
import io
import os
import pickle
import runpy
import subprocess
import tarfile
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.networks import settings
from tsam_dali.model import build_model
from tsam_dali.weights import load_weights
from tsam_dali.weights.checkpoint import CheckpointError, load_checkpoint
from tsam_dali.weights.load import WeightsError


class Call:
    """Pickles to the call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class State:
    """Pickles to an object whose state is set by a call."""

    def __init__(self, payload: Call):
        self.payload = payload

    def __reduce__(self):
        return OrderedDict, (), {"hook": self.payload}


def write(path: Path, kind: str, canary: Path) -> None:
    """A file of one kind; read carelessly, each leaves `canary`."""
    touch, code = f"touch {canary}", f"open({str(canary)!r}, 'w').close()"
    call = {
        "os.system": Call(os.system, touch),
        "subprocess": Call(subprocess.check_call, ["touch", str(canary)]),
        "eval": Call(eval, code),
        "exec": Call(exec, code),
        "open": Call(open, str(canary), "w"),
        "getattr chain": Call(getattr, Call(eval, code), "name", None),
        "import": Call(builtins.__import__, "os", Call(eval, code)),
        "run a module": Call(runpy.run_path, str(path.with_suffix(".py"))),
        "os.popen": Call(os.popen, touch),
    }.get(kind, Call(os.system, touch))
    path.with_suffix(".py").write_text(code)
    if kind == "nested":
        torch.save({"format": "tsam_dali", "state_dict": {"a": torch.ones(2)}, "args": [{"deep": (call,)}]}, path)
    elif kind == "state of an object":
        torch.save({"format": "tsam_dali", "model": State(call)}, path)
    elif kind == "legacy":
        torch.save({"model": call}, path, _use_new_zipfile_serialization=False)
    elif kind == "tar":
        with tarfile.open(path, "w") as archive:
            for name in ("sys_info", "pickle", "storages", "tensors"):
                content = pickle.dumps(call, protocol=2)
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    elif kind == "NumPy scalar":
        scalar = np.float64(0).__reduce__()[0]
        torch.save({"best": Call(scalar, np.dtype("O"), call)}, path)
    elif kind == "NumPy array":
        array = np.empty(1, dtype=object)
        array[0] = call
        torch.save({"model": array}, path)
    elif kind == "bare pickle":
        path.write_bytes(pickle.dumps(call))
    else:
        torch.save({"format": "tsam_dali", "model": call}, path)


KINDS = (
    *("os.system", "subprocess", "eval", "exec", "open", "getattr chain", "import", "run a module", "os.popen"),
    *("nested", "state of an object", "legacy", "tar", "NumPy scalar", "NumPy array", "bare pickle"),
)


@pytest.fixture(scope="module")
def model():
    return build_model(settings("model.arch=resnet10t"), 4)


def refused_by_both(path: Path, model: torch.nn.Module) -> None:
    with pytest.raises(WeightsError):
        load_weights(model, path)
    with pytest.raises(CheckpointError):
        load_checkpoint(path)


@pytest.mark.parametrize("kind", KINDS)
def test_refused_and_nothing_runs(tmp_path, model, kind):
    path, canary = tmp_path / "weights", tmp_path / "canary"
    write(path, kind, canary)
    refused_by_both(path, model)
    assert not canary.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_files_read_carelessly_do_run(tmp_path, kind):
    path, canary = tmp_path / "weights", tmp_path / "canary"
    write(path, kind, canary)
    with contextlib.suppress(Exception):  # some fail after they ran
        if kind == "bare pickle":  # torch.load wants a number before it
            pickle.loads(path.read_bytes())
        torch.load(path, weights_only=False)
    ends = time.monotonic() + 20
    while not canary.exists() and time.monotonic() < ends:  # nobody waits for the shell of os.popen
        time.sleep(0.01)
    assert canary.exists()


def test_a_program_of_torchscript_is_refused(tmp_path, model):
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "program.pt")
    refused_by_both(tmp_path / "program.pt", model)
