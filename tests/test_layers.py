"""Imports point down: every module may import only modules of lower layers, or of its own."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def layer(package: str, names: str) -> set[str]:
    return {f"{package}.{name}" for name in names.split()}


LAYERS = [
    layer(
        "pipelines",
        "bits clips ffmpeg frame_folder h264_slices hevc_slices jpeg list_file media_files memory names order parallel",
    )
    | layer("pipelines", "processes record_file sampling sandbox shard sei storage tsam_names unfinished views windows")
    | layer("pipelines", "words")
    | layer("pipelines.lists", "build classes formats media paths published rows split write"),
    layer(
        "pipelines",
        "copy_check copy_folder decode demux file_sound headers index_file long_sound mel mel_file mel_store",
    )
    | layer(
        "pipelines",
        "hardware nvdec packets pictures probe remux sound sound_clock sound_decode sound_track source training_copy",
    )
    | layer("pipelines", "video_file ways_in colour_loop mel_summary mp4")
    | layer("pipelines", "frame_stream frame_times joints orientation sound_windows whole_file")
    | layer("tsam_dali", "config options"),
    layer("pipelines", "colour culprits dataset frame_index graph index loader shared_memory")
    | layer(
        "tsam_dali",
        "backbone checkpoint checkpoint_folder class_names cluster_arguments command_line describe distributed",
    )
    | layer("tsam_dali", "example finite")
    | layer(
        "tsam_dali", "interruption learner loss metrics mistakes mixup model network optim option_arguments precision"
    )
    | layer(
        "tsam_dali",
        "progress provenance published_weights report report_page report_parts report_sections resume run_folder",
    )
    | layer("tsam_dali", "model_folder trained")
    | layer("tsam_dali", "explanation export_formats model_card predictions preprocessing stream")
    | layer("tsam_dali", "first_network scores train_arguments video_scores")
    | layer("tsam_dali", "run_log shift shift_blocks shift_triton trackers trainable")
    | layer("tsam_dali", "timm_weights weight_file weight_formats weights"),
    layer("tsam_dali", "engine file_clips live prediction_files prediction_inputs run timeline"),
    layer("tsam_dali", "evaluation predictor run_report timeline_picture watch window"),
    layer("tsam_dali", "evaluation_files explanation_picture prediction_picture"),
    layer("tsam_dali", "evaluation_report"),
    layer("tsam_dali", "evaluate export predict train training"),
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
WORKERS = ["pipelines.source", "pipelines.probe", "pipelines.sandbox"]
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
    assert users == {"pipelines.graph", "pipelines.loader"}


def test_workers_import_neither_torch_nor_dali():
    """Follow the imports of what decode workers, and the children that probe, run."""
    seen, todo = set(), list(WORKERS)
    while todo:
        name = todo.pop()
        seen.add(name)
        found = imports(modules()[name])
        assert not {other for other in found if other.split(".")[0] in HEAVY}, name
        todo += [other for other in found if other in LEVEL and other not in seen]
    assert {"pipelines.decode", "pipelines.mel", "pipelines.sampling"} <= seen


def test_there_is_no_circle():
    graph = {name: {other for other in imports(path) if other in LEVEL} for name, path in modules().items()}
    while graph:
        free = [name for name, others in graph.items() if not others & graph.keys()]
        assert free, f"circle among {sorted(graph)}"
        for name in free:
            del graph[name]
