"""Where the audio of each clip comes from."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipelines.audio.mel_store import Findings, MelStore
from pipelines.audio.piece_samples import Part
from pipelines.dataset.clips import Dataset
from pipelines.dataset.media_files import find_video
from pipelines.files import storage
from pipelines.files.errors import ListError
from pipelines.files.unicode_names import other_form
from pipelines.transcode.copy_folder import copy_path, originals


def audio_file(dataset: Dataset, clip_id: str, video: str | Path | None = None) -> str | Path:
    """Where the audio of a clip comes from: `dir_audios/ID.wav` if there is one, else the video. A clip that has
    neither, but a frame folder, is silent: that folder stands for its audio.

    Raises:
        pipelines.files.errors.ListError: there is none of the three, or what has its name is no file, or has it in
            another Unicode form.
    """
    wav = dataset.audios / f"{clip_id}.wav"
    if os.path.isfile(wav):
        return wav
    if os.path.lexists(wav):
        raise ListError([f"{wav}: is a folder, a link that leads nowhere, a FIFO or a device; expected a .wav file"])
    if hint := other_form(wav):
        raise ListError([f"{wav}: no such file{hint}"])
    try:
        video = video or find_video(dataset, clip_id)
    except ListError:
        if os.path.isdir(folder := dataset.frames / clip_id):
            return folder
        raise
    if os.path.isdir(video):  # not a frame folder, which is silent
        raise ListError([f"{video}: is a folder; expected a video file"])
    return video


def source_states(dataset: Dataset, sources: Mapping[str, str | Path]) -> dict[str, list[storage.State]]:
    """The states by which the store may know the audio of each clip: that of its file and, where that is a training
    copy, that of its original. Nothing where there is no file.
    """
    found, videos = storage.states(sources.values()), dataset.videos
    copies = {} if storage.is_remote(videos) else originals(Path(videos))
    result = {}
    for clip_id, source in sources.items():
        now = found[source]
        result[clip_id] = [now] if now else []
        if now and clip_id in copies and Path(source) == copy_path(Path(videos), clip_id):
            size, original = copies[clip_id]
            result[clip_id] += [original] if now[0] == size else []
    return result


def audio_states(
    dataset: Dataset, videos: Mapping[str, str | Path | None]
) -> tuple[dict[str, list[storage.State]], dict[str, str]]:
    """The states by which the log-mel store may know the audio of each clip, see `source_states`; and for each clip
    that has no file, why.

    Args:
        dataset: where the clips lie.
        videos: video file of each clip, which is there; None: look for it, there may be only a frame folder.
    """
    sources, missing = {}, {}
    has_wavs = os.path.isdir(dataset.audios) or other_form(dataset.audios)
    for clip_id, video in videos.items():
        try:
            sources[clip_id] = audio_file(dataset, clip_id, video) if has_wavs or not video else video
        except ListError as error:
            missing[clip_id] = str(error)
    return source_states(dataset, sources), missing


def stored_audio(
    dataset: Dataset,
    store: MelStore,
    videos: Mapping[str, str | Path | None],
    clips: Iterable[tuple[str, str, Part | None]],
    audio_segments: int,
) -> Findings:
    """What the log-mel store has of some clips, by their ids; see `MelStore.check`.

    Args:
        dataset: where the files lie.
        store: that of the data set.
        videos: the video of each file's id; see `audio_states`.
        clips: of each its id, that of its file, and the piece of the file that it is.
        audio_segments: how many channels will be asked for.
    """
    states, missing = audio_states(dataset, videos)
    failed: dict[str, str] = {}
    wholes, pieces, wanted = {}, [], defaultdict(list)
    for clip_id, file, part in clips:
        if file in missing:
            failed[clip_id] = missing[file]
        elif part:
            pieces.append((clip_id, file, part))
            wanted[file].append(part)
        else:
            wholes[clip_id] = states[file]
    problems, stored, reasons = store.check(wholes, audio_segments)
    failed = reasons | failed
    if pieces:
        found = store.check_pieces({file: states[file] for file in wanted}, wanted, audio_segments)
        silent = store.silent(found.stored)
        problems = problems + found.problems
        for clip_id, file, part in pieces:
            if file in found.stored:
                stored[clip_id] = "" if part in silent[file] else found.stored[file]
            elif file in found.failed:
                failed[clip_id] = found.failed[file]
    return Findings(problems, stored, failed)
