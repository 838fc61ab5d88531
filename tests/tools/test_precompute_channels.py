"""tools/precompute_audio.py over stores with fewer channels, and of earlier versions."""

import tarfile

import numpy as np
import soundfile
from safetensors.numpy import load_file

from pipelines.audio.mel_store import MelStore
from pipelines.mel import log_mel_picture
from tests.helpers.audio_media import noise, tone, write_clip
from tests.helpers.mel_stores import OPTIONS, precompute, stored, write_settings
from tests.helpers.processes import ROOT, run


def test_only_the_channels_that_are_asked_for_are_stored(tmp_path):
    """And the others later; not for clips that have one channel."""
    data = tmp_path / "data"
    for folder in ("videos", "audios"):
        (data / folder).mkdir(parents=True)
    for clip_id in ("a", "b", "c"):
        write_clip(data / f"videos/{clip_id}.mp4", tone(500, 0.3, 16000))
    write_clip(data / "videos/silent.mp4", None)
    soundfile.write(data / "audios/b.wav", noise(0.3, 8000, 2).T, 8000)
    (data / "training.txt").write_text("a 0\nb 1\nc 0\n")
    (data / "validation.txt").write_text("silent 0\na 0\n")
    write_settings(tmp_path, data)
    one, two = (("--set", f"model.audio_segments={number}") for number in (1, 2))
    assert "3 clips stored, 1 stored as silent, 0 were done already" in precompute(data, *one).stdout
    first = stored(data)
    assert [len(load_file(data / f"mels/{name}.safetensors")) for name in ("a", "b")] == [1, 1]
    assert "0 clips stored, 0 stored as silent, 4 were done already" in precompute(data, *one).stdout
    asked = ("--data", data.parent / "data.json", "--config", data.parent / "config.json", *two)
    wanted = run("-m", "tsam_dali.train", *asked, "--run_id", "r", "--dry_run")
    assert wanted.returncode == 2
    assert "1 clip has one channel in the log-mel store, where model.audio_segments 2 asks for both" in wanted.stderr
    assert "add the other with: python tools/precompute_audio.py --data D.json --config C.json" in wanted.stderr
    assert "1 clip stored, 0 stored as silent, 3 were done already" in precompute(data, *two).stdout
    assert {name for name, time in stored(data).items() if time != first[name]} == {"b"}
    shown = MelStore(data / "mels", OPTIONS).spectrogram("b", 2)
    np.testing.assert_allclose(shown, log_mel_picture(data / "audios/b.wav", OPTIONS, 2), atol=0.005)
    assert "0 clips stored, 0 stored as silent, 4 were done already" in precompute(data, *one).stdout


def test_clips_of_an_old_store_are_done_already(tmp_path):
    """The store was written when columns were stored as they are."""
    with tarfile.open(ROOT / "tests/pipelines/audio/old_store.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / "old_store"
    (folder / "training.txt").write_text("stereo 0\nmono 1\n")
    (folder / "validation.txt").write_text("equal 0\nsilent 1\n")
    write_settings(tmp_path, folder)
    for segments in (1, 2):
        done = precompute(folder, "--set", f"model.audio_segments={segments}")
        assert "0 clips stored, 0 stored as silent, 4 were done already, 0 failed" in done.stdout, done.stderr
