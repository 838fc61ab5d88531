"""The benchmarks that take a minute each, from the command to the file of results, on tiny clips."""

from pathlib import Path

import pytest

from tests.benchmarks.read_results import results
from tests.helpers.processes import run


@pytest.mark.slow
def test_loader(videos, tmp_path):
    output = tmp_path / "loader.json"
    sizes = ["--rounds", "1", "--segments", "2", "--batch_size", "2", "--batches", "2", "--repeats", "2"]
    options = ["--videos", videos, "--output", output]
    found = results(run("-m", "benchmarks.loading.loader", *sizes, *options), output)
    loaders = {figure["loader"]: figure for figure in found["figures"] if figure["kind"] == "loader"}
    assert {"ours, videos as they are", "ours, training copies", "TSAM's way"} <= loaders.keys()
    for figure in loaders.values():
        assert figure["clips_per_second"]["median"] > 0
    assert loaders["TSAM's way"]["rate_relative_to_baseline"]["median"] == 1
    assert 0 < loaders["ours, videos as they are"]["rate_relative_to_bound"]["median"] < 1
    prepared = {figure["what"]: figure for figure in found["figures"] if figure["kind"] == "preparation"}
    assert prepared["JPEG frames, 10 fps, height 256"]["files_per_clip"] == 12  # 30 frames at 25 per second
    assert prepared[".wav files"]["files_per_clip"] == 1
    assert prepared["log-mel store"]["kilobytes_per_clip"] > 10
    assert prepared["videos as they are"]["kilobytes_per_clip"] > 1


@pytest.mark.slow
def test_memory(videos, example, tmp_path):
    output = tmp_path / "memory.json"
    data = example / "data.json"
    config = Path("config/example_config.json")
    assert run("tools/precompute_audio.py", "--data", data, "--config", config).returncode == 0
    sizes = ["--epochs", "3", "--workers", "1", "--batches", "2", "--batch_size", "2", "--segments", "2"]
    options = ["--data", data, "--set", "training_param.batch_size=8", "--videos", videos, "--output", output]
    found = results(run("-m", "benchmarks.loading.memory", *sizes, *options), output)
    figures = {(figure["process"], figure["quantity"]): figure for figure in found["figures"]}
    for name in ("main", "training, worker 1", "validation, worker 1"):
        assert len(figures[name, "rss"]["values"]) == 3
        assert figures[name, "open files"]["values"][0] > 3
        assert figures[name, "pss"]["highest"] <= figures[name, "rss"]["highest"] <= figures[name, "peak"]["highest"]
    assert figures["large clips, worker 1", "peak"]["highest"] > 50


@pytest.mark.slow
def test_shift(tmp_path):
    output = tmp_path / "shift.json"
    options = ["--shape", "9", "64", "28", "28", "--rounds", "1", "--repeats", "1", "--threads", "1"]
    found = results(run("-m", "benchmarks.model.shift", *options, "--output", output), output)
    figures = {tuple(f[key] for key in ("dtype", "layout", "direction", "way")): f for f in found["figures"]}
    assert len(figures) == 24
    tensor = 9 * 64 * 28 * 28 * 4 / 1e6
    floor = figures["float32", "channels_last", "backward", "plain copy"]
    assert floor["moved_megabytes"] == pytest.approx(2 * tensor, abs=0.06)
    assert floor["new_megabytes"] == pytest.approx(tensor, abs=0.06)
    assert floor["cpu_relative_to_copy"]["median"] == 1
    for way in ("ours", "ours, compiled"):
        ours = figures["float32", "channels_last", "backward", way]
        assert ours["new_megabytes"] == floor["new_megabytes"]
        assert 2 * tensor < ours["moved_megabytes"] < 5 * tensor


@pytest.mark.slow
def test_step(tmp_path):
    output = tmp_path / "step.json"
    sizes = ["--arch", "resnet10t", "--pixels", "32", "--segments", "4", "--rounds", "1", "--threads", "1"]
    variants = ["--variants", "float32-channels_last-eager-2", "bf16-channels_last-eager-1"]
    found = results(run("-m", "benchmarks.training.step", *sizes, *variants, "--output", output), output)
    figures = {figure["variant"]: figure for figure in found["figures"]}
    assert set(figures) | set(found["method"]["missing"]) == {"TSAM's way", *variants[1:]}
    assert all("no instructions for bf16" in reason for reason in found["method"]["missing"].values())
    assert figures["TSAM's way"]["wall_speedup"]["median"] == 1
    assert figures["float32-channels_last-eager-2"]["clips_per_second"]["median"] > 0
    assert figures["float32-channels_last-eager-2"]["peak_mb"] > 100


