"""Train the example three times - whole, without the shift, without the sound - and print what each cue is worth.

example:
  python tools/ablation.py
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from tsam_dali.command_line import add_config_arguments, config_arguments, friendly_errors, new_folder, parser
from tsam_dali.config import load_config
from tsam_dali.provenance import provenance
from tsam_dali.report import accuracy_table

VARIANTS = {
    "shift and sound": [],
    "without the shift": ["shift_temporal.status=false"],
    "without the sound": ["model.audio_segments=0"],
}


@friendly_errors
def main() -> None:
    command = parser("python tools/ablation.py", __doc__)
    add_config_arguments(command)
    help_output = "also write the figures, with command and hardware, into this JSON file"
    command.add_argument("--output", metavar="FILE", help=help_output)
    args = command.parse_args()
    results = Path(load_config(args.data, args.config, args.set).results_folder)
    folder = new_folder(results / time.strftime("ablation_%Y-%m-%d_%H-%M-%S")).name
    rows = []
    for name, changes in VARIANTS.items():
        config = load_config(args.data, args.config, [*args.set, *changes])
        run_id = f"{folder}/{name.replace(' ', '_')}"
        settings = [word for change in changes for word in ("--set", change)]
        training = [*config_arguments(args), *settings, "--run_id", run_id]
        start = time.perf_counter()
        print(f"--- {name}", flush=True)
        subprocess.run([sys.executable, "-m", "tsam_dali.train", *training], check=True)
        result = json.loads(Path(config.results_folder, run_id, "result.json").read_text())
        last = list(result["history_score"].values())[-1]["valid"]["unbalanced"]
        rows.append((name, last, config.training_param.epochs, time.perf_counter() - start))
    print(accuracy_table(rows))
    if args.output:
        columns = ("variant", "validation_accuracy", "epochs", "seconds")
        results = {"figures": [dict(zip(columns, row, strict=True)) for row in rows], **provenance()}
        Path(args.output).write_text(json.dumps(results, indent=4) + "\n")


if __name__ == "__main__":
    main()
