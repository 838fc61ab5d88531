"""Dense sampling of real files, from the list to the batch: its frames, its audio, on any number of ranks."""

import json

import numpy as np
import pytest
import torch

from pipelines.audio.from_video import FileAudio
from pipelines.audio.log_mel import log_mel_columns, silent_spectrogram, spectrogram
from pipelines.audio.mel_pieces import pieces_writer, store_pieces
from pipelines.audio.mel_records import store_audio, summary_writer
from pipelines.audio.read import read_audio
from pipelines.dataset.load import load_data
from pipelines.loader import build_loader
from pipelines.sampling.views import Views
from pipelines.transcode.copy_options import CopyOptions
from pipelines.transcode.training_copy import write_copy
from tests.helpers.frame_folders import frame_settings
from tests.helpers.loading import SIDE, batches, batches_from, settings
from tests.helpers.media import frame_numbers, numbered_picture, write_video
from tests.pipelines.audio.long_files import delayed, write_long

SIZE = (96, 96)
UNEVEN = [0, 40, 80, 120, 160, 200, 1200, 1240, 1280, 2280, 3280, 4280, 4320, 4360, 4400]
"""Times in ms: quick at the start and the end, a frame a second between."""


def config(folder, make=settings, audio_segments=0, sections=None, **dense):
    model = {"video_segments": 4, "audio_segments": audio_segments, "sampling": "dense"} | dense
    return make(folder, model=model, **sections or {})


def write_lists(folder, training, validation="even 0\n"):
    (folder / "training.txt").write_text(training)
    (folder / "validation.txt").write_text(validation)


def clips_of(config, split="training"):
    return load_data(config, ("training", "validation")).clips[split]


