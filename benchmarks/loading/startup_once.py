"""One start of a training in this process, stage by stage; run by `benchmarks.loading.startup` in a fresh process each
time.

usage: python -m benchmarks.loading.startup_once DATA_JSON WORKERS
"""

import json
import resource
import sys
import time
from itertools import pairwise

began = time.perf_counter()
from pipelines.dataset.load import load_clips  # noqa: E402
from tsam_dali import train  # noqa: E402, F401
from tsam_dali.cli.common import EXAMPLE_CONFIG, importing  # noqa: E402
from tsam_dali.config import load_config  # noqa: E402

SMALL = ("model.audio_segments=0", "model.video_segments=8", "training_param.batch_size=8")


def main() -> None:
    data, workers = sys.argv[1:]
    marks = [began, time.perf_counter()]
    config = load_config(data, EXAMPLE_CONFIG, [*SMALL, f"pipeline.workers={workers}"])
    marks.append(time.perf_counter())
    clips = load_clips(config)["training"]
    marks.append(time.perf_counter())
    with importing():  # as the trainer does, when it has checked settings and data
        from pipelines.loader import build_loader
        from tsam_dali.runs import epochs, initial_network  # noqa: F401
    marks.append(time.perf_counter())
    with build_loader(config, "training", clips) as loader:
        if not next(iter(loader)).ok.all():
            raise RuntimeError("a clip could not be read")
        marks.append(time.perf_counter())
        order, source = loader.source.order, loader.source
        last = 2 * len(order) - 1
        order.position(last, 0)
        marks.append(time.perf_counter())
        for place in range(order.rank_batch):
            source.plan(order.position(last, place))
        marks.append(time.perf_counter())
    seconds = [later - earlier for earlier, later in pairwise(marks)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"seconds": seconds, "peak": peak}))


if __name__ == "__main__":
    main()
