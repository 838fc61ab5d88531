"""Ids whose end TSAM's extraction cut off: explained, never used by guess, renamed where it is certain."""

import json
import shutil

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dataset.load import DataError, load_clips
from pipelines.dataset.tsam_names import cut_name, find_cut_names
from tests.helpers.audio_media import tone
from tests.helpers.frame_folders import frame_settings
from tests.helpers.processes import run
from tests.pipelines.decode.test_jpeg import jpeg

ids = st.lists(st.text("ab4mp.", min_size=1, max_size=6), min_size=1, max_size=8, unique=True)


def make_data(folder, clip_ids, names):
    """A data set with folders of the given names."""
    for name in names:
        (folder / "frames" / name).mkdir(parents=True)
        for number in range(1, 4):
            (folder / "frames" / name / f"{number:05d}.jpg").write_bytes(jpeg())
    for split in ("training", "validation"):
        (folder / f"{split}.txt").write_text("".join(f"{clip_id} 0\n" for clip_id in clip_ids))
    (folder / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder)}}))


def problems(folder, **sections) -> str:
    with pytest.raises(DataError) as caught:
        load_clips(frame_settings(folder, batch_size=1, **sections))
    return str(caught.value)


def rename(folder, *more, fresh=False):
    return run("tools/rename_tsam_folders.py", "--data", folder / "data.json", *more, fresh=fresh)


def test_folders_are_explained_and_renamed(tmp_path):
    make_data(tmp_path, ["x_000044", "sub/y_4p", "z_01"], ["x_0000", "sub/y_", "z_01"])
    found = problems(tmp_path)
    assert "nothing is there under the names of 2 clips, but under shorter ones" in found
    assert "'.', 'm', 'p' and '4' off the end of their ids (sub/y_ instead of sub/y_4p)" in found
    assert "python tools/rename_tsam_folders.py --data D.json" in found
    assert "no such folder" not in found

    before = sorted((tmp_path / "frames").rglob("*"))
    assert "2 to rename" in rename(tmp_path, "--dry_run").stdout
    assert sorted((tmp_path / "frames").rglob("*")) == before
    done = rename(tmp_path, fresh=True)
    assert done.returncode == 0, done.stderr
    clips = load_clips(frame_settings(tmp_path, batch_size=1))["training"]
    assert [clip.path.rpartition("frames/")[2] for clip in clips] == ["x_000044", "sub/y_4p", "z_01"]


def test_a_name_that_two_clips_share_is_nobodys(tmp_path):
    make_data(tmp_path, ["x_004", "x_00", "y_4", "y_44", "gone"], ["x_00", "y_"])
    found = problems(tmp_path)
    assert "4 clips share 2 names" in found
    assert "(x_00, x_004: x_00); it is not known whose they are: remove them and extract again" in found
    assert "gone: no such folder" in found
    done = rename(tmp_path)
    assert done.returncode == 1
    assert "x_00 may belong to any of x_004, x_00" in done.stderr
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == ["x_00", "y_"]


def test_a_video_that_is_in_no_list_counts_too(tmp_path):
    make_data(tmp_path, ["y_4"], ["y_"])
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/y_44.mp4").write_bytes(b"")
    assert rename(tmp_path).returncode == 1
    shutil.rmtree(tmp_path / "videos")
    assert rename(tmp_path).returncode == 0


def test_audio_that_would_go_unheard(tmp_path):
    make_data(tmp_path, ["x_004"], ["x_004"])
    (tmp_path / "audios").mkdir()
    soundfile.write(tmp_path / "audios/x_00.wav", tone(500, 0.3, 16000).T, 16000)
    image = {"n_mels": 32, "spec_size": [3, 48, 48]}  # those of test_loader
    (tmp_path / "config.json").write_text(json.dumps({"data_augmentation": {"audio_image_param": image}}))
    precompute = ("tools/precompute_audio.py", "--data", tmp_path / "data.json", "--config", tmp_path / "config.json")
    done = run(*precompute, "--workers", "1")
    assert done.returncode == 1
    assert "under shorter ones" in done.stderr
    assert "(x_00.wav instead of x_004.wav)" in done.stderr
    assert "(x_00.wav instead of x_004.wav)" in problems(tmp_path, model={"audio_segments": 1})
    assert rename(tmp_path).returncode == 0
    again = run(*precompute, "--workers", "1")
    assert again.returncode == 0
    assert "1 clip stored, 0 stored as silent" in again.stdout


@given(ids)
def test_no_two_clips_ever_get_the_same_name(tmp_path_factory, clip_ids):
    folder = tmp_path_factory.mktemp("names")
    for clip_id in clip_ids:  # as TSAM would leave it
        (folder / cut_name(clip_id)).mkdir(exist_ok=True)
    missing = [clip_id for clip_id in clip_ids if cut_name(clip_id) != clip_id]
    renames, shared = find_cut_names(folder, "", missing, clip_ids)
    assert len(set(renames.values())) == len(renames)
    assert not set(renames.values()) & shared.keys()
    for clip_id, name in renames.items():
        assert [other for other in clip_ids if cut_name(other) == name] == [clip_id]
    told = renames.keys() | {clip_id for members in shared.values() for clip_id in members}
    assert {clip_id for clip_id in missing if cut_name(clip_id)} <= told


def test_a_folder_that_cannot_be_renamed_is_named(tmp_path):
    long = "東" * 84 + "m4"  # 254 bytes: the folder can be renamed, the audio cannot
    make_data(tmp_path, [long, "x_4"], ["東" * 84, "x_"])
    (tmp_path / "audios").mkdir()
    for name in ("東" * 83, "x_"):
        (tmp_path / f"audios/{name}.wav").touch()
    too_long = "東" * 83 + "m4"  # its .wav would have 255 bytes and one more
    (tmp_path / "training.txt").write_text(f"{long} 0\nx_4 0\n{too_long}4 0\n", encoding="utf-8")
    done = rename(tmp_path)
    assert done.returncode == 1
    assert f"{too_long}4.wav: File name too long" in done.stderr
    assert (tmp_path / "audios/x_4.wav").exists()
    assert (tmp_path / f"frames/{long}").is_dir()
