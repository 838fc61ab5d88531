"""A small data set and its features, made once."""

import pytest

from tests.helpers.checkpoints import checkpoint
from tests.helpers.processes import called
from tests.tsam_dali.probe.feature_data import SMALL, write_data
from tsam_dali.embed import main


@pytest.fixture(scope="package")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("clips") / "data")


@pytest.fixture(scope="package")
def trained(tmp_path_factory):
    """A checkpoint of other classes than those of the data."""
    return checkpoint(tmp_path_factory.mktemp("trained") / "best")


@pytest.fixture(scope="package")
def whole(data, trained, tmp_path_factory):
    """The features, written at one go."""
    out = tmp_path_factory.mktemp("features") / "whole"
    done = called(main, "--data", data, "--checkpoint", trained, out, *SMALL)
    assert done.returncode == 0, done.stderr
    assert f"{out}: 24 clips, 512 features of 3 frames and 1 audio segment" in done.stdout
    return out
