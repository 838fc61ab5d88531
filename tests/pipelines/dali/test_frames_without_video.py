"""A data set without videos, as Something-Something v1 comes: JPEG frames and a few .wav files, to a trained epoch."""

import json
from pathlib import Path

import pytest
import soundfile
from PIL import Image

from tests.helpers.audio_media import tone
from tests.helpers.media import numbered_picture
from tests.helpers.processes import called, run
from tsam_dali.train import main


@pytest.fixture(scope="module")
def images_only(tmp_path_factory):
    """A data set as Something-Something v1 comes, of small pictures, some clips with a .wav file."""
    folder = tmp_path_factory.mktemp("images_only")
    for i in range(12):
        frames = folder / f"frames/{i}"
        frames.mkdir(parents=True)
        for number in range(6):
            Image.fromarray(numbered_picture(10 * i + number, (48, 64))).save(frames / f"{number + 1:05d}.jpg")
    (folder / "audios").mkdir()
    for i in (0, 3):
        soundfile.write(folder / f"audios/{i}.wav", tone(500, 0.3, 16000).T, 16000)
    (folder / "training.txt").write_text("".join(f"{i} {i % 2}\n" for i in range(8)))
    (folder / "validation.txt").write_text("".join(f"{i} {i % 2}\n" for i in range(8, 12)))
    (folder / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder)}}))
    return folder


def small_training(folder: Path, audio_segments: int) -> list:
    """Arguments for the settings of Something-Something v1 in a size for tests."""
    changes = {
        "model.arch": "resnet10t",
        "model.pretrain": "none",
        "model.video_segments": 3,
        "model.audio_segments": audio_segments,
        "data_augmentation.video_image_param.output_size": 32,
        "data_augmentation.audio_image_param.spec_size": [3, 32, 32],
        "data_augmentation.audio_image_param.n_mels": 16,
        "training_param.batch_size": 4,
        "training_param.epochs": 1,
        "training_param.amp": "off",
        "pipeline.workers": 1,
        "results_folder": str(folder / "results"),
    }
    files = ["--data", folder / "data.json", "--config", "config/something_v1_config.json"]
    return [*files, *(part for key, value in changes.items() for part in ("--set", f"{key}={json.dumps(value)}"))]


@pytest.mark.parametrize("audio_segments", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_an_epoch_without_any_video(images_only, audio_segments):
    arguments = small_training(images_only, audio_segments)
    if audio_segments:
        made = run("tools/precompute_audio.py", *arguments, "--workers", "1")
        assert made.returncode == 0, made.stderr
        assert "2 clips stored, 10 stored as silent" in made.stdout
    done = called(main, *arguments, "--run_id", f"audio{audio_segments}")
    assert done.returncode == 0, done.stderr
    assert ("10 clips have no audio, the first is " in done.stderr) == (audio_segments == 1)
    lines = (images_only / f"results/audio{audio_segments}/metrics.jsonl").read_text().splitlines()
    result = json.loads(lines[-1])
    assert (result["training"]["samples"], result["validation"]["samples"]) == (8, 4)
