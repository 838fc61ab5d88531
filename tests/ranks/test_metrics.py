"""Loss and metrics do not depend on the number of ranks, also where some clips cannot be read."""

import json
import shutil

import pytest

from benchmarks.reliability.broken_data import spoil
from tests.helpers.processes import TORCHRUN, run

SMALL = (
    *("--set", "training_param.batch_size=6", "--set", "training_param.epochs=1", "--set", "pipeline.workers=1"),
    *("--set", "model.video_segments=2", "--set", "model.audio_segments=0", "--set", "model.dropout=0"),
    *("--set", "training_param.batch_norm=frozen", "--set", "pipeline.max_bad_fraction=0.5"),
    *("--set", "training_param.amp=off"),
    *("--set", "data_augmentation.video_image_param.output_size=32"),
)


@pytest.fixture(scope="module")
def data(example, tmp_path_factory):
    """11 + 1 clips to train on and 8 + 1 to validate with; only decoding shows that the last ones are damaged."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "videos").mkdir()
    for split, count in (("training", 12), ("validation", 9)):
        lines = (example / f"{split}.txt").read_text().splitlines()[:count]
        for line in lines:
            name = f"{line.split()[0]}.mp4"
            shutil.copy(example / "videos" / name, folder / "videos" / name)
        spoil(folder / "videos" / name)
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
    settings = json.loads((example / "data.json").read_text())
    settings["dataset"]["data_dir"] = str(folder)
    (folder / "data.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.slow
def test_loss_and_metrics_are_the_same_on_one_two_and_three_ranks(data):
    records = []
    for world in (1, 2, 3):
        common = ("--data", data / "data.json", "--set", f"results_folder={data}", "--run_id", f"ranks_{world}")
        done = run(*TORCHRUN, world, "-m", "tsam_dali.train", *common, *SMALL)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("is left out (black, ok = 0)") == 2, done.stderr
        assert "12 training clips, 9 validation clips" in done.stderr
        records.append(json.loads((data / f"ranks_{world}/metrics.jsonl").read_text().splitlines()[-1]))
    for record in records:
        assert (record["training"]["samples"], record["validation"]["samples"]) == (11, 8)
        for split in ("training", "validation"):
            exact = {name: value for name, value in records[0][split].items() if name != "loss"}
            assert record[split] == exact | {"loss": pytest.approx(records[0][split]["loss"], rel=1e-4)}
