"""Run under torchrun by test_clusters.py: write which files of the data folder this rank opens to get its
clips, and what these are.

usage: reads.py DATA_JSON OUT_FOLDER
"""

import argparse
import json
import os
import pickle
import sys
from pathlib import Path

from pipelines.dataset.clip_columns import Clips
from tests.helpers.processes import ROOT
from tsam_dali import distributed
from tsam_dali.config import load_config
from tsam_dali.runs.resume import fingerprints
from tsam_dali.train import prepare_data


def clips_file(clips: Clips) -> int:
    """What tells the memory of one machine from a copy of it."""
    return os.stat(pickle.loads(pickle.dumps(clips)).__reduce__()[1][0]).st_ino


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
    found["shared"] = fingerprints({split: distributed.on_every_machine(part) for split, part in clips.items()})
    os.environ |= {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}  # as if each rank had a machine of its own
    distributed.PART_BYTES = 100
    copies = {split: distributed.on_every_machine(part) for split, part in clips.items()}
    found |= {"copied": fingerprints(copies), "files of clips": [clips_file(part) for part in copies.values()]}
    (out / f"{job.rank}.json").write_text(json.dumps(found))
    distributed.stop()


if __name__ == "__main__":
    main()
