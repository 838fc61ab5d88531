"""The program computes what it computed before: frames, log-mels, batches, logits and twenty steps of training.

Figures in same_bits.json hold on any machine, within a tolerance; digests are compared where processor and PyTorch are
those of that file. After a change that is meant to change figures: `python -m tests.test_same_bits` writes it anew.
old_checkpoint.xz is of an earlier version and stays: step 16 of this training, its weights cut to signs to be small.
"""

import hashlib
import json
import lzma
import os
import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np
import soundfile
import torch
from threadpoolctl import threadpool_limits

from pipelines.decode import decode_frames
from pipelines.loader import build_loader
from pipelines.mel import log_mel_picture
from pipelines.sampling import training_frames, validation_frames
from tests.helpers.processes import start
from tsam_dali.config import load_config
from tsam_dali.model import build_model

REFERENCE = Path(__file__).with_name("same_bits.json")
OLD_CHECKPOINT = Path(__file__).with_name("old_checkpoint.xz")
CLIPS, EPOCHS = 8, 5  # of which two make a batch: 20 steps
SECTIONS = {
    "model": {"arch": "test_resnet", "video_segments": 2, "audio_segments": 1, "pretrain": "none"},
    "training_param": {"epochs": EPOCHS, "batch_size": 2, "amp": "off", "seed": 1, "log_steps": 1},
    "optimizer_param": {"lr": 2e-3},  # small, so that another order of sums changes little
    "save_epoch": [4],
    "pipeline": {"decode": "cpu", "workers": 0},
    "data_augmentation": {
        "video_image_param": {"output_size": 32},
        "audio_image_param": {"n_mels": 16, "spec_size": [3, 32, 32]},
    },
}


def write_data(folder: Path) -> list[Path]:
    """Lossless videos, audio and lists, the same on every machine; the two files of settings."""
    rng = np.random.default_rng(0)
    for i in range(CLIPS):
        path = folder / f"videos/{i}.mkv"
        path.parent.mkdir(exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(9):
                planes = rng.integers(40, 200, (72, 64), np.uint8)  # 48 rows of Y, 24 of U and V
                container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
            container.mux(stream.encode(None))
        (folder / "audios").mkdir(exist_ok=True)
        soundfile.write(folder / f"audios/{i}.wav", 0.2 * rng.standard_normal((14400, 2)), 16000, "PCM_16")
    for name in ("training.txt", "validation.txt"):
        (folder / name).write_text("".join(f"{i} {i % 2}\n" for i in range(CLIPS)))
    (folder / "data.json").write_text(json.dumps({"dataset": {"data_dir": str(folder)}}))
    (folder / "config.json").write_text(json.dumps(SECTIONS | {"results_folder": str(folder / "results")}))
    return [folder / "data.json", folder / "config.json"]


def measure(folder: Path) -> dict[str, object]:
    """{"figures": name -> numbers, "digests": name -> SHA-256, "machine": text}."""
    with threadpool_limits(1):  # sums of several threads have other last bits
        return _measure(folder)


def _measure(folder: Path) -> dict[str, object]:
    files = write_data(folder)
    config, rng = load_config(*files), np.random.default_rng(5)
    found = {"frames": decode_frames(folder / "videos/3.mkv", [7, 0, 3, 3])}
    found["sampled"] = np.array([training_frames(n, 8, rng) for n in (3, 9, 300)] + [validation_frames(30, 8)])
    found["log_mel"] = log_mel_picture(folder / "audios/3.wav", config.data_augmentation.audio_image_param, 2)
    (folder / "old").write_bytes(lzma.decompress(OLD_CHECKPOINT.read_bytes()))
    train = ["-m", "tsam_dali.train", "--device", "cpu", "--run_id"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    resume = [*train, "resumed", "--resume", folder / "old", "--force"]
    for command in (["tools/precompute_audio.py"], [*train, "run"], resume):
        words = [*command, "--data", files[0], "--config", files[1]]
        with start(*words, env=environment, stderr=subprocess.PIPE, text=True) as process:
            _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    for name in ("run", "resumed"):
        records = map(json.loads, (folder / f"results/{name}/metrics.jsonl").read_text().splitlines())
        found[f"loss, {name}"] = np.array([record["loss"] for record in records if record["kind"] == "steps"])
    batch = next(iter(build_loader(config, "training")))
    found |= {"video": batch.video.numpy(), "audio": batch.audio.numpy(), "row": batch.row.numpy()}
    model, generator = build_model(config, 2).double().eval(), torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.05, generator=generator)
        found["logits"] = model(batch.video.double(), batch.audio.double()).numpy()
    flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    means = {name: np.resize(array, (-(-array.size // 24), 24)).mean(0).tolist() for name, array in found.items()}
    digests = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in found.items()}
    limits = f"{torch.backends.cpu.get_cpu_capability()} {os.environ.get('ONEDNN_MAX_CPU_ISA', '')}"
    machine = f"torch {torch.__version__}, av {av.__version__}, {limits}, {flags}"
    return {"figures": means, "digests": digests, "machine": machine}


def test_everything_is_as_it_was(tmp_path):
    expected, found = json.loads(REFERENCE.read_text()), measure(tmp_path)
    tolerance = {
        "frames": 1.0,
        "video": 0.01,
        "log_mel": 1e-4,
        "audio": 1e-2,
        "loss, run": 0.1,
        "loss, resumed": 0.1,
        "logits": 1e-3,
    }
    for name, figures in expected["figures"].items():
        np.testing.assert_allclose(found["figures"][name], figures, atol=tolerance.get(name, 0), rtol=0, err_msg=name)
    if found["machine"] == expected["machine"]:
        assert found["digests"] == expected["digests"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        REFERENCE.write_text(json.dumps(measure(Path(folder)), indent=1) + "\n")
