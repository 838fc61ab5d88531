"""The benchmark of real videos, on tiny ones: its sets, and from the command to the file of results and back again."""

import json

import numpy as np
import pytest
import timm
import torch

from benchmarks.documents.real_videos import real_data, switches
from benchmarks.real_data.sets import AUDIO, RealSet, make_sets
from benchmarks.real_data.trainings import Training, kept, trained
from benchmarks.real_data.variants import VARIANTS, WHOLE
from pipelines.decode import decode_frames
from pipelines.files.errors import InputError
from tests.benchmarks.read_results import results
from tests.helpers.media import write_video
from tests.helpers.processes import run

SILENT = "without the audio"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A set without audio, its classes in folders of their own, and one with audio; eight and four clips."""
    root = tmp_path_factory.mktemp("real")
    for name, audio in (("strokes", False), ("words", True)):
        for split, count in (("training", 8), ("validation", 4)):
            ids = [f"{'ab'[i % 2]}/{split}{i}" if name == "strokes" else f"{split}{i}" for i in range(count)]
            for clip_id in ids:
                path = root / name / "videos" / f"{clip_id}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_video(path, 12, audio=audio)
            lines = [f"{clip_id} {i % 2}\n" for i, clip_id in enumerate(ids)]
            (root / name / f"{split}.txt").write_text("".join(lines))
    return [root / "strokes", root / "words"]


@pytest.fixture(scope="module")
def made(folders, tmp_path_factory):
    """The sets of these folders, and where they were made."""
    work = tmp_path_factory.mktemp("made")
    return make_sets(folders, work), work


def test_clips_without_audio_are_also_played_backwards(made):
    sets, work = made
    assert [(one.name, one.kind) for one in sets] == [
        ("strokes", "frames"),
        ("strokes_order", "order"),
        ("words", "audio"),
    ]
    assert [list(one.class_names) for one in sets] == [["a", "b"], ["backwards", "forwards"], []]
    lines = (work / "strokes_order" / "validation.txt").read_text().splitlines()
    assert lines[:2] == ["backwards/a/validation0 0", "forwards/a/validation0 1"]
    videos = work / "strokes_order" / "videos"
    both = [decode_frames(videos / way / "a" / "training0.mp4", range(12)) for way in ("forwards", "backwards")]
    assert np.abs(both[0].astype(int) - both[1][::-1]).mean() < 3 < np.abs(both[0].astype(int) - both[1]).mean()


def test_of_clips_without_audio_the_middle_of_the_frames_is_learnt(folders, made):
    sets, work = made
    folders_read = [json.loads(one.data.read_text())["dataset"]["dir_videos"] for one in sets]
    assert folders_read == ["squares", "videos", "videos"]
    whole = decode_frames(folders[0] / "videos" / "a" / "training0.mp4", range(12))
    for cut in ("strokes/squares", "strokes_order/videos/forwards"):
        square = decode_frames(work / cut / "a" / "training0.mp4", range(12))
        assert whole.shape[1:3] == (96, 128)
        assert square.shape[1:3] == (96, 96)
        assert np.abs(square.astype(int) - whole[:, :, 16:112]).mean() < 3


def test_a_folder_without_lists_is_named(folders, tmp_path):
    with pytest.raises(InputError, match=r"videos: has no training.txt"):
        make_sets([folders[0] / "videos"], tmp_path)


def test_a_finished_training_is_kept_until_its_settings_change(tmp_path):
    training = Training(RealSet("words", AUDIO, tmp_path / "data.json", ()), VARIANTS[0], 0)
    weights = tmp_path / "weights.pth"
    (tmp_path / "figures").mkdir()
    found = {"settings": training.settings(weights, tmp_path), "figure": {"accuracy": 0.5}}
    (tmp_path / "figures" / f"{training.run_id}.json").write_text(json.dumps(found))
    assert trained(training, weights, tmp_path) == {"accuracy": 0.5}
    assert kept(training._replace(changes=["training_param.epochs=1"]), weights, tmp_path) is None
    assert kept(training._replace(seed=1), weights, tmp_path) is None


def test_the_table_has_means_of_the_seeds():
    probe = {"set": "words", "variant": "frozen features", "accuracy": 0.25}
    trained = [{"set": "words", "variant": WHOLE, "accuracy": a, "cpu_seconds": 90} for a in (0.5, 0.75)]
    lines = real_data(lambda _: {"figures": [probe, *trained]}).splitlines()
    assert lines[2:] == [
        "| words | frozen features | 25.0 |  | – |",
        "| words | fine-tuned | 62.5 | 50.0 to 75.0 | 1.5 |",
    ]


def test_a_switch_is_compared_with_the_recipe_of_the_same_seed():
    figures = [
        {"set": name, "variant": variant, "seed": seed, "accuracy": accuracy, "cpu_seconds": 60}
        for name, variant, seed, accuracy in (
            ("hits", WHOLE, 0, 0.5),
            ("hits", WHOLE, 1, 0.25),
            ("words", WHOLE, 0, 0.25),
            ("words", WHOLE, 1, 0.75),
            ("words", "mixup", 1, 0.5),
            ("hits", "erasing", 0, 0.75),
            ("words", "erasing", 0, 0.25),
            ("words", "without the audio", 0, 0.0),
            ("other", WHOLE, 0, 1.0),
        )
    ]
    assert switches(lambda _: {"figures": figures}).splitlines() == [
        "| changed | hits, % | words, % |",
        "| --- | --- | --- |",
        "| the recipe | 50.0 | 50.0 |",
        "| erasing | 75.0 (+25.0) | 25.0 (+0.0) |",
        "| mixup | – | 50.0 (-25.0) |",
    ]


@pytest.mark.slow
def test_from_the_command_to_the_results_and_back(folders, tmp_path):
    output, weights, work = tmp_path / "real_data.json", tmp_path / "weights.pth", tmp_path / "work"
    torch.save(timm.create_model("test_resnet").state_dict(), weights)
    sizes = ["training_param.epochs=1", "training_param.batch_size=4", "model.video_segments=2"]
    sizes += [
        "model.arch=test_resnet",
        "training_param.freeze={}",
        "data_augmentation.video_image_param.output_size=32",
    ]
    sizes += ["data_augmentation.audio_image_param.spec_size=[3,32,32]", "shift_temporal.n_insert=1"]
    words = [word for size in sizes for word in ("--set", size)]
    options = [
        "--weights",
        weights,
        "--seeds",
        "0",
        "--variants",
        WHOLE,
        SILENT,
        "--work",
        work,
        *words,
        "--output",
        output,
    ]
    found = results(run("-m", "benchmarks.real_data", "--data", *folders, *options), output)
    trainings = [(f["set"], f["variant"]) for f in found["figures"] if f["kind"] == "training"]
    assert trainings == [(name, WHOLE) for name in ("strokes", "strokes_order", "words")] + [("words", SILENT)]
    whole = next(f for f in found["figures"] if f["variant"] == WHOLE)
    assert np.sum(whole["confusion"]) == 4
    assert np.trace(whole["confusion"]) == 4 * whole["accuracy"]
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "real_data.png",
        "real_data_strokes.png",
        "real_data_strokes_order.png",
        "real_data_words.png",
    }

    logs = {path: path.stat().st_mtime_ns for path in (work / "runs").glob("*.log")}
    again = results(run("-m", "benchmarks.real_data", "--data", *folders, *options), output)
    assert json.dumps(again["figures"]) == json.dumps(found["figures"])
    assert {path: path.stat().st_mtime_ns for path in (work / "runs").glob("*.log")} == logs
