"""Pieces of long files, from the list to the batch."""

import json

import av
import numpy as np
import pytest
import torch

from pipelines.audio.log_mel import AudioImage
from pipelines.audio.mel_file import columns_path, fingerprint
from pipelines.audio.mel_pieces import load_piece, pieces_name, pieces_writer, store_pieces
from pipelines.audio.mel_records import store_audio, summary_writer
from pipelines.audio.piece_samples import LONGEST_SILENCE, piece_samples
from pipelines.audio.read import audio_pieces
from pipelines.dataset.load import DataError, load_data
from pipelines.transcode.copy_options import CopyOptions
from pipelines.transcode.training_copy import write_copy
from tests.helpers.loading import batches, settings
from tests.helpers.processes import called
from tests.pipelines.audio.long_files import RATE, cut, delayed, write_long
from tools import index_videos, precompute_audio

SPANS = ((4.0, 7.0), (0.0, 2.5), (9.02, 11.5))


def config(folder, **model):
    return settings(folder, model={"video_segments": 5, "audio_segments": 2} | model)


def write_lists(folder, pieces, validation="whole 0\n"):
    lines = (f"long {start:g} {end:g} {i % 2}\n" for i, (start, end) in enumerate(pieces))
    (folder / "training.txt").write_text("".join(lines))
    (folder / "validation.txt").write_text(validation)


def store(folder, *parts, file="long.mov", **whole):
    options = config(folder).data_augmentation.audio_image_param
    with pieces_writer(folder / "mels") as write:
        write(store_pieces(folder / "mels", "long", folder / "videos" / file, options, 2, parts))
    with summary_writer(folder / "mels") as write:
        for clip_id, path in whole.items():
            write(store_audio(folder / "mels", folder, clip_id, path, options))


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    return write_long(tmp_path_factory.mktemp("long") / "long.mov", 12, bf="2")


@pytest.fixture
def data(tmp_path, long_file):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/long.mov").symlink_to(long_file)
    return tmp_path


@pytest.mark.parametrize("ending", ["mkv", "mov"])
def test_a_piece_is_what_a_file_cut_at_a_random_access_point_is(tmp_path, ending, monkeypatch):
    (tmp_path / "videos").mkdir()
    long = write_long(tmp_path / f"videos/long.{ending}", 12, bf="2")
    whole = cut(long, tmp_path / f"videos/whole.{ending}", 4, 7)
    write_lists(tmp_path, SPANS)
    store(tmp_path, *SPANS, file=long.name, whole=whole)
    loaded = load_data(config(tmp_path), ("training", "validation"))
    (file,) = batches(config(tmp_path), "validation", loaded.clips["validation"])
    monkeypatch.setattr("pipelines.decode.frames.wanted_frames", None)  # a piece is read without the rest of its file
    (piece,) = batches(config(tmp_path), "validation", loaded.clips["training"][:1])
    assert piece.ok[0]
    assert file.ok[0]
    assert torch.equal(piece.video[0], file.video[0])
    assert torch.equal(piece.audio[0], file.audio[0])
    assert piece.audio[0].std() > 0.1
    assert len(list((tmp_path / "mels").glob("*.safetensors"))) == 2  # one for each file
    assert sum(json.loads(line)["id"] == "long" for line in (tmp_path / "index.jsonl").open()) == 1


def test_frames_are_those_that_begin_in_the_piece(data, long_file):
    write_lists(data, [*SPANS, (3.999, 4.001), (11.96, 12.3)], "long 1 2 0\n")
    clips = load_data(config(data, audio_segments=0), ("training", "validation")).clips["training"]
    with av.open(str(long_file)) as container:
        times = np.array([frame.time for frame in container.decode(video=0)])
    for clip in clips:
        inside = np.flatnonzero((times >= clip.start) & (times < clip.end))
        assert (clip.first, clip.frames) == (inside[0], len(inside))
        assert clip.file == "long"


