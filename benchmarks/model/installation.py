"""How much of the disk an installation takes that predicts: this package and all that it requires.

The sizes are those that the metadata of the installed packages record. What only a GPU needs is counted apart: CUDA's
libraries, which the PyTorch of PyPI brings on Linux and that for CPUs does not, and DALI.

example:
  python -m benchmarks.model.installation
"""

import re
from collections import defaultdict
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.harness.arguments import benchmark_parser
from benchmarks.harness.results import origin, print_figures, write_results

PROJECT = "tsam-dali"
CUDA_PACKAGE = re.compile(r"nvidia-|cuda-|triton$")
CUDA_LIBRARY = re.compile(r"torch/lib/lib(torch|c10|caffe2)\w*_(cuda|nvrtc|nvshmem)|torch/bin/")
DALI = "nvidia-dali-cuda120"


def main() -> None:
    args = benchmark_parser("model.installation", __doc__).parse_args()
    about = origin()
    of_project = required(PROJECT)
    sizes: defaultdict[tuple[str, str], float] = defaultdict(float)  # by kind and package
    for name in of_project:
        for path, megabytes in files(name).items():
            sizes["CUDA" if CUDA_PACKAGE.match(name) or CUDA_LIBRARY.search(path) else "needed", name] += megabytes
    for name in required(DALI) - of_project:
        sizes["DALI", name] = sum(files(name).values())
    for (kind, _), megabytes in list(sizes.items()):
        sizes[kind, "all"] += megabytes
    largest = sorted(sizes, key=lambda each: -sizes[each])
    figures = [{"kind": kind, "package": name, "megabytes": round(sizes[kind, name], 1)} for kind, name in largest]
    method = {"counted": f"files that the metadata of {PROJECT} and of its requirements record, without extras"}
    write_results(args.output, "installation", method, figures, about)
    print_figures(figures, ("kind", "package", "megabytes"))


def required(name: str) -> set[str]:
    """A package that is installed and all that it requires, by their names in one spelling."""
    found, todo = set(), [Requirement(name)]
    while todo:
        current = todo.pop()
        found.add(str(current))
        for wanted in map(Requirement, metadata.requires(current.name) or ()):
            needed = not wanted.marker or any(wanted.marker.evaluate({"extra": e}) for e in current.extras or {""})
            if needed and str(wanted) not in found:
                todo.append(wanted)
    return {canonicalize_name(Requirement(text).name) for text in found}


def files(name: str) -> dict[str, float]:
    """The files of an installed package, and their sizes in MB."""
    return {str(file): (file.size or 0) / 1e6 for file in metadata.files(name) or ()}


if __name__ == "__main__":
    main()
