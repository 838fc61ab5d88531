"""The benchmark of exported networks runs on a tiny one and leaves its figures."""

import pytest

from benchmarks.documents.deployment import deployment_scores, deployment_speed
from benchmarks.model.deployment_variants import ONNX, OPENVINO, PYTORCH, WAYS
from tests.benchmarks.read_results import results
from tests.helpers.checkpoints import checkpoint
from tests.helpers.processes import run

KINDS = {"scores": {"network": "a", "arch": "b", "clips": 48, "megabytes": 4.0}, "speed": {"network": "a"}}


def test_the_tables_hold_scores_speeds_and_refusals():
    whole = KINDS["scores"] | {
        "kind": "scores",
        "score": "accuracy",
        "float": 0.5,
        "int8": 0.4979,
        "megabytes_int8": 1.0,
    }
    refused = KINDS["scores"] | {"kind": "scores", "refused": "lost"}
    times = {key: {"median": number} for key, number in (("wall_ms", 10.0), ("cpu_ms", 20.0), ("cpu_relative", 0.25))}
    speed = KINDS["speed"] | {"kind": "speed", "way": ONNX} | times
    table = deployment_scores(lambda _: {"figures": [whole, refused, speed]})
    assert "| a | b | accuracy | 48 | 50.0 | 49.8 | 4 | 1 |" in table
    assert "| a | b | refused | 48 | – | – | 4 | – |" in table
    assert "| a | ONNX Runtime | 10 | 20 | 0.25 |" in deployment_speed(lambda _: {"figures": [whole, speed]})


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_deployment(example, tmp_path):
    made = checkpoint(tmp_path / "checkpoint", f"dataset.data_dir={example}", "model.audio_segments=0")
    output = tmp_path / "deployment.json"
    sizes = ["--rounds", "2", "--clips", "2", "--threads", "1", "--checkpoints", f"tiny={made}"]
    found = results(run("-m", "benchmarks.model.deployment", *sizes, "--output", output, timeout=1500), output)
    scores, *others = found["figures"]
    assert {"torch", "onnxruntime", "openvino", "nncf"} <= found["versions"].keys()
    assert scores["onnx_difference"] < 1e-4 > scores["openvino_difference"]
    ways = {figure["way"]: figure for figure in others}
    assert set(ways) == set(WAYS)
    assert ways[PYTORCH]["wall_relative"]["median"] == 1
    assert ways[OPENVINO]["kind"] == ways[ONNX]["kind"] == "speed"
