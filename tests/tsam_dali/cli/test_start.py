"""--help, and what a command says of its arguments, come before the imports that take seconds."""

import json
import subprocess
import sys

import pytest
import safetensors.torch
import timm
import timm.optim
import torch

from tests.helpers.processes import ROOT
from tsam_dali.cli.common import check_checkpoint
from tsam_dali.config.sections import Model
from tsam_dali.config.timm_names import FAMILIES, network_problem, optimizer_problem

HEAVY = ("torch", "nvidia", "librosa", "numba", "timm", "sklearn", "scipy", "matplotlib", "captum", "onnx")
CALLS = f"""
import contextlib, io, json, runpy, sys
sys.path.insert(0, "tools")
sys.modules |= dict.fromkeys({HEAVY}, None)  # to import one of them is an error now
from pipelines.dali import installed
installed.find_spec = lambda name: True  # else DALI would not be there
answers = []
for name, *arguments in json.load(sys.stdin):
    sys.argv, said = [name, *arguments], io.StringIO()
    run = runpy.run_path if name.endswith(".py") else runpy.run_module
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            run(name, run_name="__main__")
        answers.append(["not refused", ""])
    except SystemExit as end:
        answers.append([end.code or 0, said.getvalue()])
    except ImportError as error:
        answers.append([str(error), said.getvalue()])
print(json.dumps(answers))
"""
MODULES = [
    f"tsam_dali.{name}"
    for name in ("fit", "train", "embed", "probe", "runs.folds", "evaluate", "predict", "export", "model")
]
TOOLS = [
    str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("tools/*.py")) if "__main__" in path.read_text("utf-8")
]
MISTAKES = {
    ("tsam_dali.fit", "none", "--arch", "resnet18", "--weights", "none"): "none: no such checkpoint",
    ("tsam_dali.train", "--set", "model.video_segment=4"): "did you mean model.video_segments?",
    ("tsam_dali.train", "--set", "training_param.epochs=0"): "training_param.epochs: input should be greater",
    ("tsam_dali.train", "--data", "none.json"): "none.json: cannot be read",
    ("tsam_dali.train", "--resume", "none"): "none: no such checkpoint",
    ("tsam_dali.train", "--fine_tune", "none/best.pth"): "none/best.pth: no such checkpoint",
    ("tsam_dali.train", "--validate", "best.pth"): "best.pth: no such checkpoint",
    ("tsam_dali.train", "--device", "tpu"): "expected cpu or cuda, got tpu",
    ("tsam_dali.evaluate", "--checkpoint", "none"): "none: no such checkpoint",
    ("tsam_dali.evaluate", "--checkpoint", "tests", "--set", "pipeline.decod=cpu"): "did you mean pipeline.decode?",
    ("tsam_dali.evaluate", "--checkpoint", "tests", "--set", "model.dropout=2"): "model.dropout: input should be less",
    ("tsam_dali.evaluate", "--checkpoint", "tests", "--data", "none.json"): "none.json: cannot be read",
    ("tsam_dali.evaluate", "--checkpoint", "tests"): "give --data FILE as well",
    ("tsam_dali.predict", "--checkpoint", "none", "a.mp4"): "none: no such checkpoint",
    ("tsam_dali.predict", "--checkpoint", "tests", "none.txt"): "none.txt: no such file or folder",
    ("tsam_dali.predict", "--checkpoint", "tests", "a.mp4", "--output", "a.xml"): "ends in .jsonl or .csv, got a.xml",
    ("tsam_dali.export", "--checkpoint", "none", "a.onnx"): "none: no such checkpoint",
    ("tsam_dali.export", "--checkpoint", "tests", "a.pth"): "ends in .onnx or .xml or .pt2, got a.pth",
    ("tsam_dali.export", "--checkpoint", "tests", "a.onnx", "--int8"): "--int8 is for OpenVINO: give OUT.xml",
    ("tsam_dali.export", "--checkpoint", "tests", "a.xml", "--int8"): "give --data FILE as well",
    ("tools/serve.py", "--checkpoint", "none"): "none: no such checkpoint",
    ("tsam_dali.embed", "out", "--data", "d", "--arch", "resnet50"): "--arch and --weights belong together",
    ("tsam_dali.embed", "out", "--data", "d", "--checkpoint", "none"): "none: no such checkpoint",
    ("tsam_dali.probe", "none"): "none: has no embedding.json",
    ("tsam_dali.model", "--config", "none.json"): "none.json: cannot be read",
    ("tsam_dali.model", "--num_class", "0"): "expected a whole number from 1, got 0",
    ("tools/import_weights.py", "none.pth", "weights/new"): "none.pth: no such checkpoint",
    ("tools/index_videos.py", "--data", "none.json"): "none.json: cannot be read",
    ("tsam_dali.train", "--set", "model.arch=resnet51"): "model.arch: 'resnet51' is not a known network",
    ("tsam_dali.train", "--set", "model.arch=resnet50", "--set", "model.pretrain=in21k"): "has no weights 'in21k' for",
    ("tsam_dali.train", "--set", "optimizer_param.name=adamm"): "timm has no optimizer 'adamm'; nearest: adam",
    ("tsam_dali.train", "--set", "model.weights=none.pt"): "none.pt: no such checkpoint",
    ("tsam_dali.train", "--set", "dataset.data_dir=nowhere"): "'nowhere' is not a folder",
    ("tsam_dali.train", "--set", "results_folder=setup.cfg/results"): "setup.cfg is not a folder to write to",
    ("tsam_dali.train", "--run_id", "../x"): "expected the name of a folder inside results_folder",
    ("tsam_dali.train", "--fine_tune", "none"): "none: no such checkpoint",
    ("tsam_dali.train", "--resume", "setup.cfg"): "setup.cfg: damaged, or not a file with weights",
    ("tsam_dali.evaluate", "--checkpoint", "setup.cfg"): "setup.cfg: damaged, or not a file with weights",
    ("tsam_dali.predict", "--checkpoint", "setup.cfg", "tests"): "setup.cfg: damaged, or not a file with weights",
    ("tsam_dali.export", "--checkpoint", "setup.cfg", "a.onnx"): "setup.cfg: damaged, or not a file with weights",
    ("tsam_dali.model", "--set", "model.arch=resnet51"): "model.arch: 'resnet51' is not a known network",
    ("tools/import_weights.py", "setup.cfg", "weights/new"): "setup.cfg: damaged, or not a file with weights",
}