@pytest.mark.slow
def test_backbones(tmp_path):
    output = tmp_path / "backbones.json"
    sizes = ["--pixels", "32", "--segments", "2", "--rounds", "1", "--threads", "1"]
    found = results(
        run("-m", "benchmarks.training.backbones", *sizes, "--archs", "resnet18", "--output", output), output
    )
    (figure,) = found["figures"]
    # the last layer has 400 classes, not 1000; every second of 8 blocks is shifted; 1.814 GFLOPs at 224 x 224
    assert figure["million_parameters"] == pytest.approx(11.69 - 0.6 * 0.513, abs=0.01)
    assert figure["shifted_blocks"] == 4
    assert figure["gflops"] == pytest.approx(3 * 1.814 / 49, rel=0.1)
    assert figure["cpu_seconds"]["median"] > 0


@pytest.mark.slow
def test_end_to_end(videos, tmp_path):
    output = tmp_path / "end_to_end.json"
    sizes = [
        *("--rounds", "1", "--segments", "2", "--batch_size", "2", "--batches", "1"),
        *("--repeats", "2", "--cores", "1", "--pool", "7"),
    ]
    ways = [
        "videos, ours",
        "training copies, ours",
        "JPEG frames, ours",
        "videos, decord2",
        "training copies, ours, NVDEC",
    ]
    found = results(
        run("-m", "benchmarks.training.end_to_end", *sizes, "--ways", *ways, "--data", videos, "--output", output),
        output,
    )
    figures = {figure["way"]: figure for figure in found["figures"] if figure["kind"] == "way"}
    assert list(figures) == ["TSAM's way: JPEG + wav", *ways]
    assert figures["training copies, ours, NVDEC"]["missing"] == "needs a GPU"
    assert figures["videos, decord2"]["missing"] in (None, "not installed")
    tsam, ours = figures["TSAM's way: JPEG + wav"], figures["videos, ours"]
    for figure in (tsam, ours, figures["training copies, ours"]):
        assert figure["training_clips_per_second"]["median"] > 0
        assert 0 <= figure["data_wait"]["median"] <= 1
        assert figure["useful_frames_per_clip"] == 2 <= figure["decoded_frames_per_clip"]
    assert tsam["files_per_clip"] == 13  # 12 JPEG frames and a .wav file
    (comparison,) = (figure for figure in found["figures"] if figure["kind"] == "comparison")
    copies, jpegs = figures["training copies, ours"], figures["JPEG frames, ours"]
    costs = [
        way["preparation_cpu_seconds_per_clip"] + 10 * way["loader_cpu_ms_per_clip"]["median"] / 1000
        for way in (copies, jpegs)
    ]
    assert comparison["cpu_relative_10_epochs"] == pytest.approx(costs[0] / costs[1], abs=1e-3)
    assert comparison["bytes_relative"] > 0 < comparison["files_relative"]
    # Which is less only many clips can tell: with seven, most of it is the start of the tools' workers.
    assert min(figure["preparation_cpu_seconds_per_clip"] for figure in (tsam, ours)) > 0


@pytest.mark.slow
def test_audio(videos, tmp_path):
    output = tmp_path / "audio.json"
    sizes = ["--rounds", "1", "--workers", "1", "--repeats", "1"]
    found = results(run("-m", "benchmarks.loading.audio", *sizes, "--data", videos, "--output", output), output)
    *ways, store = found["figures"]
    assert all(figure["mean_difference"] < 0.01 for figure in ways)
    assert 1 < store["kilobytes_per_channel_second"] < 50


@pytest.mark.slow
def test_scaling(videos, tmp_path):
    output = tmp_path / "scaling.json"
    sizes = [
        *("--rounds", "1", "--segments", "2", "--batch_size", "2", "--batches", "1"),
        *("--repeats", "4", "--cores", "1"),
    ]
    sizes += ["--processes", "0", "1", "--batch_sizes", "2", "--prefetch", "1", "--arch", "resnet10t", "--steps", "1"]
    found = results(run("-m", "benchmarks.training.scaling", *sizes, "--data", videos, "--output", output), output)
    kinds = [figure["kind"] for figure in found["figures"]]
    assert kinds == ["workers"] * 2 + ["memory"] * 2 + ["ranks"] * 4
    assert found["figures"][-1]["overhead"]["median"] > -1


@pytest.mark.slow
def test_overhead(tmp_path):
    output = tmp_path / "overhead.json"
    sizes = [
        *("--rounds", "1", "--segments", "2", "--batch_size", "2", "--pixels", "32"),
        *("--steps", "2", "--threads", "1"),
    ]
    found = results(
        run("-m", "benchmarks.training.overhead", *sizes, "--arch", "resnet10t", "--output", output), output
    )
    bare, trainer = found["figures"]
    assert bare["overhead"]["median"] == 0
    assert 0 < trainer["data_wait"] < 1
