"""Tables that are written from the files of results, and figures in the text around them: up to date and true."""

import json
import re
import statistics

import pytest

from benchmarks.documents.tables import DOCUMENTS, end_to_end, load, pays_after, verdict, ways, with_tables
from benchmarks.harness.gpu_use import mean_use
from benchmarks.harness.markdown import grouped, hardware, median, shown, table
from benchmarks.harness.results import FOLDER
from benchmarks.training.end_to_end_variants import (
    COPIES_OURS,
    DECORD,
    JPEG_OURS,
    LONGEST,
    NETWORK,
    TSAM,
    VIDEOS_OURS,
    kilobytes_read,
    total,
)
from tests.helpers.processes import ROOT
from tsam_dali.config.timm_names import FAMILY_NAMES

PAGE = (ROOT / "docs" / "benchmarks.md").read_text()
README = (ROOT / "README.md").read_text()
READING = "loader_cpu_ms_per_clip"
EIGHT, SIXTEEN = ways(load, 8), ways(load, 16)


def section(title: str) -> str:
    """The hand-written text below a heading, in one line."""
    text = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return " ".join(re.sub(r"<!-- table.*?<!-- end -->", "", text, flags=re.DOTALL).split())


def numbers(text: str) -> list[str]:
    return re.findall(r"\d+(?: \d{3})*(?:\.\d+)?", text)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_up_to_date(path):
    assert path.read_text() == with_tables(path.read_text()), "make bench-documents"


def test_the_figures_of_the_demo():
    recorded = json.loads((FOLDER / "demo.json").read_text())
    runs = [run["accuracy"] for run in recorded["figures"] if run["variant"] == "shift and audio"]
    text = " ".join(README.split())
    assert (
        f"Of {len(runs)} runs (ten seeds, one and two threads, float32 and bf16, three with AVX2 alone; AMD EPYC)"
        in text
    )
    assert f"the worst reached {100 * min(runs):.1f} %, the median {100 * statistics.median(runs):.1f} %" in text
    assert recorded["hardware"]["cpu"].startswith("AMD EPYC")


def test_the_figures_of_the_verdict():
    """Every number in the text below the table, in its order."""
    videos, copies, jpegs, tsam = (EIGHT[name] for name in (VIDEOS_OURS, COPIES_OURS, JPEG_OURS, TSAM))
    for comparison in grouped(load("end_to_end"), "kind")["comparison"]:
        assert (comparison["least_epochs_with_less_cpu"], comparison["most_epochs_with_less_cpu"]) == (1, LONGEST)
    reading = [median(ways[COPIES_OURS], READING) / median(ways[JPEG_OURS], READING) for ways in (EIGHT, SIXTEEN)]
    making, part = (copies[key] / jpegs[key] for key in ("preparation_cpu_seconds_per_clip", "kilobytes_per_clip"))
    files = [way["files_per_clip"] for way in (copies, jpegs)]
    pays = [pays_after(videos, way) for way in (jpegs, copies)]
    expected = [1, LONGEST, making, reading[0], 8, reading[1], 16, 100 * part, *files]
    expected += [min(pays) - 1, pays[1]]
    text = section("Verdict: videos, training copies or JPEG frames")
    assert numbers(text.partition("- **Training copies**")[2]) == [shown(number) for number in expected]
    least = min(way["preparation_cpu_seconds_per_clip"] for way in (videos, copies, jpegs, tsam))
    assert least == videos["preparation_cpu_seconds_per_clip"]


def test_the_arithmetic_of_what_a_gpu_needs():
    text, images, clips = section("What a GPU needs"), 17, 240_000
    for rate in (3000, 8000):
        seconds = [median(SIXTEEN[name], "loader_cpu_ms_per_clip") / 1000 for name in (COPIES_OURS, VIDEOS_OURS, TSAM)]
        cores = [shown(rate / images * each) for each in seconds]
        assert re.search(r"{}\D+{}\D+{}\b".format(*cores), text), cores
    fed = [shown(7 * 1000 / SIXTEEN[name]["decoded_frames_per_clip"] * images) for name in (COPIES_OURS, VIDEOS_OURS)]
    assert "feed {} images/s from training copies and {} from videos".format(*fed) in text
    for name in (COPIES_OURS, VIDEOS_OURS, TSAM):
        way = EIGHT[name]
        hours = shown(clips * way["preparation_cpu_seconds_per_clip"] / 3600)
        assert f"{hours} core hours and {shown(clips * way['kilobytes_per_clip'] / 1e9)} TB" in text


