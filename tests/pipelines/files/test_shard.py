"""Runs that share the clips of a data set: each clip is one run's, and their part files count like the whole."""

import fcntl
import json
import os
from itertools import chain
from pathlib import Path

import pytest

from pipelines.dataset.video_index import compact_index, take_in_parts
from pipelines.files import records
from pipelines.files.records import merge_parts, read_records, record_writer
from pipelines.files.shard import Shard, part_files
from tests.helpers.media import write_video
from tests.helpers.processes import run

COUNT = 9


@pytest.fixture
def folder(tmp_path):
    """A data set of nine links to one video with audio."""
    videos = tmp_path / "data/videos"
    videos.mkdir(parents=True)
    video = write_video(tmp_path / "video.mp4", 6, audio=True)
    for i in range(COUNT):
        os.link(video, videos / f"clip{i}.mp4")
    (tmp_path / "data/training.txt").write_text("".join(f"clip{i} {i % 2}\n" for i in range(COUNT - 1)))
    (tmp_path / "data/validation.txt").write_text(f"clip{COUNT - 1} 0\n")
    (tmp_path / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(tmp_path / "data")}}))
    return tmp_path


def tool(name: str, folder: Path, *options: object):
    done = run(f"tools/{name}.py", "--data", folder / "data.json", "--workers", 1, *options)
    assert done.returncode == 0, done.stderr
    return done


def test_every_clip_is_in_one_shard():
    ids = [f"clip {i}" for i in range(1000)]
    for count in (1, 3, 16):
        shares = [[clip for clip in ids if Shard(number, count).holds(clip)] for number in range(count)]
        assert sorted(chain(*shares)) == sorted(ids)
        assert all(0.6 * 1000 / count < len(share) < 1.4 * 1000 / count for share in shares)


@pytest.mark.parametrize("text", ["4/4", "0/0", "-1/4", "1", "1/", "/4", "a/4", "1/4/8"])
def test_what_is_no_shard(text):
    with pytest.raises(ValueError, match="expected i/n with i from 0 to n - 1"):
        Shard.parse(text)


def test_what_is_no_shard_is_named():
    done = run("tools/index_videos.py", "--shard", "4/4")
    assert done.returncode == 2
    assert "argument --shard: '4/4': expected i/n with i from 0 to n - 1, for example 0/4" in done.stderr


def test_the_latest_part_counts_and_an_open_one_is_left_alone(tmp_path):
    path = tmp_path / "mels.jsonl"
    (tmp_path / "mels.old.jsonl").write_text('{"id": "never"}\n')
    with record_writer(path) as write:
        write({"id": "a", "n": 1})
    for shard, n in ((Shard(1, 2), 2), (Shard(0, 4), 3)):
        with record_writer(path, shard) as write:
            write({"id": "a", "n": n})
        os.utime(shard.part(path), ns=(0, n))
    assert read_records(path) == {"a": {"id": "a", "n": 3}}
    with record_writer(path, Shard(2, 4)) as write:
        merge_parts(path)
        write({"id": "b", "n": 4})
    assert part_files(path) == [tmp_path / "mels.2-of-4.jsonl"]
    assert read_records(path) == {"a": {"id": "a", "n": 3}, "b": {"id": "b", "n": 4}}
    with record_writer(path) as write:  # takes the parts in before it adds what is newer
        write({"id": "b", "n": 5})
    assert part_files(path) == []
    assert read_records(path)["b"]["n"] == 5


def test_a_file_system_without_locks_keeps_the_parts(tmp_path, monkeypatch):
    def refuse(*_arguments):
        raise OSError

    path = tmp_path / "index.jsonl"
    monkeypatch.setattr(fcntl, "flock", refuse)
    with record_writer(path, Shard(0, 2)) as write:
        write({"id": "a"})
    merge_parts(path)
    assert part_files(path)
    assert read_records(path) == {"a": {"id": "a"}}


def test_a_system_without_locks_keeps_the_parts_and_is_told_of_once(tmp_path, monkeypatch, caplog):
    path = tmp_path / "index.jsonl"
    monkeypatch.setattr(records, "fcntl", None)
    records._tell_of_no_locks.cache_clear()
    for shard in (Shard(0, 2), Shard(1, 2)):
        with record_writer(path, shard) as write:
            write({"id": str(shard), "file": "a.mp4", "status": "gone", "reason": "x"})
    merge_parts(path)
    assert len(part_files(path)) == len(read_records(path)) == 2
    (record,) = caplog.records
    assert "this system has no file locks: let only one program at a time write" in record.getMessage()


def test_locks_of_nfs(tmp_path, monkeypatch):
    """There an exclusive lock needs a file that is open for writing, as `lockf` does anywhere."""
    path = tmp_path / "index.jsonl"
    monkeypatch.setattr(fcntl, "flock", fcntl.lockf)
    with record_writer(path, Shard(0, 2)) as write:
        write({"id": "a", "file": "a.mp4", "status": "gone", "reason": "x"})
    take_in_parts(path)
    assert part_files(path) == []
    with path.open("ab") as file:
        file.write(b"damaged\n")
    compact_index(path)
    assert len(path.read_text().splitlines()) == 1

    def held(file, _operation):
        raise BlockingIOError if file.writable() else OSError

    monkeypatch.setattr(fcntl, "flock", held)
    path.write_bytes(path.read_bytes() * 2)
    compact_index(path)
    assert len(path.read_text().splitlines()) == 2


def test_a_part_that_another_run_has_just_taken_in(tmp_path):
    (tmp_path / "index.0-of-2.jsonl").symlink_to("gone")
    assert part_files(tmp_path / "index.jsonl") == [tmp_path / "index.0-of-2.jsonl"]
    merge_parts(tmp_path / "index.jsonl")
    assert read_records(tmp_path / "index.jsonl") == {}


def test_shards_of_the_index_come_together(folder):
    data = folder / "data"
    for number in range(2):
        done = tool("index_videos", folder, "--shard", f"{number}/2")
        assert f"records, with reasons: {data / f'index.{number}-of-2.jsonl'}" in done.stdout
    assert not (data / "index.jsonl").exists()
    shares = [set(read_records(data / f"index.{number}-of-2.jsonl")) for number in range(2)]
    assert all(shares)
    assert not shares[0] & shares[1]
    done = tool("index_videos", folder)
    assert "indexing" not in done.stderr
    assert f"all {COUNT} records" in done.stdout
    assert set(read_records(data / "index.jsonl")) == {f"clip{i}" for i in range(COUNT)}
    assert part_files(data / "index.jsonl") == []


@pytest.mark.slow
def test_shards_of_copies_and_audio(folder):
    """A later run without --shard finds nothing left to do."""
    config = ("--config", "config/example_config.json")
    for number in range(2):
        tool("make_training_copies", folder, "--short_side", 32, "--shard", f"{number}/2")
        tool("precompute_audio", folder, *config, "--shard", f"{number}/2")
    assert len(list((folder / "data/videos_32").glob("*.mp4"))) == COUNT
    assert len(list((folder / "data/mels").glob("*.safetensors"))) == COUNT
    assert len(part_files(folder / "data/mels/mels.jsonl")) == 2
    done = tool("make_training_copies", folder, "--short_side", 32)
    assert f"0 copies made, {COUNT} existed already, 0 failed" in done.stdout
    done = tool("precompute_audio", folder, *config)
    assert f"0 clips stored, 0 stored as silent, {COUNT} were done already, 0 failed" in done.stdout
    assert part_files(folder / "data/mels/mels.jsonl") == []
