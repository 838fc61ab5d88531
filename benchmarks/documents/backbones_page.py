"""Write docs/backbones.md from benchmarks/results/backbones.json.

example:
  python -m benchmarks.documents.backbones_page --check
"""

from benchmarks.harness.markdown import Results, hardware, median, table, wrapped, write_or_check
from benchmarks.harness.preparation import ROOT
from tsam_dali.model.backbone import FAMILY_NAMES

PAGE = ROOT / "docs" / "backbones.md"
INTRODUCTION = (
    f"`model.arch` takes any network of these families of timm: {FAMILY_NAMES}. Another one is an error that names "
    "them. The shift comes before the first convolution of a block's residual branch, in inverted residual blocks "
    "before their expansion; a block without a shortcut is not shifted."
)


def page(results: Results) -> str:
    """The whole document."""
    blocks = [INTRODUCTION, "Not measured yet: `python -m benchmarks.training.backbones`."]
    if measured := results.load("backbones"):
        method = measured["method"]
        rows = [
            (
                *(f["arch"], f["shifted_blocks"], f["million_parameters"], f["gflops"]),
                *(median(f, "wall_seconds"), median(f, "cpu_seconds"), f["peak_mb"]),
            )
            for f in measured["figures"]
        ]
        columns = (
            "backbone",
            "shifted blocks",
            "million parameters",
            "GFLOPs per clip",
            "step, s",
            "step, CPU s",
            "MB",
        )
        pixels, batch = method["pixels"], f"{method['batch_size']} clip{'s' * (method['batch_size'] > 1)}"
        blocks[1:] = [
            f"A clip is {method['segments']} frames and one picture of audio of {pixels} x {pixels} pixels. GFLOPs are "
            "those of a clip's forward pass; a multiplication and its addition count as one operation. Parameters "
            f"include a last layer for {method['num_class']} classes. A step is forward, backward and optimizer on "
            f"{batch}, float32, channels-last; MB is the largest memory of its process. Medians of {method['rounds']} "
            f"steps on {method['threads']} threads: {hardware(measured)}, {measured['date'][:10]}, "
            "[backbones.json](../benchmarks/results/backbones.json), written by `python -m "
            "benchmarks.training.backbones`.",
            table(columns, rows),
        ]
    return "\n\n".join(["# Backbones", *map(wrapped, blocks)]) + "\n"


def main() -> None:
    write_or_check("python -m benchmarks.documents.backbones_page", __doc__, PAGE, page(Results()))


if __name__ == "__main__":
    main()
