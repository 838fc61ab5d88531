"""Reads the validation clips beside a checkpoint once, one by one, as a training does: python -m ... CKPT"""

import sys
from pathlib import Path

from pipelines.dataset.load import load_data
from pipelines.loader import build_loader
from tsam_dali.cli.common import friendly_errors
from tsam_dali.config.load import config_from_dict
from tsam_dali.weights.checkpoint import load_checkpoint


@friendly_errors
def main() -> None:
    config = config_from_dict(load_checkpoint(Path(sys.argv[1]))["config"])
    clips = load_data(config, ["validation"]).clips["validation"]
    with build_loader(config, "validation", clips, rank_batch=1) as loader:
        for _ in loader:
            pass


if __name__ == "__main__":
    main()
