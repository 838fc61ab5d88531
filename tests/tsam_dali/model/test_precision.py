"""What training sets for a GPU; nothing for a CPU."""

import pytest
import torch

from tsam_dali.model.precision import tune_gpu


@pytest.fixture
def own_settings():
    kept = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()
    yield
    torch.backends.cudnn.benchmark = kept[0]
    torch.set_float32_matmul_precision(kept[1])


@pytest.mark.usefixtures("own_settings")
def test_kernels_are_tried_on_a_gpu_alone():
    tune_gpu(torch.device("cpu"))
    assert (torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()) == (False, "highest")
    tune_gpu(torch.device("cuda:0"))
    assert (torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()) == (True, "high")
