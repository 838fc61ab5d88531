"""The two JSON files -> one `Config`: TSAM's sections and keys, checked for names, types and ranges at once."""

import dataclasses
import difflib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pydantic
from annotated_types import Ge

from pipelines.dataset.clips import Dataset
from pipelines.dataset.config import DataAugmentation, PipelineOptions
from pipelines.dataset.list_file import read_text
from pipelines.files.errors import InputError, ListError
from tsam_dali.config.sections import Model, OptimizerParam, ShiftTemporal, TrainingParam


class ConfigError(InputError):
    """Settings that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a run. TSAM's two files hold its sections; what they leave out has the defaults below."""

    dataset: Dataset
    data_augmentation: DataAugmentation = field(default_factory=DataAugmentation)
    model: Model = field(default_factory=Model)
    shift_temporal: ShiftTemporal = field(default_factory=ShiftTemporal)
    training_param: TrainingParam = field(default_factory=TrainingParam)
    optimizer_param: OptimizerParam = field(default_factory=OptimizerParam)
    pipeline: PipelineOptions = field(default_factory=PipelineOptions)
    model_validation: Annotated[int, Ge(1)] = 10
    """Clips per video in a multi-clip validation."""
    save_epoch: tuple[Annotated[int, Ge(0)], ...] = ()
    """After how many epochs the checkpoint is also kept as epoch_N; 0: before the first."""
    results_folder: str = "results"
    """Folder of all runs."""

    def to_dict(self) -> dict[str, Any]:
        """The settings as nested dicts and lists, as they stand in JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @property
    def num_audio_pictures(self) -> int:
        """Audio segments of the network, A: each channel gives `num_segments` pictures."""
        return self.model.audio_segments * self.data_augmentation.audio_image_param.num_segments


def load_config(data: str | Path, config: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read TSAM's data file and settings file.

    Args:
        data: path of the JSON file with the section `dataset`.
        config: path of the JSON file with all other sections.
        overrides: texts like "model.video_segments=16"; the value is JSON, or else plain text.

    Raises:
        ConfigError: with every problem found. No data is opened.
    """
    sections: dict[str, Any] = {}
    problems: list[str] = []
    for path in dict.fromkeys((data, config)):  # tools that need only the data name its file twice
        try:
            found = _read_json(path)
        except ConfigError as error:
            problems += error.problems
            continue
        problems += [f"{path}: {name} stands in {data}, too" for name in found if name in sections and name != "help"]
        sections |= found
    if problems:
        raise ConfigError(problems)
    for override in overrides:
        problems += _apply_override(sections, override)
    return config_from_dict(sections, problems)


def change_config(config: Config, data: str | Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """The settings of a trained network, for other data: `data` and `overrides` are those of `load_config`.

    Raises:
        ConfigError: with every problem found.
    """
    sections = config.to_dict()
    if data:
        del sections["dataset"]
        sections |= _read_json(data)
    problems = [problem for override in overrides for problem in _apply_override(sections, override)]
    return config_from_dict(sections, problems)


def check_changes(data: str | Path | None, overrides: Sequence[str]) -> None:
    """Raises ConfigError for what is wrong with the arguments of `change_config`, whatever settings they change."""
    sections = _read_json(data) if data else {"dataset": {"data_dir": ""}}
    problems = [problem for override in overrides for problem in _apply_override(sections, override)]
    config_from_dict(sections, problems, complete=False)


def config_from_dict(sections: dict[str, Any], problems: Sequence[str] = (), complete: bool = True) -> Config:
    """Nested dicts, as in the JSON files -> Config; raises ConfigError with all problems, the given ones first.

    With `complete` false settings that are left out may have other values, so what they contradict is not looked at.
    """
    problems = [*problems, *_unknown_keys(Config, sections)]
    try:
        config = pydantic.TypeAdapter(Config).validate_json(json.dumps(_without_help(sections)), strict=True)
    except pydantic.ValidationError as error:
        raise ConfigError([*problems, *map(_explain, error.errors())]) from None
    problems += _contradictions(config) if complete else ()
    if problems:
        raise ConfigError(problems)
    return config


def _read_json(path: str | Path) -> dict[str, Any]:
    try:
        sections = _from_json(read_text(path))
    except ListError as error:
        where = "" if Path(path).exists() or Path(path).is_absolute() else f"; it is looked for from {Path.cwd()}"
        raise ConfigError([problem + where for problem in error.problems]) from error
    except ValueError as error:  # not JSON: the message says where
        raise ConfigError([f"{path}: not a JSON file ({error})"]) from error
    if not isinstance(sections, dict):
        raise ConfigError([f"{path}: expected an object with sections, got {type(sections).__name__}"])
    return sections


def _from_json(text: str) -> Any:
    """Raises ValueError where `text` is no JSON, as Python's reader does not for NaN, infinity and equal keys."""
    return json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_number)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} stands twice in one section")
    return dict(pairs)


