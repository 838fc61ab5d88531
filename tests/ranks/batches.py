"""Run under torchrun by test_batches.py: write the rows that this rank reads, and a digest of their pixels.

"sought" are those of the training split from step SOUGHT on.

usage: batches.py DATA_JSON CONFIG_JSON OUT_FOLDER [SECTION.KEY=VALUE ...]
"""

import hashlib
import json
import sys
from pathlib import Path

from pipelines.dataset.load import load_clips
from pipelines.loader import build_loader
from tsam_dali import distributed
from tsam_dali.config import load_config

SOUGHT = 3
PASSES = (("training", "training", 0, 2), ("validation", "validation", 0, 1), ("sought", "training", SOUGHT, 2))
"""Name, split, first step, epochs that are read, or what is left of them."""


def main() -> None:
    data, config_file, out, *overrides = sys.argv[1:]
    config = load_config(data, config_file, overrides)
    job = distributed.start("cpu")
    clips = distributed.on_rank_0(lambda: load_clips(config))
    found = {}
    for name, split, first, epochs in PASSES:
        loader = build_loader(config, split, clips[split], rank=job.rank, world=job.world)
        loader.seek(first)
        found[name] = [
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
