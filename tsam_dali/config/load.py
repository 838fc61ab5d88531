"""The two JSON files -> one `Config`: TSAM's sections and keys; names, types and ranges are checked at once."""

import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import pydantic
from annotated_types import Ge

from pipelines.dataset.clips import Dataset
from pipelines.dataset.config import DataAugmentation, PipelineOptions
from pipelines.files.errors import InputError, ListError
from pipelines.files.text import read_text
from tsam_dali.config.hub_backbone import hub_backbone
from tsam_dali.config.sampling_settings import sampling_problems
from tsam_dali.config.sections import Model, OptimizerParam, ShiftTemporal, TrainingParam
from tsam_dali.config.shipped import here_or_shipped
from tsam_dali.config.task_settings import task_problems
from tsam_dali.config.timm_names import network_problem, optimizer_problem


class ConfigError(InputError):
    """Settings that cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a run: the sections of TSAM's two files, with defaults for missing keys."""

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
        """The settings as nested dicts and lists, as in JSON."""
        return json.loads(json.dumps(asdict(self)))

    @property
    def num_spectrograms(self) -> int:
        """Audio segments of the network, A: each channel gives `num_segments` spectrograms."""
        return self.model.audio_segments * self.data_augmentation.audio_image_param.num_segments


def load_config(
    data: str | Path, config: str | Path, overrides: Sequence[str] = (), download: bool = False, run_code: bool = False
) -> Config:
    """Read TSAM's data file and settings file.

    Args:
        data: path of the JSON file with the section `dataset`.
        config: path of the JSON file with all other sections. A path such as config/kinetics400_config.json names the
            file of this package where there is no other one.
        overrides: texts like "model.video_segments=16"; the value is JSON, or else plain text.
        download: whether a `model.arch` hf_hub:OWNER/NAME that is not in the Hub's cache may be fetched.
        run_code: whether the code of a `model.arch` torch_hub:FOLDER:ENTRY may be run.

    Raises:
        ConfigError: with every problem found. No data is opened.
    """
    sections: dict[str, Any] = {}
    problems: list[str] = []
    for path in dict.fromkeys((data, config)):  # tools that need only the data pass its file twice
        try:
            found = _read_json(path)
        except ConfigError as error:
            problems += error.problems
            continue
        problems += [f"{path}: {name} is also in {data}" for name in found if name in sections and name != "help"]
        sections |= found
    if problems:
        raise ConfigError(problems)
    problems = _apply(overrides, sections)
    if isinstance(model := sections.get("model"), dict):
        sections["model"], problem = hub_backbone(model, download, run_code)
        if problem:
            raise ConfigError([*problems, problem])
    return config_from_dict(sections, problems)


def change_config(config: Config, data: str | Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """The settings of a trained network with other data: `data` and `overrides` as for `load_config`.

    Raises:
        ConfigError: with every problem found.
    """
    sections = config.to_dict()
    if data:
        del sections["dataset"]
        sections |= _read_json(data)
    return config_from_dict(sections, _apply(overrides, sections))


def check_changes(data: str | Path | None, overrides: Sequence[str]) -> None:
    """Raise ConfigError for wrong arguments of `change_config`, whatever settings they change."""
    sections = _read_json(data) if data else {"dataset": {"data_dir": ""}}
    config_from_dict(sections, _apply(overrides, sections), complete=False)


def config_from_dict(sections: dict[str, Any], problems: Sequence[str] = (), complete: bool = True) -> Config:
    """Nested dicts, as in the JSON files -> Config; raises ConfigError with all problems, the given ones first.

    Without `complete`, contradictions are not checked, as missing settings may have other values.
    """
    sections = _without_help(sections)
    problems = [*problems, *(_unknown_keys(Config, sections) if isinstance(sections, dict) else ())]
    try:
        config = pydantic.TypeAdapter(Config).validate_json(json.dumps(sections), strict=True)
    except pydantic.ValidationError as error:
        raise ConfigError([*problems, *map(_explain, error.errors())]) from None
    problems += _contradictions(config) if complete else ()
    if problems:
        raise ConfigError(problems)
    return config


def _read_json(path: str | Path) -> dict[str, Any]:
    try:
        sections = _from_json(read_text(here_or_shipped(path)))
    except ListError as error:
        where = "" if Path(path).exists() or Path(path).is_absolute() else f"; it is relative to {Path.cwd()}"
        raise ConfigError([problem + where for problem in error.problems]) from error
    except ValueError as error:  # not JSON: the message says where
        raise ConfigError([f"{path}: not a JSON file ({error})"]) from error
    if not isinstance(sections, dict):
        raise ConfigError([f"{path}: expected an object with sections, got {type(sections).__name__}"])
    return sections


def _from_json(text: str) -> Any:
    """Raise ValueError for invalid JSON, also for NaN, infinity and duplicate keys, which Python's parser accepts."""
    return json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_number)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{max(found, key=keys.count)!r} occurs twice in one section")
    return found