def test_other_figures_of_the_page():
    store = next(figure for figure in load("audio")["figures"] if figure.get("way") == "log-mel store")
    assert f"at most {store['max_difference']} in ln(power), {store['mean_difference']} on average" in PAGE
    differ = {(f["decoder"].split(",")[0], f["clips"]) for f in load("decode")["figures"] if f["max_difference"]}
    assert differ == {("video_reader-rs", "raw"), ("video_reader-rs", "copies"), ("torchcodec", "copies")}
    faults = load("faults")["figures"]
    kinds = [figure["kind"] for figure in faults]
    damaged = sum(figure.get("damaged", 0) + figure.get("videos", 0) for figure in faults)
    stops = kinds.count("SIGTERM") + kinds.count("SIGUSR1")
    assert f"in {kinds.count('kills')} kills, {stops} stops and {shown(damaged)} damaged files" in section("Faults")
    assert FAMILY_NAMES in section("Backbones")


def test_the_readme_names_the_machines_of_its_table():
    named = " ".join(README.split())
    for name in ("end_to_end", "decode", "audio", "step", "faults"):
        assert hardware(load(name)) in named


def test_what_was_not_measured_on_a_gpu_is_said():
    measured = bool(list((FOLDER / "gpu").glob("*.json")))
    assert ("Nothing was measured on a GPU" in PAGE) is not measured


def way(name, prepare=1.0, size=1000.0, files=1.0, cost=100.0):
    """A figure of benchmarks.training.end_to_end."""
    measured = {"loader_cpu_ms_per_clip": cost, "training_cpu_ms_per_clip": 2 * cost}
    return {
        **{"kind": "way", "segments": 8, "way": name, "missing": None, "decoded_frames_per_clip": 50.0},
        **{"preparation_cpu_seconds_per_clip": prepare, "kilobytes_per_clip": size, "files_per_clip": files},
        **{key: {"median": value, "q1": value, "q3": value} for key, value in (measured | {"data_wait": 0.5}).items()},
    }


MADE_UP = [
    way(TSAM, prepare=0.6, size=3000, files=101, cost=20),
    way(JPEG_OURS, prepare=0.7, size=3000, files=101, cost=27),
    way(VIDEOS_OURS, prepare=0.2, cost=180),
    way(COPIES_OURS, prepare=3.2, size=900, cost=27),
    {"kind": "way", "segments": 8, "way": DECORD, "missing": "not installed"},
    way(NETWORK),
]


def test_tables_of_made_up_figures():
    text = "before\n<!-- table: verdict -->\nold\n<!-- end -->\nafter"
    written = with_tables(text, lambda _: {"figures": MADE_UP})
    assert written.startswith("before\n<!-- table: verdict -->\n\n| way |")
    assert written.endswith("|\n\n<!-- end -->\nafter")
    # Frames: 0.5 s more to prepare by 0.153 s saved each time; copies: 3 s by 0.153 s.
    assert "| JPEG frames, ours | 0.7 | 3 000 | 101 | 27 | 4 |" in written
    assert "| training copies, ours | 3.2 | 900 | 1 | 27 | 20 |" in written
    trained = end_to_end(lambda _: {"figures": [*MADE_UP, way(VIDEOS_OURS) | {"segments": 16}]})
    assert "decord2" not in trained
    assert "| 8 | videos, ours | 50 | 180 | 360 | 50% |" in trained
    assert "| 16 | videos, ours | 50 | 100 | 200 | 50% |" in trained
    with pytest.raises(ValueError, match="training copies, ours: loading takes no less CPU time"):
        verdict(lambda _: {"figures": [*MADE_UP[:3], way(COPIES_OURS, cost=180)]})


def test_numbers_are_short():
    assert [shown(x) for x in (None, "a", 0.01234, 12.34, 123.4, 98765, 1234567)] == (
        ["–", "a", "0.0123", "12.3", "123", "98 800", "1 230 000"]
    )
    assert table("a | b", [(1, None)]) == "| a | b |\n| --- | --- |\n| 1 | – |"


def test_preparation_is_summed_up():
    parts = {
        "training copies": {"seconds_per_clip": 2.0, "kilobytes_per_clip": 10.0},
        "index": {"seconds_per_clip": 0.5, "kilobytes_per_clip": 1.0},
        "log-mel store": {"seconds_per_clip": 0.25, "kilobytes_per_clip": 100.0},
    }
    assert total(COPIES_OURS, "made", parts) == {"seconds_per_clip": 2.75, "kilobytes_per_clip": 111.0}


def test_of_jpeg_frames_the_wanted_ones_are_read():
    parts = {
        "JPEG frames, 10 fps, height 256": {"files_per_clip": 100.0, "kilobytes_per_clip": 3000.0},
        ".wav files": {"files_per_clip": 1.0, "kilobytes_per_clip": 1700.0},
    }
    assert kilobytes_read(TSAM, parts, 16) == 16 * 30 + 1700
    assert kilobytes_read(TSAM, parts, 200) == 4700


def test_what_nvidia_smi_says_is_averaged():
    assert mean_use("10, 50, [N/A]\n30, 70, [N/A]\n") == {"gpu_use": 20.0, "decoder_use": 60.0}
    assert mean_use("") == {}