def seen(config, clips, split="validation", **options):
    """The numbers in the frames of each clip."""
    return [
        frame_numbers((255 * video.permute(0, 2, 3, 1).numpy()).astype(np.uint8)).tolist()
        for batch in batches(config, split, clips, **options)
        for row, video in zip(batch.row.tolist(), batch.video, strict=True)
        if row >= 0
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two files of constant rate and one whose rate varies; JPEG frames of the first, 12 a second."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("files")
    (folder / "videos").mkdir()
    write_video(folder / "videos/even.mp4", 100, SIZE)
    write_video(folder / "videos/ten.mp4", 40, SIZE, fps=10)
    write_video(folder / "videos/uneven.mp4", len(UNEVEN), SIZE, pts=UNEVEN)
    (folder / "frames/even").mkdir(parents=True)
    for number in range(30):
        Image.fromarray(numbered_picture(number, SIZE)).save(folder / f"frames/even/{number + 1:05d}.jpg")
    write_lists(folder, "even 0\nten 1\nuneven 0\n")
    return folder


def test_the_centred_stretch_of_each_file(files):
    two_seconds = config(files, clip_seconds=2.0)
    assert seen(two_seconds, clips_of(two_seconds)) == [[25, 37, 50, 62], [10, 15, 20, 25], [5, 8, 8, 9]]
    own_rate = config(files, stride=5)
    assert seen(own_rate, clips_of(own_rate))[:2] == [[40, 45, 50, 55], [10, 15, 20, 25]]
    at_ten = config(files, stride=5, target_fps=10.0)
    assert seen(at_ten, clips_of(at_ten)) == seen(two_seconds, clips_of(two_seconds))
    slowfast = config(files, stride=5, target_fps=10.0, dense_rule="slowfast")
    assert seen(slowfast, clips_of(slowfast))[:2] == [[25, 41, 57, 74], [10, 16, 22, 29]]


def test_frames_of_a_varying_rate_are_those_shown_at_their_times(files):
    """Whatever the number of the frame: from 1.13 s on, half a second apart."""
    one = config(files, clip_seconds=2.0)
    (clip,) = clips_of(one)[2:]
    assert clip.rate == pytest.approx(15 / 4.44)
    with build_loader(one, "training", [clip] * 3) as loader:
        positions = [loader.source.order.position(step, 0) for step in range(20)]
        plans = [loader.source.plan(position) for position in positions]
    for plan in plans:
        wanted = [plan.stretch[0] + 0.5 * s for s in range(4)]
        shown = [int(np.searchsorted(np.array(UNEVEN) / 1000 - 1e-3, second, side="right")) - 1 for second in wanted]
        assert plan.frames.tolist() == shown
    assert len({plan.stretch for plan in plans}) > 2


def test_several_views_of_a_video(files):
    dense = config(files, clip_seconds=2.0)
    views = Views(protocol="dense", clips=3)
    with build_loader(dense, "validation", clips_of(dense)[:1], views=views, once=True) as loader:
        found = [batch.video[0] for _ in range(3) for batch in loader]
    numbers = [frame_numbers((255 * video.permute(0, 2, 3, 1).numpy()).astype(np.uint8)).tolist() for video in found]
    assert numbers == [[0, 12, 25, 37], [25, 37, 50, 62], [50, 62, 75, 87]]


@pytest.mark.parametrize("rule", ["tsm", "slowfast"])
def test_the_same_batches_on_two_ranks_and_after_a_resume(files, rule):
    dense = config(files, sections={"batch_size": 2}, clip_seconds=1.0, dense_rule=rule)
    clips = [clip for clip in clips_of(dense) for _ in range(2)]
    whole = batches(dense, "training", clips, steps=3) + batches_from(3, dense, clips, 3)
    parts = [batches(dense, "training", clips, steps=3, rank=rank, world=2) for rank in range(2)]
    for step in range(3):
        assert torch.equal(whole[step].video, torch.cat([part[step].video for part in parts]))
    again = batches_from(4, dense, clips, 2)
    assert all(torch.equal(one.video, two.video) for one, two in zip(again, whole[4:], strict=True))
    assert not torch.equal(whole[0].video, whole[3].video)


def test_jpeg_frames_by_number_and_by_their_rate(files, tmp_path):
    write_lists(files, "even 0\n")
    by_number = config(files, frame_settings, stride=3)
    assert seen(by_number, clips_of(by_number)) == [[9, 12, 15, 18]]
    twelve = {"dataset": {"data_dir": str(files), "frames_fps": 12}}
    in_seconds = config(files, frame_settings, sections=twelve, clip_seconds=2.0)
    assert seen(in_seconds, clips_of(in_seconds)) == [[3, 9, 15, 21]]
    write_lists(files, "even 0\nten 1\nuneven 0\n")


def test_copies_have_the_stretches_of_their_originals(files, tmp_path):
    """In seconds. A copy has 10 of 25 frames a second, now 2, now 3 of them apart, which counts as an even rate."""
    (tmp_path / "copies").mkdir()
    write_copy(files / "videos/even.mp4", tmp_path / "copies/even.mp4", CopyOptions(short_side=96))
    write_lists(tmp_path, "even 0\n")
    copies = {"dataset": {"data_dir": str(tmp_path), "dir_videos": "copies"}}
    dense = config(tmp_path, sections=copies, clip_seconds=2.0)
    (clip,) = clips_of(dense)
    assert (clip.frames, clip.rate, clip.times) == (40, 10.0, "")
    assert seen(dense, [clip]) == [[25, 38, 50, 63]]  # of the original 25, 37, 50, 62
    every = config(tmp_path, sections=copies, stride=1, target_fps=10.0)
    assert seen(every, [clip]) == [[45, 48, 50, 53]]


def test_an_index_of_an_earlier_version_is_completed(files):
    dense = config(files, clip_seconds=2.0)
    expected = list(clips_of(dense))
    index = files / "index.jsonl"
    records = [json.loads(line) for line in index.read_text().splitlines()]
    old = [
        {key: record[key] for key in record if key not in ("audio_start", "frame_times", "rate")} for record in records
    ]
    index.write_text("".join(json.dumps(record) + "\n" for record in old))
    load_data(settings(files), ("training", "validation"))
    assert "audio_start" not in index.read_text()  # others need nothing more
    assert list(clips_of(dense)) == expected
    assert index.read_text().count("audio_start") == 3


def test_clips_of_an_unknown_rate_are_named(files):
    dense = config(files, clip_seconds=2.0)
    unknown = [clip._replace(rate=0.0) for clip in clips_of(dense)[:1]]
    bad = config(files, sections={"pipeline": {"max_bad_fraction": 1}}, clip_seconds=2.0)
    with build_loader(bad, "validation", unknown, once=True) as loader:
        (batch,) = loader
    assert not batch.ok[0]
    assert "how many frames a second has is not known" in loader.bad[0]


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    return write_long(tmp_path_factory.mktemp("long") / "long.mov", 8)


def middle_of(spectrograms):
    """Away from columns that see beyond the ends of a stretch."""
    return spectrograms[..., SIDE // 4 : -SIDE // 4]


def expected_audio(path, start, end, options, begins=0.0):
    """The spectrograms of the samples that are played from `start` to `end`."""
    samples, rate = read_audio(path)
    piece = samples[:, round((start - begins) * rate) : round((end - begins) * rate)]
    return spectrogram(log_mel_columns(piece, rate, options), options, 2)


@pytest.mark.parametrize(("video", "audio"), [(0.0, 0.0), (0.5, 0.0), (3.0, 3.6)])
def test_the_audio_is_that_of_the_frames(tmp_path, long_file, video, audio):
    """Of files whose tracks begin at different times, from the store and from the file itself; of their pieces."""
    (tmp_path / "videos").mkdir()
    path = delayed(long_file, tmp_path / "videos/long.mov", video, audio)
    dense = config(tmp_path, audio_segments=2, clip_seconds=2.0)
    options = dense.data_augmentation.audio_image_param
    with summary_writer(tmp_path / "mels") as write:
        write(store_audio(tmp_path / "mels", tmp_path, "long", path, options))
    write_lists(tmp_path, "long 0\n", "long 0\n")
    (clip,) = clips_of(dense)
    assert clip.audio_start == pytest.approx(audio - video, abs=1e-3)
    (batch,) = batches(dense, "validation", [clip])
    first = video + 3.0  # the middle two of eight seconds
    expected = expected_audio(path, first, first + 2, options, begins=audio)
    assert np.abs(middle_of(batch.audio[0].numpy() - expected)).mean() < 0.05
    shifted = expected_audio(path, first + 0.25, first + 2.25, options, begins=audio)
    assert np.abs(middle_of(batch.audio[0].numpy() - shifted)).mean() > 0.2
    with build_loader(dense, "validation", [clip._replace(audio=str(path))], mels=FileAudio(options), once=True) as own:
        (from_file,) = own
    assert (from_file.audio - batch.audio).abs().max() < 0.02
    part = (video + 1.0, video + 7.0)
    with pieces_writer(tmp_path / "mels") as write:
        write(store_pieces(tmp_path / "mels", "long", path, options, 2, [part]))
    write_lists(tmp_path, f"long {part[0]:g} {part[1]:g} 0\n", "long 0\n")
    (piece,) = clips_of(dense)
    (of_piece,) = batches(dense, "validation", [piece])
    assert torch.equal(of_piece.video, batch.video)
    assert np.abs(middle_of((of_piece.audio - batch.audio).numpy())).mean() < 0.1


def test_where_nothing_was_recorded_is_silence(tmp_path, long_file):
    """The audio begins four seconds late: the middle two seconds of eight are half silent, the first two wholly."""
    (tmp_path / "videos").mkdir()
    path = delayed(long_file, tmp_path / "videos/long.mov", 0.0, 4.0)
    dense = config(tmp_path, audio_segments=1, clip_seconds=2.0)
    options = dense.data_augmentation.audio_image_param
    with summary_writer(tmp_path / "mels") as write:
        write(store_audio(tmp_path / "mels", tmp_path, "long", path, options))
    write_lists(tmp_path, "long 0\n", "long 0\n")
    clips = clips_of(dense)
    (batch,) = batches(dense, "validation", clips)
    quiet = silent_spectrogram(options, 1)
    assert np.allclose(batch.audio[0, ..., : SIDE // 4], quiet[..., : SIDE // 4], atol=0.02)
    assert batch.audio[0, ..., -SIDE // 4 :].std() > 0.1
    with build_loader(dense, "validation", clips, views=Views(protocol="dense", clips=4), once=True) as loader:
        (first,) = loader
    assert np.allclose(first.audio[0], quiet, atol=0.02)


def test_pieces_keep_to_themselves(files, tmp_path):
    """Stretches of pieces lie in them, by the times of the file where its rate varies."""
    write_lists(files, "even 1 3 0\nuneven 1.2 4.29 1\n", "even 0 1 0\n")
    dense = config(files, clip_seconds=1.0)
    clips = clips_of(dense)
    assert [clip.rate for clip in clips] == [25.0, pytest.approx(6 / 3.12)]
    assert seen(dense, clips) == [[37, 43, 49, 55], [8, 9, 9, 9]]
    for row, last in ((0, 75), (1, 12)):
        found = [number for _ in range(10) for number in seen(dense, [clips[row]] * 3, "training")[0]]
        assert clips[row].first <= min(found)
        assert max(found) < last
    write_lists(files, "even 0\nten 1\nuneven 0\n")
