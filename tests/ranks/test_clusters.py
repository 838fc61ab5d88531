"""Several machines: two torchrun agents in place of two nodes, the Slurm files with stand-ins for Slurm's commands."""

import configparser
import json
import os
import re
import socket
import subprocess
import sys
import time

import pytest
import torch

from tests.helpers.processes import ROOT, TORCHRUN, run
from tsam_dali.weights.checkpoint import load_checkpoint

FOLDER = ROOT / "docs/clusters"
SMALL = (
    *("--set", "training_param.batch_size=6", "--set", "training_param.epochs=1", "--set", "pipeline.workers=0"),
    *("--set", "model.video_segments=2", "--set", "model.audio_segments=0", "--set", "model.arch=resnet10t"),
    *("--set", "data_augmentation.video_image_param.output_size=32"),
)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
def test_two_nodes_end_with_the_weights_of_one(example, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # torchrun's default for several ranks on a machine, not for one
    common = ("-m", "tsam_dali.train", "--data", example / "data.json", "--set", f"results_folder={tmp_path}", *SMALL)
    place = ("--rdzv_backend", "c10d", "--rdzv_endpoint", f"127.0.0.1:{free_port()}", "--rdzv_id", "7")
    agent = ("-m", "torch.distributed.run", "--nnodes", 2, "--nproc_per_node", 1, *place)
    command = [sys.executable, *map(str, (*agent, *common, "--run_id", "nodes"))]
    nodes = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [node.communicate(timeout=200)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], errors
    done = run(*TORCHRUN, 2, *common, "--run_id", "one")
    assert done.returncode == 0, done.stderr
    two, one = (load_checkpoint(tmp_path / name / "checkpoints/latest") for name in ("nodes", "one"))
    assert two["step"] == one["step"] == 4
    assert all(torch.equal(tensor, one["model"][name]) for name, tensor in two["model"].items())
    assert two["history"][0]["validation"] == one["history"][0]["validation"]


def test_only_rank_0_reads_lists_and_index(example, tmp_path):
    done = run(*TORCHRUN, 2, "-m", "tests.ranks.reads", example / "data.json", tmp_path)
    assert done.returncode == 0, done.stderr
    reads = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert {"training.txt", "validation.txt", "index.jsonl"} <= set(reads[0]["files"])
    assert reads[1]["files"] == []
    assert reads[0]["clips"] == reads[1]["clips"] == 33
    assert reads[0]["shared"] == reads[1]["shared"] == reads[0]["copied"] == reads[1]["copied"]
    assert set(reads[0]["files of clips"]).isdisjoint(reads[1]["files of clips"])  # a copy on each machine


@pytest.fixture
def slurm(tmp_path):
    """Environment with an `srun` that runs one task here, and an `scontrol` that notes what it is asked for."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    commands = {
        "srun": 'while [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n',
        "scontrol": f'echo "$@" >> {tmp_path}/scontrol.txt\n[ "$1" = show ] && echo localhost && echo node2\nexit 0\n',
    }
    for name, body in commands.items():
        (bin_folder / name).write_text(f"#!/bin/bash\n{body}")
        (bin_folder / name).chmod(0o755)
    job = {"SLURM_JOB_ID": str(free_port() % 10000), "SLURM_NNODES": "1", "SLURM_JOB_NODELIST": "node[1-2]"}
    array = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_CPUS_PER_TASK": "1"}
    path = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHON": sys.executable}
    return os.environ | job | array | path | {"SLURM_JOB_NAME": "job", "RESULTS": str(tmp_path), "RUN_ID": "run"}


@pytest.mark.parametrize("name", ["slurm.sbatch", "index.sbatch"])
def test_batch_files_are_bash(name):
    subprocess.run(["bash", "-n", FOLDER / name], check=True)


def test_the_job_asks_for_its_signal_early_enough_to_save():
    text = (FOLDER / "slurm.sbatch").read_text()
    assert "#SBATCH --requeue" in text
    seconds = int(re.search(r"#SBATCH --signal=B:TERM@(\d+)", text)[1])
    assert 60 <= int(re.search(r"^GRACE=(\d+)", text, re.MULTILINE)[1]) < seconds


@pytest.mark.slow
@pytest.mark.parametrize("restarts", [0, 50])
def test_a_job_that_is_stopped_is_queued_again_but_not_for_ever(example, slurm, tmp_path, restarts):
    slurm = slurm | {"DATA": str(example / "data.json"), "SLURM_RESTART_COUNT": str(restarts)}
    command = ["bash", FOLDER / "slurm.sbatch", *SMALL, "--set", "training_param.epochs=500"]
    job = subprocess.Popen(command, cwd=ROOT, env=slurm, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    metrics, ends = tmp_path / "run/metrics.jsonl", time.monotonic() + 120
    while not (metrics.exists() and metrics.stat().st_size) and job.poll() is None and time.monotonic() < ends:
        time.sleep(0.05)
    job.terminate()  # as Slurm: to the batch shell alone
    output, errors = job.communicate(timeout=120)
    assert "state: preempted" in output, errors
    assert job.returncode != 0
    assert json.loads((tmp_path / "run/status.json").read_text())["step"] > 0
    asked = (tmp_path / "scontrol.txt").read_text().splitlines()
    assert asked[0] == "show hostnames node[1-2]"
    assert asked[1:] == ([] if restarts else [f"requeue {slurm['SLURM_JOB_ID']}"])


def test_a_job_that_cannot_start_is_not_queued_again(slurm, tmp_path):
    """Whatever its status was before: it may have been stopped once."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/status.json").write_text('{"state": "preempted"}')
    (tmp_path / "bin/srun").write_text("#!/bin/bash\nexit 1\n")
    job = subprocess.run(
        ["bash", FOLDER / "slurm.sbatch"], cwd=ROOT, env=slurm, capture_output=True, text=True, check=False
    )
    assert (job.returncode, job.stdout, job.stderr) == (1, "state: none, exit code 1\n", "")
    assert (tmp_path / "scontrol.txt").read_text() == "show hostnames node[1-2]\n"


def test_a_task_of_the_array_takes_its_shard(example, slurm):
    command = ["bash", FOLDER / "index.sbatch"]
    slurm = slurm | {"DATA": str(example / "data.json"), "SLURM_ARRAY_TASK_ID": "2"}
    refused = subprocess.run(command, cwd=ROOT, env=slurm, capture_output=True, text=True, check=False)
    assert "--shard: '2/2': expected i/n" in refused.stderr


def test_the_container_file_fits_the_project():
    lines = [line for line in (FOLDER / "Containerfile").read_text().splitlines() if not line.startswith("#")]
    assert re.fullmatch(r"FROM docker.io/library/python:3\.11\.\d+-slim-\w+", lines[0])
    assert any("NVIDIA_DRIVER_CAPABILITIES=compute,utility,video" in line for line in lines)
    copied = {source for line in lines if line.startswith("COPY") for source in line.split()[1:-1]}
    assert all((ROOT / source).exists() for source in copied)
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert {name.strip("*") for name in setup["options.packages.find"]["include"].split()} <= copied
    assert "cuda12" in setup["options.extras_require"]
    assert any('".[cuda12]"' in line for line in lines)
