"""Batches without DALI: bit by bit those of DALI; files that cannot be read; which loader is taken."""

import sys
import time
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path

import pytest
import torch

from pipelines import thread_loader
from pipelines.dali_loader import DaliLoader
from pipelines.loader import LoaderError, build_loader
from pipelines.parallel.sandbox import Limits, Sandbox
from pipelines.sampling.views import Views
from pipelines.thread_loader import ThreadLoader
from tests.helpers.loading import SIZES, children, make_clip, settings
from tests.helpers.probes import ReadByName

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


@pytest.mark.parametrize("workers", [0, 2])
def test_few_processes_are_started_and_none_is_left(clips, workers):
    """One for few clips, as long as they are read; without workers none."""
    resource_tracker.ensure_running()
    before = children()
    loader = build_loader(settings(workers=workers, pipeline={"max_bad_fraction": 1}), "validation", clips, once=True)
    with loader:
        next(iter(loader))
        assert len(children()) == len(before) + bool(workers)
        assert loader.shared_bytes == 0
    assert children() == before
    loader.seek(1)  # after an end, from another place
    assert next(iter(loader)).row.tolist() == [3, 4, 5]
    loader.close()


def reading_by_name(clips, names, **options):
    """A loader of some clips, of which some have files with these names."""
    files = [Path(clips[0].path).with_stem(name) for name in names]
    for file in files:
        file.exists() or file.hardlink_to(clips[0].path)
    chosen = [clips[0], *(clips[0]._replace(id=file.stem, path=str(file)) for file in files), clips[1]]
    config = settings(workers=1, pipeline={"max_bad_fraction": 1})
    loader = build_loader(config, "validation", chosen, once=True, rank_batch=2, **options)
    loader.source.video_input = ReadByName()
    return loader


def test_what_a_decoder_does_to_its_process_costs_one_clip(clips):
    with reading_by_name(clips, ["SIGSEGV", "SIGKILL"]) as loader:
        found = [batch.ok.tolist() for batch in loader]
    assert found == [[True, False], [False, True]]
    reasons = [f"{name}.mp4: ended the process that read it by {name}" for name in ("SIGSEGV", "SIGKILL")]
    assert [loader.bad[row].rpartition("/")[2] for row in (1, 2)] == reasons


def test_what_hangs_is_given_up(clips, monkeypatch):
    """After a time, and at once where nobody waits for it any more; processes that live longer can be used again."""
    monkeypatch.setattr(thread_loader, "LIMITS", Limits(seconds=2))
    sandbox = Sandbox(1)
    loader = reading_by_name(clips, ["sleep"], sandbox=sandbox)
    with loader:
        batches = iter(loader)
        assert next(batches).ok.tolist() == [True, False]
        assert loader.bad[1].endswith("sleep.mp4: not done after 2 s")
    monkeypatch.undo()
    endless = reading_by_name(clips, ["a", "b", "sleep", "spin"], sandbox=sandbox)
    assert next(iter(endless)).ok.tolist() == [True, True]
    time.sleep(1)  # meanwhile it reads ahead
    start = time.monotonic()
    endless.close()
    assert time.monotonic() - start < 5
    with reading_by_name(clips, ["a"], sandbox=sandbox) as loader:
        assert all(batch.ok[0] for batch in loader)
    sandbox.close()


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
