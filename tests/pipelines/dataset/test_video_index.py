"""What is known of each video is kept, and believed for as long as it is true."""

import json
import os
import shutil

import av
import pytest

from pipelines.dataset.clips import Dataset
from pipelines.dataset.media_files import find_video, find_videos, video_ids
from pipelines.dataset.video_index import VERSION, index_videos
from pipelines.files.errors import ListError
from pipelines.parallel.sandbox import Limits
from tests.helpers import probes
from tests.helpers.indexing import index, lines, probed


def test_a_record(dataset):
    path = dataset.videos / "sub/c.mp4"
    status = path.stat()
    assert index(dataset)["sub/c"] == {
        "id": "sub/c",
        "file": "videos/sub/c.mp4",
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "version": VERSION,
        "checked": "demuxed",
        "status": "ok",
        "frames": 20,
        "fps": 25.0,
        "width": 128,
        "height": 96,
        "rotation": 0,
        "mirrored": False,
        "pixel_aspect": 1.0,
        "codec": "h264",
        "pix_fmt": "yuv420p",
        "interlaced": False,
        "variable_rate": False,
        "audio_rate": 48000,
        "audio_channels": 2,
        "audio_start": 0.0,
    }
    assert sorted(record["id"] for record in lines(dataset)) == ["a", "b", "sub/c"]


def test_an_ending_in_capitals_is_named(dataset, caplog):
    os.rename(dataset.videos / "a.mp4", dataset.videos / "A.Mp4")
    os.rename(dataset.videos / "sub/c.mp4", dataset.videos / "sub/c.MP4")
    assert video_ids(dataset) == ["b"]
    assert (
        f"{dataset.videos}: file endings in capitals are not recognised; rename A.Mp4 to A.mp4 (2 such files)"
        in caplog.text
    )
    message = f"{dataset.videos}/sub/c: file endings in capitals are not recognised; rename c.MP4 to c.mp4"
    assert find_videos(dataset, ["b", "sub/c"]) == ({"b": "videos/b.mp4"}, [message])
    with pytest.raises(ListError) as caught:
        find_video(dataset, "sub/c")
    assert caught.value.problems == [message]


def test_what_is_known_is_not_looked_at_again_until_the_file_changes(dataset):
    assert probed(dataset) == ["a.mp4", "b.mp4", "c.mp4"]
    assert probed(dataset) == []
    os.utime(dataset.videos / "a.mp4")
    assert probed(dataset) == ["a.mp4"]
    with (dataset.videos / "b.mp4").open("ab") as file:
        file.write(b"x")
    assert probed(dataset) == ["b.mp4"]
    assert len(lines(dataset)) == 3


@pytest.mark.parametrize("version", [None, 1])
def test_what_an_older_program_found_out_is_found_out_anew(dataset, version):
    index(dataset)
    older = [record | {"version": version, "status": "damaged", "reason": "..."} for record in lines(dataset)]
    (dataset.root / "index.jsonl").write_text("".join(json.dumps(record) + "\n" for record in older))
    assert {record["status"] for record in index(dataset).values()} == {"ok"}


def test_decoding_confirms_what_was_demuxed_and_counts_as_demuxed(dataset):
    probed(dataset)
    assert probed(dataset, checked="decoded") == ["a.mp4", "b.mp4", "c.mp4"]
    assert probed(dataset, checked="decoded") == probed(dataset) == []
    assert {record["checked"] for record in lines(dataset)} == {"decoded"}


def test_decoding_finds_damage_that_demuxing_does_not(dataset):
    path = dataset.videos / "a.mp4"
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size > 100]
    for packet in packets[1:]:
        data[packet.pos + 20 : packet.pos + packet.size] = bytes(packet.size - 20)  # the header is left
    path.write_bytes(data)
    assert index(dataset)["a"]["status"] == "ok"
    record = index(dataset, checked="decoded")["a"]
    assert record["status"] == "damaged"
    assert record["reason"].startswith(f"{path}: damaged")
    assert index(dataset)["a"] == record  # the next training leaves it out


