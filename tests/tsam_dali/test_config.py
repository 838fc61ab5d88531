"""The two JSON files: TSAM's load as they are, mistakes are named, all of them at once."""

import json
import re
from pathlib import Path

import pytest
import torch

from tests.helpers.processes import ROOT, run
from tsam_dali.config import load_config
from tsam_dali.config.load import Config, ConfigError, config_from_dict, setting_names
from tsam_dali.distributed import Job
from tsam_dali.training.cautions import cautions

CONFIG = Path(__file__).resolve().parent.parent.parent / "config"

# The structure of TSAM's own files: sections, keys and the values in which they differ.
TSAM_DATA = {
    "test": ("example/videos4test", "frames", "{:05d}.jpg"),
    "k400": ("/data/kinetics/k400/", "frames_fps", "{:06d}.jpg"),
    "something_v1": ("/data/something/v1/", "frames", "{:05d}.jpg"),
}
TSAM_CONFIG = {  # flip, jitter, grey, video segments, audio segments, epochs, batch, workers, lr, lr_decay
    "test": (True, False, 0.0, 4, 0, 50, 3, 40, 5.0e-2, [0.1, 5, 0.01, 25, 0.001, 45]),
    "k400": (True, True, 0.2, 16, 1, 50, 64, 20, 5.0e-2, [0.2, 5, 0.01, 30, 0.002, 45]),
    "something_v1": (False, True, 0.2, 16, 0, 35, 64, 20, 1.0e-1, [0.1, 20, 0.01, 30, 0.005, 33]),
}


def tsam_files(folder: Path, name: str) -> tuple[Path, Path]:
    """TSAM's data file and settings file of one data set."""
    data_dir, frames, template = TSAM_DATA[name]
    dataset = {
        "name": name,
        "data_dir": data_dir,
        "dir_videos": "videos",
        "dir_frames": frames,
        "dir_audios": "audios",
        "file_train_list": "training.txt",
        "file_val_list": "validation.txt",
        "frames_tmpl": template,
    }
    flip, jitter, grey, video_segments, audio_segments, epochs, batch, workers, rate, decay = TSAM_CONFIG[name]
    settings = {
        "help": "comment text goes here...",
        "data_augmentation": {
            "video_image_param": {"input_size": 256, "output_size": 224},
            "video_augmentation": {
                "RandomHorizontalFlip": flip,
                "scales": [1, 0.875, 0.75, 0.66],
                "ColorJitter": jitter,
                "RandomGrayscale": grey,
                "GaussianBlur": False,
            },
            "audio_image_param": {
                "window_sizes": [25, 50, 100],
                "hop_sizes": [10, 25, 50],
                "n_mels": 224,
                "eps": 1e-6,
                "spec_size": [3, 224, 224],
                "num_segments": 1,
                "m_segments": 1,
            },
            "audio_augmentation": {"status": True, "random_shift_waveform": [1.0, 1.0]},
        },
        "model": {
            "video_segments": video_segments,
            "audio_segments": audio_segments,
            "arch": "resnet50_timm",
            "pretrain": "imagenet",
            "dropout": 0.5,
        },
        "shift_temporal": {"status": True, "f_div": 4, "shift_depth": 4, "n_insert": 2, "m_insert": 0},
        "training_param": {"epochs": epochs, "batch_size": batch, "num_workers": workers},
        "optimizer_param": {"lr": rate, "lr_decay": decay, "momentum": 0.9, "gd": 20, "weight_decay": 1e-4},
        "save_epoch": [90],
        "results_folder": "results",
    }
    files = folder / f"{name}_data.json", folder / f"{name}_config.json"
    files[0].write_text("\n" + json.dumps({"help": "comment text goes here...", "dataset": dataset}))
    files[1].write_text("\n" + json.dumps(settings, indent="\t"))
    return files


@pytest.fixture
def files(tmp_path):
    return tsam_files(tmp_path, "k400")


def problems(files, *overrides) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(*files, overrides)
    return caught.value.problems


@pytest.mark.parametrize("name", list(TSAM_DATA))
def test_tsams_files_load_unmodified(tmp_path, name):
    config = load_config(*tsam_files(tmp_path, name))
    expected = TSAM_CONFIG[name]
    look, param = config.data_augmentation.video_augmentation, config.training_param
    assert config.dataset.data_dir == TSAM_DATA[name][0]
    assert (look.RandomHorizontalFlip, look.ColorJitter, look.RandomGrayscale) == expected[:3]
    assert (config.model.video_segments, config.model.audio_segments) == expected[3:5]
    assert (param.epochs, param.batch_size, param.num_workers, config.optimizer_param.lr) == expected[5:9]
    assert list(config.optimizer_param.lr_decay) == expected[9]
    assert config.data_augmentation.audio_image_param.window_sizes == (25, 50, 100)
    assert (config.save_epoch, config.results_folder) == ((90,), "results")


@pytest.mark.parametrize("name", ["example", "kinetics400", "something_v1"])
def test_the_files_in_config_load(name):
    load_config(CONFIG / f"{name}_data.json", CONFIG / f"{name}_config.json")


def test_settings_survive_a_round_trip(files):
    config = load_config(*files)
    assert config_from_dict(config.to_dict()) == config


def test_overrides(files):
    config = load_config(
        *files,
        ["model.arch=resnet18", "model.video_segments=4", "optimizer_param.lr_decay=[0.5, 3]", "model.dropout=0"],
    )
    assert (config.model.arch, config.model.video_segments, config.model.dropout) == ("resnet18", 4, 0)
    assert config.optimizer_param.lr_decay == (0.5, 3)


