"""Train probes on the features of clips, in minutes: how well do they tell the classes apart?

examples:
  python -m tsam_dali.probe features/my
      a table of five-fold scores; the report and a checkpoint are in features/my/probe
  python -m tsam_dali.probe features/my --group 'speaker[0-9]+'
      no speaker is in two folds
  python -m tsam_dali.probe features/my --split lists
      trained on the training list, scored on the validation list

features/my was written by python -m tsam_dali.embed. Probes:
  linear     logistic regression on the mean features of a clip
  k-NN       the classes of the clips with the nearest mean features
  attentive  learned attention over the segments of a clip, which knows their order
Each is trained on the frames, on the audio, and on both. How strongly it is regularised (k-NN: the number of neighbors)
is chosen inside the training clips of each fold. The table has the mean over the folds and its spread, the standard
deviation (n - 1).

results:
  scores.json   the table, and the scores of each fold
  report.html   table, confusion, classes, nearest neighbors, a map of the clips, suspect labels
  suspects.csv, suspects.png   clips whose label the linear probe, trained without them, contradicts
  checkpoint    the linear probe as a network, for predict, evaluate, export and --fine_tune
The network of the checkpoint averages the features of all of its segments: it is the probe on the frames alone or, as
`average`, on the mean over frames and audio segments together, whichever scores higher. With --split folds it is
trained on the clips of both lists, so that its scores on the validation list are too high; the table's are not.
"""

import argparse
from pathlib import Path

from pipelines.files.words import counted
from tsam_dali.cli.common import friendly_errors, importing, make_folder, parser
from tsam_dali.cli.dataclass_options import add_option_arguments, options_of
from tsam_dali.probe.options import ProbeOptions
from tsam_dali.probe.store import read_about, read_features


@friendly_errors
def main() -> None:
    args = parse_arguments()
    options = options_of(args, ProbeOptions)
    folder = args.output or args.features / "probe"
    read_about(args.features)

    # scikit-learn and PyTorch take seconds to import: arguments are checked before.
    with importing():
        from tsam_dali.probe.checkpoint import save_probe
        from tsam_dali.probe.report import write_report
        from tsam_dali.probe.run import fit_final, probe, write_scores

    features = read_features(args.features)
    make_folder(folder)
    probes = probe(features, options, report=print)
    write_scores(folder / "scores.json", probes)
    network = probes.best_network
    save_probe(folder / "checkpoint", probes, network.inputs, fit_final(probes, network.inputs))
    print(f"checkpoint of the linear probe on {network.inputs}: {folder / 'checkpoint'}")
    suspects = write_report(folder, probes)
    print(f"{counted(len(suspects), 'suspect label')}; report: {folder / 'report.html'}")


def parse_arguments() -> argparse.Namespace:
    command = parser("python -m tsam_dali.probe", __doc__)
    add = command.add_argument
    add("features", metavar="OUT", type=Path, help="folder that python -m tsam_dali.embed wrote")
    add_option_arguments(command, ProbeOptions)
    add("--output", metavar="DIR", type=Path, help="folder for the results (default: OUT/probe)")
    return command.parse_args()


if __name__ == "__main__":
    main()