def _apply_override(sections: dict[str, Any], override: str) -> list[str]:
    """Set `section.key=value` in place; returns what is wrong with it."""
    name, separator, text = override.partition("=")
    if not separator:
        return [f"--set {override}: expected section.key=value"]
    *folders, key = name.strip().split(".")
    for folder in folders:
        sections = sections.setdefault(folder, {})
        if not isinstance(sections, dict):
            return [f"--set {override}: {folder} is a value, not a section"]
    try:
        sections[key] = _from_json(text)
    except ValueError:
        sections[key] = text
    return []


def _unknown_keys(section: type, values: Any, prefix: str = "") -> Iterator[str]:
    """Keys of `values` that the dataclass `section` does not have, each with the nearest name."""
    if not isinstance(values, dict):
        return
    known = {item.name: item.type for item in dataclasses.fields(section)}
    for key, value in values.items():
        if key == "help":
            continue
        if key not in known:
            yield f"unknown key {prefix}{key}{_nearest(key, prefix, known)}"
        elif dataclasses.is_dataclass(known[key]):
            yield from _unknown_keys(known[key], value, f"{prefix}{key}.")


def _nearest(key: str, prefix: str, known: dict[str, Any]) -> str:
    here = difflib.get_close_matches(key, known, 1, cutoff=0.5)
    if here:
        return f"; did you mean {prefix}{here[0]}?"
    paths = {name.rpartition(".")[2]: name for name in setting_names()}  # the key may stand in the wrong section
    elsewhere = difflib.get_close_matches(key, paths, 1, cutoff=0.8)
    if elsewhere:
        return f"; did you mean {paths[elsewhere[0]]}?"
    return f"; known here: {', '.join(known)}"


def setting_names(section: type = Config, prefix: str = "") -> list[str]:
    """The dotted name of every setting."""
    names = []
    for item in dataclasses.fields(section):
        if dataclasses.is_dataclass(item.type):
            names += setting_names(item.type, f"{prefix}{item.name}.")
        else:
            names.append(prefix + item.name)
    return names


def _without_help(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _without_help(value) for key, value in values.items() if key != "help"}
    return values


def _explain(error: Any) -> str:
    """One line for one of pydantic's errors."""
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"{name}: missing"
    return f"{name}: {error['msg'][0].lower()}{error['msg'][1:]}, got {json.dumps(error['input'])}"


def _contradictions(config: Config) -> Iterator[str]:
    """Settings that are each in range, but not together."""
    images = config.data_augmentation
    spec, size = images.audio_image_param.spec_size, images.video_image_param.output_size
    if config.model.audio_segments and spec != (3, size, size):
        yield (
            f"data_augmentation.audio_image_param.spec_size: {list(spec)} does not fit video_image_param.output_size "
            f"{size}; audio and frames pass through the same backbone, so it must be [3, {size}, {size}]"
        )
    if config.pipeline.source == "frames" and config.pipeline.decode == "gpu_whole":
        yield (
            "pipeline.decode: gpu_whole reads whole videos, but pipeline.source is frames; choose cpu (libjpeg) or "
            "gpu (nvJPEG)"
        )
    shift = config.shift_temporal
    if shift.m_insert >= shift.n_insert:
        yield f"shift_temporal.m_insert: must be below n_insert ({shift.n_insert}), got {shift.m_insert}"
    decay = config.optimizer_param.lr_decay
    if len(decay) % 2 or list(decay[1::2]) != sorted(decay[1::2]):
        yield f"optimizer_param.lr_decay: expected [factor, epoch, ...] with rising epochs, got {list(decay)}"
    size, accumulate, repeats = (getattr(config.training_param, key) for key in ("batch_size", "accumulate", "repeats"))
    if size % accumulate:
        yield f"training_param.accumulate: {accumulate} parts do not divide batch_size {size}"
    if size % repeats:
        yield f"training_param.repeats: {repeats} samples of each video do not fill batch_size {size}"
