"""Run under torchrun by test_clusters.py: write which files of the data folder this rank opens to get its clips.

usage: reads.py DATA_JSON OUT_FOLDER
"""

import argparse
import json
import os
import sys
from pathlib import Path

from tests.helpers.processes import ROOT
from tsam_dali import distributed
from tsam_dali.config import load_config
from tsam_dali.train import prepare_data


def main() -> None:
    data, out = map(Path, sys.argv[1:])
    config = load_config(data, ROOT / "config/example_config.json", ["model.audio_segments=0"])
    folder, opened = os.path.abspath(config.dataset.data_dir), []

    def note(event: str, details: tuple) -> None:
        if event in ("open", "os.listdir", "os.scandir") and str(details[0]).startswith(f"{folder}/"):
            opened.append(os.path.basename(details[0]))

    job = distributed.start("cpu")
    sys.addaudithook(note)
    arguments = argparse.Namespace(data=str(data), config="", set=[])
    clips, _ = distributed.on_rank_0(lambda: prepare_data(arguments, config))
    found = {"files": opened, "clips": sum(map(len, clips.values()))}
    (out / f"{job.rank}.json").write_text(json.dumps(found))
    distributed.stop()


if __name__ == "__main__":
    main()
