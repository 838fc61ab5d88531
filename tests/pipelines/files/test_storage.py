"""Videos in an object store: moto's server stands in for S3, with real HTTP and real videos."""

import json
import os

import numpy as np
import pytest
import torch

from pipelines.audio.read import read_audio
from pipelines.dataset.clips import Dataset
from pipelines.dataset.load import DataError, load_clips
from pipelines.dataset.media_files import find_videos, video_ids
from pipelines.decode import decode_frames
from pipelines.decode.probe import probe_video
from pipelines.files import storage
from pipelines.files.errors import ListError
from pipelines.loader import build_loader
from tests.helpers.media import write_video
from tests.helpers.processes import ROOT, run
from tsam_dali.config import load_config

pytest.importorskip("obstore")
boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto.server")

VIDEOS = ("a.mp4", "sub/b.mp4", "c.webm", "turned.mp4", "d.mkv")
BUCKET = "s3://clips/set one/videos"


@pytest.fixture(scope="module")
def bucket():
    """A client of the server, which holds an empty bucket; the environment leads to it."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**keys, "AWS_ENDPOINT_URL": url}.items():
            patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=url)
        client.create_bucket(Bucket="clips")
        yield client
    server.stop()


@pytest.fixture(scope="module")
def folder(bucket, tmp_path_factory):
    """Five videos in a folder and in the bucket, and a data file for each of the two."""
    folder = tmp_path_factory.mktemp("storage")
    (folder / "data/videos/sub").mkdir(parents=True)
    for number, name in enumerate(VIDEOS):
        codec = "vp8" if name.endswith("webm") else "h264"
        path = folder / "data/videos" / name
        write_video(path, 12 + number, codec=codec, audio=True, rotation=90 * (name == "turned.mp4"))
        bucket.upload_file(str(path), "clips", f"set one/videos/{name}")
    ids = [name.rpartition(".")[0] for name in VIDEOS]
    (folder / "data/training.txt").write_text("".join(f"{clip_id} {i % 2}\n" for i, clip_id in enumerate(ids)))
    (folder / "data/validation.txt").write_text("a 0\n")
    for name, videos in (("local", "videos"), ("s3", BUCKET)):
        section = {"data_dir": str(folder / "data"), "dir_videos": videos, "dir_mels": f"mels_{name}"}
        (folder / f"{name}.json").write_text(json.dumps({"dataset": section}))
    return folder


def config(folder, name, *changes):
    small = ("training_param.batch_size=5", "pipeline.workers=1", "model.video_segments=3")
    return load_config(folder / f"{name}.json", ROOT / "config/example_config.json", [*small, *changes])


def batch(config):
    with build_loader(config, "training", load_clips(config)["training"]) as loader:
        return next(iter(loader))


def test_index_audio_and_a_batch_equal_those_of_the_folder(folder):
    for name in ("local", "s3"):
        data = ("--data", folder / f"{name}.json", "--workers", 1)
        for command in (("index_videos",), ("precompute_audio", "--config", "config/example_config.json")):
            done = run(f"tools/{command[0]}.py", *data, *command[1:])
            assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (folder / "data/index.jsonl").read_text().splitlines()]
    assert {record["status"] for record in records} == {"ok"}
    assert {record["file"] for record in records} == {f"{at}/{name}" for at in ("videos", BUCKET) for name in VIDEOS}
    local, remote = (batch(config(folder, name)) for name in ("local", "s3"))
    assert local.ok.all()
    for field in local._fields:
        assert torch.equal(getattr(local, field), getattr(remote, field)), field


@pytest.mark.slow
def test_copies_of_objects(folder):
    done = run("tools/make_training_copies.py", "--data", folder / "s3.json", "--folder", "copies", "--short_side", 96)
    assert done.returncode == 0, done.stderr
    assert "5 copies made" in done.stdout
    done = run("tools/make_training_copies.py", "--data", folder / "s3.json", "--folder", "copies", "--short_side", 96)
    assert "5 existed already" in done.stdout


def test_ids_and_what_is_missing(folder, bucket):
    dataset = Dataset(data_dir=str(folder / "data"), dir_videos=BUCKET + "/")
    assert video_ids(dataset) == sorted(name.rpartition(".")[0] for name in VIDEOS)
    files, problems = find_videos(dataset, ["sub/b", "sub/none", "nowhere/x"])
    assert files == {"sub/b": f"{BUCKET}/sub/b.mp4"}
    missing = [problem.partition(": no video")[0] for problem in problems]
    assert missing == [f"{BUCKET}/sub/none", f"{BUCKET}/nowhere/x"]


def test_an_object_that_changes_is_looked_at_again(folder, bucket):
    path = f"{BUCKET}/a.mp4"
    before = storage.state(path)
    assert storage.states([path, f"{BUCKET}/no.mp4"]) == {path: before, f"{BUCKET}/no.mp4": None}
    data = bucket.get_object(Bucket="clips", Key="set one/videos/a.mp4")["Body"].read()
    bucket.put_object(Bucket="clips", Key="set one/videos/a.mp4", Body=data[:-1] + b"?")
    assert storage.state(path) != before
    bucket.put_object(Bucket="clips", Key="set one/videos/a.mp4", Body=data)
    assert storage.state(path) == before


def test_a_large_object_is_read_piece_by_piece(folder, monkeypatch):
    monkeypatch.setattr(storage, "KEEP_BYTES", 1000)
    path = f"{BUCKET}/a.mp4"
    assert storage.fetch(path) is None
    np.testing.assert_array_equal(decode_frames(path, [1, 7]), decode_frames(folder / "data/videos/a.mp4", [1, 7]))
    np.testing.assert_array_equal(read_audio(path)[0], read_audio(folder / "data/videos/a.mp4")[0])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{BUCKET}/none.mp4", "missing"),
        ("s3://no-such-bucket/a.mp4", "missing"),
        (f"{BUCKET}/text.mp4", "not_a_video"),
        (f"{BUCKET}/empty.mp4", "empty"),
        (f"{BUCKET}/cut.mp4", "truncated"),
        (f"{BUCKET}/sub", "unknown_ending"),
    ],
)
def test_faults_have_names(folder, bucket, path, status):
    data = (folder / "data/videos/a.mp4").read_bytes()
    for name, body in (("text", b"<html>"), ("empty", b""), ("cut", data[: len(data) // 2])):
        bucket.put_object(Bucket="clips", Key=f"set one/videos/{name}.mp4", Body=body)
    assert probe_video(path)["status"] == status


def test_a_clip_that_vanishes_is_black_and_not_an_error(folder, bucket):
    settings = config(folder, "s3", "model.audio_segments=0", "pipeline.max_bad_fraction=1")
    clips = list(load_clips(settings)["training"])
    clips[1] = clips[1]._replace(path="s3://clips/gone.mp4")
    clips[2] = clips[2]._replace(path="s3://no-such-bucket/gone.mp4")
    with build_loader(settings, "training", clips) as loader:
        found = next(iter(loader))
        assert sorted(found.row[~found.ok].tolist()) == [1, 2]
        assert "gone.mp4" in loader.bad[1]
    assert not found.video[~found.ok].any()


def test_a_store_that_cannot_be_reached_is_one_line(folder, bucket, monkeypatch):
    dataset = Dataset(data_dir=str(folder / "data"), dir_videos="s3://no-such-bucket/videos")
    with pytest.raises(ListError, match="s3://no-such-bucket/videos/: cannot be listed .*NoSuchBucket"):
        find_videos(dataset, [f"clip{i}" for i in range(9)])
    monkeypatch.setattr(storage, "RETRIES", {"max_retries": 0})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="cannot be listed .*AWS_ENDPOINT_URL and the keys"):
        load_clips(config(folder, "s3"))


def test_only_the_videos_may_lie_there(folder, tmp_path):
    (tmp_path / "data.json").write_text(json.dumps({"dataset": {"data_dir": "s3://clips/set"}}))
    with pytest.raises(DataError, match="lists and index need a folder; give s3:// as dataset.dir_videos"):
        load_clips(load_config(tmp_path / "data.json", ROOT / "config/example_config.json"))
    done = run("tools/video2frames.py", "--data", folder / "s3.json")
    assert (done.returncode, "needs files in a folder" in done.stderr) == (2, True)


def test_dali_reads_the_same_bytes_by_itself(folder):
    """What `gpu_whole` hands on is an address; the decoder behind it needs a GPU."""
    from nvidia.dali import fn, pipeline_def

    address = np.frombuffer(f"{BUCKET}/a.mp4".encode(), np.uint8)

    @pipeline_def(batch_size=1, num_threads=1, device_id=None)
    def files():
        return fn.io.file.read(fn.external_source(lambda: [address]), dont_use_mmap=True)

    (read,) = files().run()
    assert read.at(0).tobytes() == (folder / "data/videos/a.mp4").read_bytes()
    assert os.environ["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1")
