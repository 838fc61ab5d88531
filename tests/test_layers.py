"""Imports point down: every module may import only modules of lower layers, or of its own."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def layer(package: str, names: str) -> set[str]:
    return {f"{package}.{name}" for name in names.split()}


LAYERS = [
    {
        "pipelines.annotations.build",
        "pipelines.annotations.classes",
        "pipelines.annotations.formats",
        "pipelines.annotations.media",
        "pipelines.annotations.paths",
        "pipelines.annotations.published",
        "pipelines.annotations.rows",
        "pipelines.annotations.split",
        "pipelines.annotations.write",
        "pipelines.dataset.clips",
        "pipelines.dataset.list_file",
        "pipelines.dataset.media_files",
        "pipelines.dataset.tsam_names",
        "pipelines.decode.bitstream.bits",
        "pipelines.decode.bitstream.h264",
        "pipelines.decode.bitstream.hevc",
        "pipelines.decode.bitstream.sei",
        "pipelines.decode.frame_folder",
        "pipelines.decode.jpeg",
        "pipelines.files.atomic",
        "pipelines.files.records",
        "pipelines.files.shard",
        "pipelines.files.storage",
        "pipelines.files.unicode_names",
        "pipelines.files.words",
        "pipelines.parallel.malloc",
        "pipelines.parallel.pool",
        "pipelines.parallel.processes",
        "pipelines.parallel.sandbox",
        "pipelines.sampling.batch_order",
        "pipelines.sampling.plan",
        "pipelines.sampling.views",
        "pipelines.sampling.windows",
        "pipelines.transcode.ffmpeg",
    },
    {
        "pipelines.audio.clock",
        "pipelines.audio.decode",
        "pipelines.audio.from_video",
        "pipelines.audio.log_mel",
        "pipelines.audio.long",
        "pipelines.audio.mel_file",
        "pipelines.audio.mel_records",
        "pipelines.audio.mel_store",
        "pipelines.audio.read",
        "pipelines.dali.color_loop",
        "pipelines.dali.inputs",
        "pipelines.dali.resources",
        "pipelines.dali.source",
        "pipelines.decode.bitstream.headers",
        "pipelines.decode.bitstream.mp4",
        "pipelines.decode.bitstream.packets",
        "pipelines.decode.container",
        "pipelines.decode.decoder",
        "pipelines.decode.demux",
        "pipelines.decode.frames",
        "pipelines.decode.nvdec",
        "pipelines.decode.orientation",
        "pipelines.decode.probe",
        "pipelines.decode.remux",
        "pipelines.decode.stream",
        "pipelines.decode.timestamps",
        "pipelines.mel",
        "pipelines.transcode.audio_track",
        "pipelines.transcode.copy_check",
        "pipelines.transcode.copy_folder",
        "pipelines.transcode.training_copy",
        "tsam_dali.config.load",
        "tsam_dali.config.sections",
    },
    {
        "pipelines.dali.bad_clips",
        "pipelines.dali.color_jitter",
        "pipelines.dali.graph",
        "pipelines.dali.shared_memory",
        "pipelines.dataset.frame_index",
        "pipelines.dataset.load",
        "pipelines.dataset.video_index",
        "pipelines.loader",
        "tsam_dali.cli.cluster",
        "tsam_dali.cli.common",
        "tsam_dali.cli.dataclass_options",
        "tsam_dali.cli.example",
        "tsam_dali.cli.provenance",
        "tsam_dali.distributed",
        "tsam_dali.evaluation.scores",
        "tsam_dali.evaluation.view_average",
        "tsam_dali.inference.export_formats",
        "tsam_dali.inference.grad_cam",
        "tsam_dali.inference.model_card",
        "tsam_dali.inference.preprocessing",
        "tsam_dali.inference.results",
        "tsam_dali.model.__main__",
        "tsam_dali.model.backbone",
        "tsam_dali.model.freeze",
        "tsam_dali.model.precision",
        "tsam_dali.model.shift",
        "tsam_dali.model.shift_cpu",
        "tsam_dali.model.shift_triton",
        "tsam_dali.model.streaming",
        "tsam_dali.model.summary",
        "tsam_dali.model.tsam",
        "tsam_dali.report.mistakes",
        "tsam_dali.report.page",
        "tsam_dali.report.parts",
        "tsam_dali.report.plots",
        "tsam_dali.report.sections",
        "tsam_dali.runs.epochs.loss",
        "tsam_dali.runs.epochs.metrics",
        "tsam_dali.runs.epochs.mixup",
        "tsam_dali.runs.epochs.nan_guard",
        "tsam_dali.runs.epochs.optim",
        "tsam_dali.runs.epochs.progress",
        "tsam_dali.runs.epochs.state",
        "tsam_dali.runs.folder",
        "tsam_dali.runs.initial_network",
        "tsam_dali.runs.metrics_log",
        "tsam_dali.runs.resume",
        "tsam_dali.runs.signals",
        "tsam_dali.runs.trackers",
        "tsam_dali.train_arguments",
        "tsam_dali.weights.checkpoint",
        "tsam_dali.weights.checkpoint_folder",
        "tsam_dali.weights.class_names",
        "tsam_dali.weights.export_folder",
        "tsam_dali.weights.formats",
        "tsam_dali.weights.load",
        "tsam_dali.weights.read",
        "tsam_dali.weights.timm_zoo",
        "tsam_dali.weights.trained",
        "tsam_dali.weights.tsam_zoo",
    },
    {
        "tsam_dali.inference.file_clips",
        "tsam_dali.inference.inputs",
        "tsam_dali.inference.live",
        "tsam_dali.inference.outputs",
        "tsam_dali.inference.timeline",
        "tsam_dali.runs.epochs.engine",
        "tsam_dali.runs.run",
    },
    {
        "tsam_dali.evaluation.evaluator",
        "tsam_dali.inference.predictor",
        "tsam_dali.runs.report",
        "tsam_dali.runs.step_hook",
    },
    {
        "tsam_dali.evaluation.outputs",
        "tsam_dali.inference.plots",
    },
    {
        "tsam_dali.evaluation.runner",
    },
    {
        "tsam_dali.evaluate",
        "tsam_dali.export",
        "tsam_dali.predict",
        "tsam_dali.runs.epochs",
        "tsam_dali.train",
    },
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
WORKERS = ["pipelines.dali.source", "pipelines.decode.probe", "pipelines.parallel.sandbox"]
HEAVY = {"torch", "nvidia"}


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for package in ("pipelines", "tsam_dali")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != "__init__.py"
    }


def imports(path: Path) -> set[str]:
    """Full names of everything that a file imports, in functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def test_every_module_has_a_layer():
    assert set(modules()) == set(LEVEL)


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_down(name):
    upward = {other for other in imports(modules()[name]) if LEVEL.get(other, -1) > LEVEL[name]}
    assert not upward