def test_faults_that_depend_on_more_than_the_file(dataset):
    shutil.copy(dataset.videos / "a.mp4", dataset.videos / "sleep.mp4")
    limits = Limits(seconds=1)
    record = index(dataset, limits=limits, probe=probes.by_name)["sleep"]
    assert record["status"] == "timeout"
    assert record["reason"] == (
        f"{dataset.videos}/sleep.mp4: not done after 1 s; "
        "if it is just long, run python tools/index_videos.py with a larger --timeout"
    )
    assert probed(dataset) == []
    assert probed(dataset, again=("timeout",)) == ["sleep.mp4"]
    assert index(dataset)["sleep"]["status"] == "ok"


def test_originals_and_copies_do_not_push_each_other_out(dataset, tmp_path):
    probed(dataset)
    shutil.copytree(dataset.videos, tmp_path / "copies")
    copies = Dataset(data_dir=str(tmp_path), dir_videos="copies")
    assert len(probed(copies)) == 3
    assert probed(dataset) == probed(copies) == []
    assert len(lines(dataset)) == 6
    assert {record["file"] for record in index(copies).values()} == {f"copies/{i}.mp4" for i in ("a", "b", "sub/c")}


@pytest.mark.parametrize("absolute", [False, True])
def test_videos_outside_the_data_folder(dataset, tmp_path, absolute):
    lists = tmp_path / "lists"
    lists.mkdir()
    outside = Dataset(data_dir=str(lists), dir_videos=str(dataset.videos) if absolute else "../videos")
    assert {record["status"] for record in index(outside).values()} == {"ok"}
    assert probed(outside) == []
    assert len(lines(outside)) == 3


def test_every_id_without_a_file_is_named(dataset):
    with pytest.raises(ListError) as error:
        index_videos(dataset, ["a", "x", "sub/y", "none/z"], 2)
    assert [line.split(": ")[0] for line in error.value.problems] == [
        str(dataset.videos / clip_id) for clip_id in ("x", "sub/y", "none/z")
    ]


def test_bad_files_have_a_status_each(dataset, tmp_path, video):
    videos, data = dataset.videos, video.read_bytes()
    outside = tmp_path / "elsewhere"
    shutil.copytree(videos / "sub", outside / "class")
    (videos / "cut.mp4").write_bytes(data[: len(data) // 2])
    (videos / "empty.mp4").touch()
    (videos / "text.mp4").write_text("404 Not Found")
    (videos / "playlist.mp4").write_text("ffconcat version 1.0\nfile a.mp4\n")
    (videos / "folder.mp4").mkdir()
    os.mkfifo(videos / "fifo.mp4")
    (videos / "nowhere.mp4").symlink_to("gone.mp4")
    (videos / "circle.mp4").symlink_to("circle.mp4")
    (videos / "link.mp4").symlink_to(outside / "class/c.mp4")
    (videos / "linked").symlink_to(outside)
    (outside / "back").symlink_to(videos)
    (videos / os.fsdecode(b"caf\xe9.mp4")).symlink_to("a.mp4")
    found = {clip_id: record["status"] for clip_id, record in index(dataset).items()}
    assert found == {
        "a": "ok",
        "b": "ok",
        "sub/c": "ok",
        "cut": "truncated",
        "empty": "empty",
        "text": "not_a_video",
        "playlist": "not_a_video",
        "folder": "not_a_file",
        "fifo": "not_a_file",
        "nowhere": "missing",
        "circle": "unreadable",
        "link": "ok",
        "linked/class/c": "ok",
        "caf\udce9": "ok",
    }
    assert probed(dataset) == ["circle.mp4"]  # what cannot be read now may be readable later
    shutil.copy(video, videos / "gone.mp4")
    assert index(dataset)["nowhere"]["status"] == "ok"