def test_all_mistakes_are_named_at_once(files):
    found = problems(
        files,
        "model.vidoe_segments=4",
        "modle.arch=resnet18",
        "training_param.lr=0.1",
        "training_param.epochs=0",
        'training_param.batch_size="64"',
        "shift_temporal.edge=wrap",
        "model",
        "save_epoch.x=1",
    )
    assert found == [
        "--set model: expected section.key=value",
        "--set save_epoch.x=1: save_epoch is a value, not a section",
        "unknown key model.vidoe_segments; did you mean model.video_segments?",
        "unknown key training_param.lr; did you mean optimizer_param.lr?",
        "unknown key modle; did you mean model?",
        "shift_temporal.edge: input should be 'keep' or 'zero', got \"wrap\"",
        "training_param.epochs: input should be greater than or equal to 1, got 0",
        'training_param.batch_size: input should be a valid integer, got "64"',
    ]


def test_settings_that_do_not_fit_each_other(files):
    found = problems(
        files,
        "data_augmentation.video_image_param.output_size=112",
        "shift_temporal.m_insert=2",
        "optimizer_param.lr_decay=[0.1, 5, 0.01]",
        "training_param.accumulate=3",
    )
    names = [problem.split(":")[0].split(".")[-1] for problem in found]
    assert names == ["spec_size", "m_insert", "lr_decay", "accumulate"]
    assert "must be [3, 112, 112]" in found[0]


def test_a_file_that_is_missing_or_no_json(tmp_path, files):
    broken = tmp_path / "broken.json"
    broken.write_text('{"dataset": {,}}')
    first, second = problems((tmp_path / "none.json", broken))
    assert "none.json: cannot be read (No such file" in first
    assert "broken.json: not a JSON file" in second
    assert "line 1 column" in second
    broken.write_text("[1]")
    assert "expected an object" in problems((files[0], broken))[0]


def test_what_stands_twice_or_is_no_number(tmp_path, files):
    both = tmp_path / "both.json"
    both.write_text('{"help": "x", "dataset": {"data_dir": "elsewhere"}}')
    assert problems((files[0], both)) == [f"{both}: dataset is also in {files[0]}"]
    assert load_config(both, both).dataset.data_dir == "elsewhere"  # one file, named twice
    for text, message in [
        ('{"model": {}, "model": {}}', "'model' occurs twice"),
        ('{"save_epoch": NaN}', "NaN is not"),
    ]:
        both.write_text(text)
        assert message in problems((files[0], both))[0]
    scales = "data_augmentation.video_augmentation.scales"
    assert problems(files, "optimizer_param.lr=Infinity", f"{scales}=[]") == [
        f"{scales}: tuple should have at least 1 item after validation, not 0, got []",
        'optimizer_param.lr: input should be a valid number, got "Infinity"',
    ]


def test_a_missing_section_is_named(tmp_path):
    empty = tmp_path / "empty.json"
    empty.write_text("{}")
    assert problems((empty, empty)) == ["dataset: missing"]


def test_every_setting_is_documented():
    """Each field of each section has a docstring under it (sections themselves have one of their class)."""
    root = CONFIG.parent
    text = "\n".join(
        path.read_text() for package in ("pipelines", "tsam_dali") for path in (root / package).rglob("*.py")
    )
    for name in setting_names(Config):
        field = name.rpartition(".")[2]
        assert re.search(rf'^    {field}: .*\n    """', text, re.MULTILINE), name


def test_the_page_of_settings_is_up_to_date():
    page = run("tools/list_settings.py", fresh=True)
    assert page.returncode == 0, page.stderr
    assert (CONFIG.parent / "docs/settings.md").read_text() == page.stdout
    assert re.findall(r"`(\w+)` \| text \| required", page.stdout) == ["data_dir"]


def test_a_missing_settings_file_says_from_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"config/no.json: cannot be read .*; it is relative to {tmp_path}"):
        load_config("config/no.json", "config/no.json")


@pytest.mark.parametrize("sections", [[], None, "x", 3])
def test_settings_that_are_no_object_are_an_error(sections):
    """As a damaged checkpoint, or the config.json of a damaged export, may hold them."""
    with pytest.raises(ConfigError):
        config_from_dict(sections)


def test_the_settings_for_few_clips_have_nothing_to_warn_of():
    config = load_config(CONFIG / "example_data.json", CONFIG / "few_clips_config.json")
    steps = config.training_param.epochs * (200 // config.training_param.batch_size)
    job = Job(0, 1, 1, torch.device("cpu"))
    assert not list(cautions(torch.nn.BatchNorm2d(3), config.training_param, job, steps))


def test_the_files_of_config_are_found_from_any_folder_unless_there_are_others(own_folder):
    data, config = "config/kinetics400_data.json", "config/kinetics400_config.json"
    assert load_config(data, config) == load_config(ROOT / data, ROOT / config)
    (own_folder / "config").mkdir()
    (own_folder / data).write_text('{"dataset": {"data_dir": "mine"}}')
    assert load_config(data, config).dataset.data_dir == "mine"
    for other in ("config/none.json", "elsewhere/kinetics400_data.json", "kinetics400_data.json"):
        with pytest.raises(ConfigError, match=f"{other}: cannot be read"):
            load_config(other, config)