@pytest.mark.parametrize("name", [name for name in sorted(modules()) if name.startswith("pipelines.")])
def test_pipelines_knows_nothing_of_training(name):
    assert not {other for other in imports(modules()[name]) if other.split(".")[0] in ("tsam_dali", "tools")}


@pytest.mark.parametrize("name", sorted(modules()))
def test_nothing_needs_the_benchmarks(name):
    assert not {other for other in imports(modules()[name]) if other.split(".")[0] == "benchmarks"}


def test_only_graph_and_loader_import_dali():
    users = {name for name, path in modules().items() if any(other.startswith("nvidia") for other in imports(path))}
    assert users == {"pipelines.dali.graph", "pipelines.loader"}


def test_workers_import_neither_torch_nor_dali():
    """Follow the imports of what decode workers, and the children that probe, run."""
    seen, todo = set(), list(WORKERS)
    while todo:
        name = todo.pop()
        seen.add(name)
        found = imports(modules()[name])
        assert not {other for other in found if other.split(".")[0] in HEAVY}, name
        todo += [other for other in found if other in LEVEL and other not in seen]
    assert {"pipelines.decode.frames", "pipelines.audio.log_mel", "pipelines.sampling.plan"} <= seen


def test_there_is_no_circle():
    graph = {name: {other for other in imports(path) if other in LEVEL} for name, path in modules().items()}
    while graph:
        free = [name for name, others in graph.items() if not others & graph.keys()]
        assert free, f"circle among {sorted(graph)}"
        for name in free:
            del graph[name]
