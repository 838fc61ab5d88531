"""report.html opens from disk in a browser, with its pictures and without a network."""

import base64
import html
import json
import logging
import re
import shutil
import subprocess

import numpy as np
import pytest

from pipelines.sampling.plan import Crop, Plan
from tests.tsam_dali.runs.test_metrics_log import epoch, settings, window
from tsam_dali.report.mistakes import Mistake
from tsam_dali.report.parts import image_source, png_source
from tsam_dali.report.sections import InputClip
from tsam_dali.runs.metrics_log import RunLog
from tsam_dali.runs.report import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NASTY = "<script>alert('x')</script>&\"name\""
PROBE_HEAD = (
    "<script>errors = []; addEventListener('error', e => errors.push(String(e.message || e.target.src)), true)</script>"
)
PROBE_END = """<script>addEventListener('load', () => { document.title = JSON.stringify({errors,
widths: [...document.images].map(i => i.naturalWidth), scripts: document.scripts.length,
loads: performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))}) })</script>"""
CURVES = base64.b64decode(image_source(np.zeros((3, 4, 13), np.uint8)).partition(",")[2])


def report(folder, classes, clips=3, **changed):
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 104).astype(np.uint8)
    frames = np.stack(
        [np.stack([np.roll(np.tile(ramp, (104, 1)), 20 * s + 30 * c, 1) for c in range(3)]) for s in range(4)]
    )
    spectrograms = np.tile(ramp[::-1, None], (1, 3, 1, 104))
    names = [NASTY, *(f"class {i}" for i in range(1, classes))]
    log = RunLog(folder, first_step=0, config=settings(), trackers=[])
    for number in range(4):
        for step in range(10):
            log.steps(window(40 * number + 4 * step + 4, loss=3 / (1 + number + step / 10), gradient_norm=float("nan")))
        log.epoch(epoch(number, 40 * (number + 1)))
    log.close()
    (folder / "curves.png").write_bytes(CURVES)
    (folder / "args.json").write_text(json.dumps({"model": {"arch": NASTY}}))
    plan = Plan(frames=np.array([3, 17, 30, 44]), crop=Crop(0, 40, 240, 210), flip=True, audio_cut=(0.2, 0.51))
    matrix = rng.poisson(0.05, (classes, classes)) + np.diag(rng.poisson(8, classes))
    given = {
        "class_names": names,
        "confusion": matrix,
        "mistakes": [Mistake(5.0 - i, i, 0, 1, 0.93, frames, spectrograms) for i in range(clips)],
        "clip_ids": [f"folder/{NASTY}{i}" for i in range(clips)],
        "inputs": [InputClip(f"{NASTY} clip {i}", frames, spectrograms if i else None, plan) for i in range(clips)],
    }
    write_report(folder, **given | changed)
    return (folder / "report.html").read_text()


def browse(page, *options):
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--enable-logging=stderr", f"--user-data-dir={page.parent / 'profile'}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize("classes", [5, 400])
def test_the_page_opens_in_a_browser(tmp_path, classes):
    text = report(tmp_path, classes)
    probed = text.replace("<head>", f"<head>{PROBE_HEAD}").replace("</body>", f"{PROBE_END}</body>")
    (tmp_path / "probed.html").write_text(probed)
    done = browse(tmp_path / "probed.html", "--dump-dom", "--virtual-time-budget=10000")
    found = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)[1]))
    assert found["errors"] == []
    assert found["loads"] == []
    assert found["scripts"] == 2  # the two of the probe
    assert len(found["widths"]) == 3 + 3 * 4 + 2 + 3 * 5  # plots; input frames and spectrograms; mistakes
    assert all(width > 0 for width in found["widths"])
    assert "CONSOLE" not in done.stderr


def test_everything_is_in_the_page_and_escaped(tmp_path):
    text = report(tmp_path, 5)
    assert "<script" not in text
    assert html.escape("<script>alert(") in text
    assert png_source(CURVES) in text
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", text)
    for words in ("frame 44", "crop 210 x 240 at x 40, y 0", "mirrored", "audio cut by 0.20 s and 0.51 s", "(93%)"):
        assert words in text


def test_classes_stand_worst_first(tmp_path):
    matrix = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 2]])
    text = report(tmp_path, 3, class_names=["cat", "dog", "owl"], confusion=matrix, mistakes=[])
    table = text[text.index("<table>") : text.index("</table>")]
    assert re.findall(r"<td>(cat|dog|owl)</td>", table) == ["owl", "cat", "dog"]
    assert "cat (2)" in table
    assert "50.0 %" in table
    assert "no clips" in table


def test_what_cannot_be_drawn_is_a_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        text = report(tmp_path, 3, confusion=None)
    assert "Confusion could not be drawn" in caplog.text
    assert "could not be drawn" in text
    assert "Worst mistakes" in text
    (tmp_path / "none").write_text("a file where the run's folder should be")
    with caplog.at_level(logging.WARNING):
        write_report(tmp_path / "none", class_names=[], confusion=None, mistakes=[], clip_ids=[], inputs=[])
    assert "report.html could not be written" in caplog.text