@pytest.mark.parametrize(("video", "audio"), [(0.0, 0.0), (0.52, 0.0), (0.0, 0.3), (5.0, 5.0)])
def test_tracks_that_begin_late_stay_together(tmp_path, long_file, video, audio):
    (tmp_path / "videos").mkdir()
    moved = delayed(long_file, tmp_path / "videos/long.mov", video, audio)
    start, end = 6.0 + max(video, audio), 7.0 + max(video, audio)
    write_lists(tmp_path, [(start, end), (start + 1, end + 1)], "long 5.3 5.4 0\n")
    clip = load_data(config(tmp_path, audio_segments=0), ("training", "validation")).clips["training"][0]
    assert clip.first / 25 + video == pytest.approx(start, abs=0.04)
    whole = np.concatenate([piece.samples for piece in audio_pieces(long_file)], axis=1)
    ((samples, rate),) = piece_samples(moved, [(start, end)])
    first = round((start - audio) * RATE)
    assert rate == RATE
    assert np.array_equal(samples, whole[:, first : first + RATE])


def test_pieces_that_begin_together_are_told_apart(tmp_path, long_file):
    options, parts = AudioImage(n_mels=16), [(1.0, 2.0), (1.0, 3.0), (1.0, 4.0)]
    store_pieces(tmp_path, "long", long_file, options, 1, parts)
    stored = (columns_path(tmp_path, pieces_name("long")), fingerprint(options))
    assert [load_piece(*stored, part, 1).samples / RATE for part in parts] == [1, 2, 3]


def test_silence_stands_where_nothing_was_recorded(tmp_path, long_file):
    moved = delayed(long_file, tmp_path / "gap.mkv", gap=(3.0, 6.0))
    parts = [(0.0, 2.0), (2.0, 4.0), (4.0, 5.0), (5.0, 7.0), (11.0, 12.05), (11.0, 13.0), (20.0, 21.0)]
    found = [samples for samples, _ in piece_samples(moved, parts)]
    assert [samples.shape[1] / RATE for samples in found] == [2, 2, 0, 2, 1, 2, 0]  # nothing is added for 0.05 s
    assert [np.any(samples, axis=0).mean().round(2) for samples in found if samples.size] == [1, 0.5, 0.5, 1, 0.5]


def test_an_end_far_behind_the_file_costs_no_memory(long_file):
    ((samples, rate),) = piece_samples(long_file, [(10.0, 1e9)])
    assert samples.shape[1] == round((2 + LONGEST_SILENCE) * rate)


def test_times_outside_of_the_file_are_named_with_their_line(data, caplog):
    write_lists(data, [*SPANS, (12.5, 14), (11, 14)], "long 0 1 0\n")
    with pytest.raises(DataError) as caught:
        load_data(config(data, audio_segments=0), ("training", "validation"))
    message = (
        "training.txt:4: long: no frame begins from 12.5 to 14 s; the frames of the file are shown from 0.000 to 12"
    )
    assert any(message in problem for problem in caught.value.problems)
    assert "training.txt:5: long: ends at 14 s; the frames of the file are shown from 0.000 to 12.000 s" in caplog.text


def test_pieces_outside_may_be_left_out_with_a_count_and_a_name(data, caplog):
    write_lists(data, [*SPANS, (12.5, 14)], "long 0 1 0\n")
    lenient = settings(data, model={"video_segments": 5}, pipeline={"max_bad_fraction": 0.5})
    loaded = load_data(lenient, ("training", "validation"))
    assert "long 12.5 14" in loaded.left_out["training"]
    assert len(loaded.clips["training"]) == 3
    assert "left out: 1 of 4 videos of the training list cannot be opened (1 outside)" in caplog.text


def test_frame_folders_have_no_times(data):
    (data / "frames").mkdir()
    write_lists(data, SPANS, "long 0 1 0\n")
    with pytest.raises(DataError, match="need pipeline.source video"):
        load_data(settings(data, pipeline={"source": "frames"}), ("training", "validation"))


def test_pieces_without_audio_are_silent_clips(tmp_path, long_file, caplog):
    (tmp_path / "videos").mkdir()
    delayed(long_file, tmp_path / "videos/long.mkv", gap=(3.0, 6.0))
    parts = [(0.0, 2.0), (4.0, 5.0)]
    write_lists(tmp_path, parts, "long 0 2 0\n")
    store(tmp_path, *parts, file="long.mkv")
    clips = load_data(config(tmp_path), ("training", "validation")).clips["training"]
    assert [bool(clip.audio) for clip in clips] == [True, False]
    assert "1 clip has no audio, the first is long 4 5" in caplog.text
    (batch,) = batches(config(tmp_path), "validation", clips)
    assert batch.audio[1].std() < 1e-4 < batch.audio[0].std()
    dropped = load_data(config(tmp_path, missing_audio="drop"), ("training", "validation"))
    assert [clip.id for clip in dropped.clips["training"]] == ["long 0 2"]


