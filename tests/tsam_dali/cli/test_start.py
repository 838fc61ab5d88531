"""--help, and what a command says of its arguments, come before the imports that take seconds."""

import json
import subprocess
import sys

import pytest

from tests.helpers.processes import ROOT

HEAVY = ("torch", "nvidia", "librosa", "numba", "timm", "sklearn", "scipy", "matplotlib", "captum", "onnx")
CALLS = f"""
import contextlib, io, json, runpy, sys
sys.path.insert(0, "tools")
sys.modules |= dict.fromkeys({HEAVY}, None)  # to import one of them is an error now
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
MODULES = [f"tsam_dali.{name}" for name in ("train", "evaluate", "predict", "export", "model")]
TOOLS = [
    str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("tools/*.py")) if "__main__" in path.read_text("utf-8")
]
MISTAKES = {
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
    ("tsam_dali.export", "--checkpoint", "tests", "a.pth"): "ends in .onnx or .pt2, got a.pth",
    ("tsam_dali.model", "--config", "none.json"): "none.json: cannot be read",
    ("tsam_dali.model", "--num_class", "0"): "expected a whole number from 1, got 0",
    ("tools/import_weights.py", "none.pth", "weights/new"): "none.pth: no such checkpoint",
    ("tools/index_videos.py", "--data", "none.json"): "none.json: cannot be read",
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
