"""The log-mel store as training uses it: checked once at the start, then read clip by clip."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.audio.log_mel import AudioImage, silent_spectrogram, spectrogram
from pipelines.audio.mel_file import columns_path, fingerprint, load_columns
from pipelines.audio.mel_pieces import Wanted, load_piece, pieces_name, pieces_state, read_pieces, silent_parts
from pipelines.audio.mel_records import Record, read_summary, state
from pipelines.audio.piece_samples import Part
from pipelines.audio.stretch import columns_in
from pipelines.files.storage import State
from pipelines.files.tool_command import tool_command
from pipelines.files.words import counted, first_of

_COMMAND = f"{tool_command('precompute_audio')} --data D.json --config C.json, and the same --set"
_REMEDY = f"make it with: {_COMMAND}"
_PROBLEMS = {
    "missing": ("has", "have", f"no audio in the log-mel store; {_REMEDY}"),
    "other settings": (
        *("is", "are"),
        "in the log-mel store with other settings: {found}; expected {settings}; " + _REMEDY,
    ),
    "fewer channels": (
        *("has", "have"),
        f"one channel in the log-mel store, where model.audio_segments 2 asks for both; add the other with: {_COMMAND}",
    ),
    "outdated": (
        *("has", "have"),
        f"audio in the log-mel store of another file, or of the same before it changed; {_REMEDY}",
    ),
}
"""The verb for one clip, the verb for several, and the rest of the sentence."""


class Findings(NamedTuple):
    """What `MelStore.check` found."""

    problems: list[str]  # one line of text for each kind, with examples and what to do
    stored: dict[str, str]  # ids of the clips that can be used -> name of their audio in the store; "": silent
    failed: dict[str, str]  # ids of the clips whose audio could not be read -> why


@dataclass(frozen=True)
class MelStore:
    """The stored audio of a data set. Plain data: it travels to the decode workers."""

    folder: Path
    options: AudioImage

    def spectrogram(
        self,
        name: str,
        audio_segments: int,
        cut: tuple[float, float] = (0.0, 0.0),
        part: Part | None = None,
        stretch: tuple[float, float] | None = None,
    ) -> np.ndarray:
        """The spectrograms of a clip, float32 (A, 3, H, W), as `log_mel.spectrogram` makes them; those of silence for a
        silent clip.

        Args:
            name: of its audio in the store, see `check`.
            audio_segments: 1 for the first channel, 2 for left and right.
            cut: seconds left out at the start and at the end.
            part: of a piece of a file; `name` is then of all pieces of the file.
            stretch: start and end of a part of the clip's audio, see `pipelines.audio.stretch`; default: all of it.

        Raises:
            pipelines.audio.mel_file.MelError: the file is missing, damaged or made with other settings.
        """
        path, settings = columns_path(self.folder, name), fingerprint(self.options)
        if part:
            columns = load_piece(path, settings, part, audio_segments)
        else:
            columns = load_columns(path, settings, audio_segments)
        if columns and stretch:
            columns = columns_in(columns, self.options, stretch)
        if columns is None:
            return silent_spectrogram(self.options, audio_segments)
        return spectrogram(columns, self.options, audio_segments, cut)

    def check(self, states: Mapping[str, Sequence[State]], audio_segments: int = 1) -> Findings:
        """Compare the store with the clips that will be asked for; opens nothing but the summary.

        Args:
            states: of each clip, by which the store may know its audio (`storage.state`); the first one counts.
            audio_segments: how many channels will be asked for, of those that differ.
        """
        records, settings = read_summary(self.folder), fingerprint(self.options)
        clips: dict[str, list[str]] = defaultdict(list)  # state -> ids
        deciding: dict[str, Record] = {}  # id -> what says so; a clip that is missing has none
        for clip_id, found in states.items():
            kind, record = state(records.get(clip_id, ()), found, self.folder, settings, audio_segments)
            clips[kind].append(clip_id)
            if record:
                deciding[clip_id] = record

        problems = self._problems(clips, {clip_id: record.fingerprint for clip_id, record in deciding.items()})
        failed = {clip_id: deciding[clip_id].reason for clip_id in clips["failed"]}
        stored = {clip_id: deciding[clip_id].name for clip_id in clips["ok"]} | dict.fromkeys(clips["silent"], "")
        return Findings(problems, stored, failed)

    def check_pieces(self, states: Mapping[str, Sequence[State]], wanted: Wanted, audio_segments: int = 1) -> Findings:
        """The same of pieces of files; `stored` holds the names in the store of the files, `failed` files.

        Args:
            states, audio_segments: as for `check`, of the files.
            wanted: the pieces of each file that will be asked for.
        """
        records, settings = read_pieces(self.folder), fingerprint(self.options)
        files: dict[str, list[str]] = defaultdict(list)
        for file_id, found in states.items():
            kind = pieces_state(records.get(file_id), found, self.folder, settings, audio_segments, wanted[file_id])
            files[kind].append(file_id)
        problems = self._problems(files, {file_id: record.fingerprint for file_id, record in records.items()})
        failed = {file_id: records[file_id].reason for file_id in files["failed"]}
        return Findings(problems, {file_id: pieces_name(file_id) for file_id in files["ok"]}, failed)

    def silent(self, file_ids: Collection[str]) -> dict[str, set[Part]]:
        """The pieces of some files in which nothing was recorded."""
        records = read_pieces(self.folder)
        return {file_id: silent_parts(records[file_id]) for file_id in file_ids}

    def _problems(self, clips: Mapping[str, Sequence[str]], made_with: Mapping[str, str]) -> list[str]:
        """A line of text for each kind of state that needs a remedy."""
        problems = []
        for kind, (one, several, text) in _PROBLEMS.items():
            if ids := clips.get(kind):
                if kind == "other settings":
                    text = text.format(found=made_with[ids[0]], settings=fingerprint(self.options))
                these = counted(len(ids), f"clip {one}", f"clips {several}")
                problems.append(f"{self.folder}: {these} {text} (clips: {', '.join(first_of(ids, 5))})")
        return problems