def test_the_tool_stores_the_pieces_of_a_file_together_and_adds_new_ones(data):
    (data / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(data)}}))
    (data / "config.json").write_text(json.dumps({"data_augmentation": {"audio_image_param": {"n_mels": 32}}}))
    arguments = ("--data", data / "data.json", "--config", data / "config.json", "--workers", 1)
    write_lists(data, SPANS[:2], "long 2.5 3 0\n")
    said = [called(precompute_audio.main, *arguments).stdout for _ in range(2)]
    assert "pieces of 1 file stored, 0 were done already, 0 failed" in said[0]
    assert "pieces of 0 files stored, 1 was done already, 0 failed" in said[1]
    before = (data / "mels/pieces.jsonl").read_text()
    write_lists(data, SPANS, "long 2.5 3 0\n")
    audible = settings(data, model={"audio_segments": 1}, data_augmentation={"audio_image_param": {"n_mels": 32}})
    with pytest.raises(DataError, match="1 clip has no audio in the log-mel store"):
        load_data(audible, ("training", "validation"))
    write_lists(data, SPANS[2:], "long 2.5 3 0\n")
    assert "pieces of 1 file stored" in called(precompute_audio.main, *arguments).stdout
    parts = json.loads((data / "mels/pieces.jsonl").read_text().splitlines()[-1])["parts"]
    assert sorted(map(tuple, parts)) == sorted([*SPANS, (2.5, 3.0)])
    assert before in (data / "mels/pieces.jsonl").read_text()


def test_copies_keep_the_times_of_their_originals(tmp_path, long_file):
    (tmp_path / "videos").mkdir()
    (tmp_path / "copies").mkdir()
    late = delayed(long_file, tmp_path / "videos/long.mov", 5.0, 5.2)
    copy = tmp_path / "copies/long.mp4"
    write_copy(late, copy, CopyOptions(fps=0))
    write_lists(tmp_path, [(9.0, 12.0), (5.0, 6.0)], "long 5.1 5.4 0\n")
    clips = [
        load_data(
            settings(tmp_path, dataset={"data_dir": str(tmp_path), "dir_videos": name}), ("training", "validation")
        ).clips["training"]
        for name in ("videos", "copies")
    ]
    assert [(clip.first, clip.frames) for clip in clips[0]] == [(clip.first, clip.frames) for clip in clips[1]]
    copied = clips[1][0]
    assert (copied.first, copied.start, copied.end) == (100, 9.0, 12.0)
    (before, _), (after, _) = (next(piece_samples(path, [(9.0, 12.0)])) for path in (late, copy))
    assert np.array_equal(before, after)


def test_the_tool_indexes_what_pieces_need(data, monkeypatch):
    (data / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(data)}}))
    write_lists(data, SPANS, "long 0 1 0\n")
    assert called(index_videos.main, "--data", data / "data.json", "--workers", 1).returncode == 0
    assert (data / "index.packets/long.mov.packets").is_file()
    monkeypatch.setattr("pipelines.dataset.video_index.map_limited", None)  # nothing is probed again
    assert len(load_data(config(data, audio_segments=0), ("training", "validation")).clips["training"]) == 3


def test_damaged_times_in_the_index_are_named(data):
    write_lists(data, SPANS, "long 0 1 0\n")
    load_data(config(data, audio_segments=0), ("training", "validation"))
    index = data / "index.jsonl"
    record = json.loads(index.read_text())
    for damage in ("", "0 1 12800", "0 1 12800 0.0 AAAA", "0 0 0 0.0 !"):
        index.write_text(json.dumps(record | {"clock": damage}) + "\n")
        with pytest.raises(DataError, match=r"long: .* in the index; remove the line of the file there"):
            load_data(config(data, audio_segments=0), ("training", "validation"))
