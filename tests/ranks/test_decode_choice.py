"""What rank 0's check of its GPU finds holds for all ranks."""

from tests.helpers.processes import TORCHRUN, run


def test_all_ranks_follow():
    done = run(*TORCHRUN, 2, "-m", "tests.ranks.decode_choice")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["rank 0: gpu, it is right", "rank 1: gpu, it is right"]
