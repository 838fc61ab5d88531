"""The clips of a split as columns in memory that all processes of a machine share."""

import mmap
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Self, overload

import numpy as np

from pipelines.dataset.clips import Clip

_COUNT = np.dtype("i8")
_NUMBERS = np.dtype(
    [("label", "i4"), ("frames", "i4"), ("height", "i4"), ("width", "i4"), ("pixel_aspect", "f8"), ("end", "i8")]
)
"""What is kept of each clip beside its texts; `end`: where these end, counted from the first clip's."""
_PLACES = np.dtype([("first", "i4"), *((name, "f8") for name in ("start", "end", "rate", "audio_start"))])
"""What is kept of each clip beside that, and the text `times`, where clips are pieces of files or sampled densely."""
_AT_ONCE = 1000  # clips


class Clips(Sequence[Clip]):
    """Many clips; each is made when it is asked for.

    Pickled they are a name, however many they are: they lie in a file without a place on a disk, which this process and
    all that it tells the name map into their memory, for as long as this one lives. Content: the number of clips; that
    of those with a place, all or none; their numbers; their places; their texts (id, path, name of the audio, target,
    with a place also times, each with a zero behind it).
    """

    def __init__(self, name: str):
        """name: of an open file of a process of this machine; it is opened when a clip is asked for."""
        self._name = name

    @classmethod
    def of(
        cls,
        texts: Iterable[tuple[str, ...]],
        numbers: Mapping[str, Any],
        places_of: Mapping[str, Any] | None = None,
    ) -> Self:
        """Clips with these ids, paths, audios and targets, and an array for each of the numbers.

        places_of: an array for each of `_PLACES` that is not 0 everywhere; the texts then end with times.
        """
        rows = np.zeros(len(numbers["label"]), _NUMBERS)
        places = np.zeros(len(rows) if places_of else 0, _PLACES)
        for name, values in (places_of or {}).items():
            places[name] = values
        ends, end = array("q"), 0
        with new_file() as file:
            file.seek(2 * _COUNT.itemsize + rows.nbytes + places.nbytes)
            for text in texts:
                end += file.write(("\0".join(text) + "\0").encode(errors="surrogateescape"))
                ends.append(end)
            for name, values in numbers.items():
                rows[name] = values
            rows["end"] = ends
            file.seek(0)
            file.write(np.array([len(rows), len(places)], _COUNT).tobytes())
            file.write(rows.data)
            file.write(places.data)
            file.flush()
            return cls.in_file(file)

    @classmethod
    def in_file(cls, file: Any) -> Self:
        """The clips in a file that this process has open."""
        clips = cls(_name_of(file))
        len(clips)  # opens it
        return clips

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (_name_of(self._file) if "_file" in self.__dict__ else self._name,)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, row: int) -> Clip: ...
    @overload
    def __getitem__(self, row: slice) -> list[Clip]: ...
    def __getitem__(self, row: int | slice) -> Clip | list[Clip]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        row = range(len(self))[row]
        return self._some(row, row + 1)[0]

    def __iter__(self) -> Iterator[Clip]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self._some(start, min(start + _AT_ONCE, len(self)))

    def _some(self, start: int, stop: int) -> list[Clip]:
        """The clips of rows `start` to `stop` - 1."""
        rows = self._rows[start:stop].tolist()
        begin = self._texts + (int(self._rows["end"][start - 1]) if start else 0)
        texts = self.content[begin : self._texts + rows[-1][-1]].decode(errors="surrogateescape").split("\0")
        count = 5 if len(self._places) else 4
        clips = [
            Clip(clip_id, label, path, frames, height, width, audio, pixel_aspect, target=target)
            for (label, frames, height, width, pixel_aspect, _), clip_id, path, audio, target in zip(
                rows, texts[0:-1:count], texts[1::count], texts[2::count], texts[3::count], strict=True
            )
        ]
        if not len(self._places):
            return clips
        places = self._places[start:stop].tolist()
        return [
            clip._replace(times=times, **dict(zip(_PLACES.names or (), place, strict=True)))
            for clip, place, times in zip(clips, places, texts[4::count], strict=True)
        ]

    @cached_property
    def _file(self) -> Any:
        return open(self._name, "rb")

    @cached_property
    def content(self) -> mmap.mmap:
        """The bytes of the file."""
        return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    @cached_property
    def _counts(self) -> list[int]:
        return np.frombuffer(self.content, _COUNT, 2).tolist()

    @cached_property
    def _rows(self) -> np.ndarray:
        return np.frombuffer(self.content, _NUMBERS, self._counts[0], 2 * _COUNT.itemsize)

    @cached_property
    def _places(self) -> np.ndarray:
        return np.frombuffer(self.content, _PLACES, self._counts[1], 2 * _COUNT.itemsize + self._rows.nbytes)

    @property
    def _texts(self) -> int:
        """Where the texts begin."""
        return 2 * _COUNT.itemsize + self._rows.nbytes + self._places.nbytes


def new_file() -> Any:
    """A new file without a place on a disk, for `Clips.in_file`."""
    return open(os.memfd_create("clips"), "wb+")


def _name_of(file: Any) -> str:
    """The name under which the other processes of the machine can open a file of this one."""
    return f"/proc/{os.getpid()}/fd/{file.fileno()}"
