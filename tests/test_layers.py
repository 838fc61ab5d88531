"""Imports point down: a module imports its own folder and lower ones, and nothing imports in a circle."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ORDER = [  # from the lowest up; a module belongs to the longest name that fits
    "pipelines.files",
    "pipelines.parallel",
    "pipelines.sampling",
    "pipelines.audio",
    "pipelines.decode.bitstream",
    "pipelines.decode",
    "pipelines.transcode",
    "pipelines.dataset",
    "pipelines.annotations",
    "pipelines.dali",
    "pipelines",
    "pipelines.check_gpu",
    "tsam_dali.config",
    "tsam_dali.distributed",
    "tsam_dali.cli",
    "tsam_dali.model",
    "tsam_dali.weights",
    "tsam_dali.training",
    "tsam_dali.report",
    "tsam_dali.evaluate",
    "tsam_dali.inference",
    "tsam_dali.inference.export",
    "tsam_dali.runs",
    "tsam_dali.probe",
    "tsam_dali.fit",
    "tsam_dali",
]
WORKERS = ["pipelines.dali.source", "pipelines.decode.probe", "pipelines.parallel.sandbox"]
HEAVY = {"torch", "nvidia"}
MOST_FILES = 14


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


PATHS = {name_of(path): path for top in ("pipelines", "tsam_dali") for path in sorted((ROOT / top).rglob("*.py"))}
MODULES = {name: path for name, path in PATHS.items() if path.name != "__init__.py"}


def place(name: str) -> int:
    return max((len(folder), number) for number, folder in enumerate(ORDER) if f"{name}.".startswith(f"{folder}."))[1]


def imports(path: Path) -> set[str]:
    """Full names of everything that a file imports, in functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def loaded(name: str) -> set[str]:
    """Modules of the two packages that importing one runs at the least: those it names, and their packages."""
    named = {other for other in imports(PATHS[name]) if other in PATHS}
    parents = {other.rsplit(".", depth)[0] for other in [name, *named] for depth in range(1, other.count(".") + 1)}
    return (named | parents) - {name}


def test_every_folder_has_a_place_and_every_place_is_there():
    assert {name.rpartition(".")[0] for name in MODULES} <= set(ORDER)
    assert set(ORDER) <= set(PATHS)


@pytest.mark.parametrize("folder", ORDER)
def test_imports_point_down(folder):
    number = ORDER.index(folder)
    of_folder = [name for name in MODULES if place(name) == number]
    upward = {
        f"{name} imports {other}"
        for name in of_folder
        for other in imports(PATHS[name])
        if other in MODULES and place(other) > number
    }
    assert not upward


def test_packages_know_nothing_of_what_stands_above_them():
    above = {"pipelines": {"tsam_dali", "tools", "benchmarks"}, "tsam_dali": {"benchmarks"}}
    found = {
        f"{name} imports {other}"
        for name, path in PATHS.items()
        for other in imports(path)
        if other.split(".")[0] in above[name.split(".")[0]]
    }
    assert not found


def test_only_the_graph_and_its_outputs_import_dali():
    users = {name for name, path in MODULES.items() if any(other.startswith("nvidia") for other in imports(path))}
    assert users == {"pipelines.dali.graph", "pipelines.dali.outputs"}


def test_workers_import_neither_torch_nor_dali():
    """Follow the imports of what decode workers, and the children that probe, run."""
    seen, todo = set(), list(WORKERS)
    while todo:
        name = todo.pop()
        seen.add(name)
        assert not {other for other in imports(PATHS[name]) if other.split(".")[0] in HEAVY}, name
        todo += loaded(name) - seen - set(todo)
    assert {"pipelines.decode.frames", "pipelines.audio.log_mel", "pipelines.sampling.plan"} <= seen


def test_there_is_no_circle():
    graph = {name: {other for other in imports(path) if other in MODULES} for name, path in MODULES.items()}
    while graph:
        free = [name for name, others in graph.items() if not others & graph.keys()]
        assert free, f"circle among {sorted(graph)}"
        for name in free:
            del graph[name]


@pytest.mark.parametrize("top", ["pipelines", "tsam_dali", "benchmarks", "tests", "tools"])
def test_folders_can_be_read_at_a_glance(top):
    folders = [path for path in [ROOT / top, *(ROOT / top).rglob("*")] if path.is_dir()]
    counts = {folder: sum(path.name != "__init__.py" for path in folder.glob("*.py")) for folder in folders}
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}