@pytest.fixture(scope="module")
def answers():
    calls = [*MISTAKES, *((name, word) for name in (*MODULES, *TOOLS) for word in ("--help", "--nonsense"))]
    done = subprocess.run(
        [sys.executable, "-c", CALLS], cwd=ROOT, input=json.dumps(calls), capture_output=True, text=True, check=True
    )
    return dict(zip(calls, json.loads(done.stdout), strict=True))


def test_mistakes_are_told_before_the_heavy_imports(answers):
    for call, expected in MISTAKES.items():
        code, said = answers[call]
        assert code == 2, (call, code)
        assert expected in said.splitlines()[-1], (call, said)


@pytest.mark.parametrize("name", [*MODULES, *TOOLS])
def test_help_and_unknown_options_need_no_heavy_imports(answers, name):
    (helped, text), (refused, error) = answers[name, "--help"], answers[name, "--nonsense"]
    assert (helped, refused) == (0, 2)
    assert "usage: " in text
    assert "error: " in error.splitlines()[-1]


@pytest.mark.ci
def test_names_of_timm_are_those_that_timm_knows():
    known = {name for family in FAMILIES for name in timm.list_models(module=family)}
    assert [name for name in known if network_problem(Model(arch=name))] == []
    tagged = [name for arch in known for name in timm.list_pretrained(f"{arch}.*")]
    assert len(tagged) > 100
    assert [name for name in tagged if network_problem(Model(arch=name))] == []
    assert [name for name in timm.optim.list_optimizers() if optimizer_problem(name)] == []


def test_a_file_of_another_kind_is_no_checkpoint_and_those_of_torch_and_safetensors_are(tmp_path):
    network = {"a": torch.zeros(2)}
    torch.save(network, tmp_path / "zip.pt")
    torch.save(network, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(network, tmp_path / "a.safetensors")
    for name in ("zip.pt", "old.pt", "a.safetensors"):
        check_checkpoint(tmp_path / name)
    (tmp_path / "empty.pt").touch()
    with pytest.raises(ValueError, match="not a file with weights"):
        check_checkpoint(tmp_path / "empty.pt")
