"""Run under torchrun by test_distributed.py: write the rows that this rank reads, and a digest of their pixels.

usage: rank_batches.py DATA_JSON CONFIG_JSON OUT_FOLDER [SECTION.KEY=VALUE ...]
"""

import hashlib
import json
import sys
from pathlib import Path

from pipelines.dataset import load_clips
from pipelines.loader import build_loader
from tsam_dali import distributed
from tsam_dali.config import load_config


def main() -> None:
    data, config_file, out, *overrides = sys.argv[1:]
    config = load_config(data, config_file, overrides)
    job = distributed.start("cpu")
    clips = distributed.on_rank_0(lambda: load_clips(config))
    found = {}
    for split, epochs in (("training", 2), ("validation", 1)):
        loader = build_loader(config, split, clips[split], rank=job.rank, world=job.world)
        found[split] = [
            [
                (int(row), hashlib.sha256(video.numpy()).hexdigest())
                for row, video in zip(batch.row, batch.video, strict=True)
            ]
            for _ in range(epochs)
            for batch in loader
        ]
        loader.close()
    Path(out, f"{job.world}_{job.rank}.json").write_text(json.dumps(found))
    distributed.stop()


if __name__ == "__main__":
    main()