def _apply(overrides: Sequence[str], sections: dict[str, Any]) -> list[str]:
    """Set each `section.key=value` in place; returns the errors."""
    return [error for override in overrides if (error := _apply_one(override, sections))]


def _apply_one(override: str, sections: dict[str, Any]) -> str:
    name, separator, text = override.partition("=")
    if not separator:
        return f"--set {override}: expected section.key=value"
    *folders, key = name.strip().split(".")
    for folder in folders:
        sections = sections.setdefault(folder, {})
        if not isinstance(sections, dict):
            return f"--set {override}: {folder} is a value, not a section"
    try:
        sections[key] = _from_json(text)
    except ValueError:
        sections[key] = text
    return ""


def _unknown_keys(section: type, values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Keys of `values` that the dataclass `section` does not have, each with the nearest name."""
    known = _members(section)
    for key, value in values.items():
        if key not in known:
            yield f"unknown key {prefix}{key}{_nearest(key, prefix, known)}"
        elif (inner := known[key]) and isinstance(value, dict):
            yield from _unknown_keys(inner, value, f"{prefix}{key}.")


def _members(section: type) -> dict[str, type | None]:
    """The keys of a section; those that are sections themselves with their class."""
    types = {item.name: item.type for item in fields(section)}
    return {key: kind if isinstance(kind, type) and is_dataclass(kind) else None for key, kind in types.items()}


def _nearest(key: str, prefix: str, known: Iterable[str]) -> str:
    here = difflib.get_close_matches(key, list(known), 1, cutoff=0.5)
    if here:
        return f"; did you mean {prefix}{here[0]}?"
    paths = {name.rpartition(".")[2]: name for name in setting_names()}  # the key may be in the wrong section
    elsewhere = difflib.get_close_matches(key, paths, 1, cutoff=0.8)
    if elsewhere:
        return f"; did you mean {paths[elsewhere[0]]}?"
    return f"; known here: {', '.join(known)}"


def setting_names(section: type = Config, prefix: str = "") -> list[str]:
    """The dotted name of every setting."""
    names = []
    for key, inner in _members(section).items():
        names += setting_names(inner, f"{prefix}{key}.") if inner else [prefix + key]
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
    """Names that timm does not know, and settings that are valid alone, but not together."""
    yield from filter(None, (network_problem(config.model), optimizer_problem(config.optimizer_param.name)))
    yield from task_problems(config.dataset, config.training_param)
    images = config.data_augmentation
    spec, size = images.audio_image_param.spec_size, images.video_image_param.output_size
    if config.model.audio_segments and spec != (3, size, size):
        yield (
            f"data_augmentation.audio_image_param.spec_size: {list(spec)} does not fit video_image_param.output_size "
            f"{size}; spectrograms and frames use the same backbone, so it must be [3, {size}, {size}]"
        )
    yield from sampling_problems(config.model, config.dataset, config.pipeline.source)
    silenced = images.video_augmentation.modality_dropout, images.audio_augmentation.modality_dropout
    if any(silenced) and not config.model.audio_segments:
        yield "data_augmentation: modality_dropout is for networks with audio, but model.audio_segments is 0"
    if sum(silenced) > 1:
        yield f"data_augmentation: modality_dropout of frames and of audio, {silenced[0]} + {silenced[1]}, are above 1"
    if config.pipeline.source == "frames" and config.pipeline.decode == "gpu_whole":
        yield "pipeline.decode: gpu_whole is for videos, but pipeline.source is frames; choose cpu or gpu"
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
