"""Why a name that people see in a folder is not found: its letters are encoded differently there (é is one
character in Unicode's form NFC, a letter and an accent in NFD, as in archives of macOS), or the locale is not UTF-8.
"""

import os
import sys
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePath


def same_form(name: str) -> str:
    """The form that a name shares with all that look like it."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def name_hint(path: str | Path, endings: Iterable[str] = ("",)) -> str:
    """What to add where there is no file of this name, with one of these endings behind it: "; ..." or ""."""
    return other_form(path, endings) or locale_hint(str(path))


def locale_hint(text: str) -> str:
    """What to add where something is not found, if names of files with its letters cannot be found in this locale."""
    encoding = sys.getfilesystemencoding()
    if encoding == "utf-8" or text.isascii():
        return ""
    return f"; this locale takes names of files as {encoding}, not as UTF-8: set PYTHONUTF8=1 or LC_ALL=C.UTF-8"


def other_form(path: str | Path, endings: Iterable[str] = ("",)) -> str:
    """The part of `name_hint` about Unicode's forms: "" where no name looks like this one."""
    if str(path).isascii():
        return ""
    *folders, last = PurePath(path).parts
    place = ""
    for part, tried in [*((folder, ("",)) for folder in folders), (last, tuple(endings))]:
        if not any(os.path.lexists(os.path.join(place, part + ending)) for ending in tried):
            names = _names_by_form(place or ".", _changed(place or "."))
            found = [name for ending in tried for name in names.get(same_form(part + ending), ())]
            return _explained(place or ".", part, found[0]) if found else ""
        place = os.path.join(place, part)
    return ""


def _explained(folder: str, name: str, found: str) -> str:
    there, wanted = _form(found), _form(name)
    option = "--nfd" if wanted == "NFD" else "--nfc"
    return (
        f"; {folder} holds this name in another Unicode form: {found!a} ({there}) in place of {name!a} ({wanted}); "
        f"rename with `convmv -r --notest -f utf8 -t utf8 {option} {folder}`, or use the name that is there"
    )


def _form(name: str) -> str:
    forms = [form for form in ("NFC", "NFD") if unicodedata.is_normalized(form, name)]
    return forms[0] if forms else "neither NFC nor NFD"


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except (OSError, ValueError):
        return 0


@lru_cache(maxsize=64)
def _names_by_form(folder: str, _changed: int) -> dict[str, list[str]]:
    """The names in a folder by what they have in common with those that look like them; ASCII has one form only."""
    found: dict[str, list[str]] = {}
    try:
        for name in os.listdir(folder):
            if not name.isascii():
                found.setdefault(same_form(name), []).append(name)
    except (OSError, ValueError):
        pass
    return found
