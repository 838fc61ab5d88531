"""Batches that threads read: bit by bit those of DALI; files that cannot be read; which loader is taken."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelines.dali_loader import DaliLoader
from pipelines.loader import LoaderError, build_loader
from pipelines.sampling.views import Views
from pipelines.thread_loader import ThreadLoader
from tests.helpers.loading import SIZES, children, make_clip, settings

LABELS = {"dataset": {"data_dir": "none", "task": "labels", "class_names": ["a", "b", "c"]}}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """One is damaged, one has pixels that are not square."""
    folder = tmp_path_factory.mktemp("clips")
    clips = [make_clip(folder, i, size)._replace(target=f"{i % 3}") for i, size in enumerate(SIZES)]
    Path(clips[4].path).write_bytes(Path(clips[4].path).read_bytes()[:900])
    return [*clips[:6], clips[6]._replace(pixel_aspect=1.5)]


def read(loader, passes):
    with loader:
        return [batch for _ in range(passes) for batch in loader], loader.bad


@pytest.mark.parametrize("workers", [0, 3])
def test_they_are_those_of_dali(clips, workers):
    config = settings(
        workers=workers, model={"video_segments": 5, "audio_segments": 2}, pipeline={"max_bad_fraction": 1}, **LABELS
    )
    views = Views(protocol="tsam", clips=3)
    loaders = [
        build_loader(config, "validation", clips, rank_batch=3, views=views, once=once) for once in (True, False)
    ]
    assert [type(loader) for loader in loaders] == [ThreadLoader, DaliLoader]
    (ours, bad), (theirs, others) = (read(loader, len(views)) for loader in loaders)
    assert len(ours) == len(theirs) == 9
    for one, other in zip(ours, theirs, strict=True):
        assert all(torch.equal(*parts) for parts in zip(one, other, strict=True))
        assert all(mine.dtype == its.dtype for mine, its in zip(one, other, strict=True))
    assert bad == others
    assert list(bad) == [4]


def test_no_process_is_started_and_none_is_left(clips):
    before = children()
    loader = build_loader(settings(workers=2, pipeline={"max_bad_fraction": 1}), "validation", clips, once=True)
    with loader:
        next(iter(loader))
        assert children() == before
        assert loader.shared_bytes == 0
    loader.seek(1)  # after an end, from another place
    assert next(iter(loader)).row.tolist() == [3, 4, 5]
    loader.close()


def test_too_many_broken_clips_stop_the_loader(clips):
    with build_loader(settings(), "validation", clips, once=True) as loader, pytest.raises(LoaderError, match="1 of 7"):
        list(loader)


def test_without_dali_threads_read_what_they_can(clips, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("nvidia") or name.startswith("pipelines.dali_loader")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pipelines.dali_loader", None)
    config = settings()
    for once in (True, False):
        assert isinstance(build_loader(config, "validation", clips, once=once), ThreadLoader)
    needed = "need NVIDIA DALI, which is for Linux and not installed here"
    with pytest.raises(LoaderError, match=needed):
        build_loader(config, "training", clips)
    frames = replace(config, pipeline=replace(config.pipeline, source="frames"))
    with pytest.raises(LoaderError, match=needed):
        build_loader(frames, "validation", clips)
