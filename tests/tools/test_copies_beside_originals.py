"""Training copies of originals that lie beside the lists: no copy takes the place of an original."""

import json

import pytest

from tests.helpers.media import write_video
from tests.helpers.processes import run
from tests.tools.test_make_training_copies import command


@pytest.fixture
def data_beside_lists(tmp_path):
    """Two originals that lie in data_dir itself, one of them in a folder of its own."""
    folder = tmp_path / "data"
    (folder / "b").mkdir(parents=True)
    for name in ("a.mp4", "b/a.mp4"):
        write_video(folder / name, 10)
    (folder / "training.txt").write_text("a 0\n")
    (folder / "validation.txt").write_text("b/a 0\n")
    settings = {"dataset": {"data_dir": str(folder), "dir_videos": "."}}
    (tmp_path / "data.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize("name", ["b", "link"])
@pytest.mark.parametrize("more", [[], ["--shard", "0/2"], ["--shard", "1/2"]])
def test_no_copy_takes_the_place_of_an_original(data_beside_lists, name, more):
    (data_beside_lists / "link").symlink_to("b")
    originals = {path: path.read_bytes() for path in data_beside_lists.rglob("*.mp4")}
    done = run(*command(data_beside_lists, "--folder", name, *more))
    assert done.returncode == 2
    assert f"--folder {name}: {data_beside_lists / name}/a.mp4 is an original; choose another folder" in done.stderr
    assert {path: path.read_bytes() for path in data_beside_lists.rglob("*.mp4")} == originals
    assert not (data_beside_lists / "index.jsonl").exists()  # nothing was begun


@pytest.mark.parametrize("where", [".", ""])
def test_copies_of_originals_beside_the_lists_have_a_folder_of_their_own(data_beside_lists, where):
    settings = {"dataset": {"data_dir": str(data_beside_lists), "dir_videos": where}}
    (data_beside_lists.parent / "data.json").write_text(json.dumps(settings))
    for done in (run(*command(data_beside_lists)), run(*command(data_beside_lists, "--force"))):
        assert done.returncode == 0, done.stderr
        assert "2 copies made" in done.stdout
        assert "--set dataset.dir_videos=videos_64" in done.stdout
    assert sorted(str(path.relative_to(data_beside_lists)) for path in data_beside_lists.rglob("*.mp4")) == [
        *("a.mp4", "b/a.mp4", "videos_64/a.mp4", "videos_64/b/a.mp4"),
    ]
