"""Losses and scores of labels and numbers, against PyTorch and scikit-learn."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, f1_score, mean_absolute_error, r2_score, roc_auc_score

from pipelines.dataset.clips import Clip
from pipelines.dataset.targets import Labels, Number, Numbers
from pipelines.loader import Batch
from tests.tsam_dali.training.test_engine import JOB, Network
from tsam_dali.config.load import Config, config_from_dict
from tsam_dali.config.sections import TrainingParam
from tsam_dali.runs.run import is_better
from tsam_dali.training.engine import train_one_epoch
from tsam_dali.training.loss import Targets, ccc_losses, label_losses, number_losses
from tsam_dali.training.mixup import mix
from tsam_dali.training.scores import best_thresholds, concordance
from tsam_dali.training.state import build_train_state
from tsam_dali.training.tasks import LabelTask, NumberTask, loss_weights

EXACT = pytest.approx
LABELS = Labels(("a", "b", "c"))
NUMBERS = Numbers(
    (Number(name="v", range=(-1, 1)), Number(name="s", range=(0, 90), unit="m"), Number(name="w", range=(2, 4)))
)
CPU = torch.device("cpu")


def settings(task: str, **training) -> Config:
    named = (
        {"class_names": LABELS.names}
        if task == "labels"
        else {"numbers": [{"name": n.name, "range": n.range, "unit": n.unit} for n in NUMBERS.numbers]}
    )
    training = {"amp": "off", "batch_size": 6, **training}
    sections = {"dataset": {"data_dir": ".", "task": task, **named}, "training_param": training}
    return config_from_dict(sections | {"optimizer_param": {"gd": 0, "weight_decay": 0}})


def clips_of(texts) -> list[Clip]:
    return [Clip(str(i), -1, "", 1, 1, 1, "", target=text) for i, text in enumerate(texts)]


def batches(logits, label, bad=(), size=4):
    """Batches of clips in their order, the last one padded."""
    rows = torch.tensor([*range(len(logits)), *[-1] * (-len(logits) % size)])
    for row in rows.split(size):
        ok = torch.tensor([r >= 0 and int(r) not in bad for r in row])
        yield logits[row], Batch(torch.empty(0), None, label[row], row, ok)


def validated(task, clips, logits, bad=()):
    label = torch.from_numpy(np.array([task.targets.vector(clip.target) for clip in clips])).float()
    sums = task.validation_sums(clips, CPU)
    for part, batch in batches(logits, label, bad):
        sums.add(task.plain_losses(part, batch.label), part, batch)
    return sums.reduced().result()


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    target = rng.random((50, 3)) < (0.2, 0.6, 0.4)
    texts = [",".join(map(str, row.nonzero()[0])) or "-" for row in target]
    logits = torch.from_numpy(rng.normal(target * 1.0, 1.0)).float()
    return clips_of(texts), target, logits


def test_scores_of_labels_are_those_of_scikit_learn(labelled):
    clips, target, logits = labelled
    bad = (3, 17, 49)
    result, kept = validated(LabelTask(LABELS), clips, logits, bad), [i for i in range(50) if i not in bad]
    truth, found = target[kept], logits.double().sigmoid().numpy()[kept]
    assert result["samples"] == 47
    assert result["mAP"] == EXACT(average_precision_score(truth, found, average="macro"), abs=1e-12)
    assert result["mAP_micro"] == EXACT(average_precision_score(truth, found, average="micro"), abs=1e-12)
    each = average_precision_score(truth, found, average=None).tolist()
    assert result["average_precisions"] == [EXACT(one, abs=1e-12) for one in each]
    assert result["auroc"] == EXACT(roc_auc_score(truth, found, average="macro"), abs=1e-12)
    assert result["auroc_micro"] == EXACT(roc_auc_score(truth, found, average="micro"), abs=1e-12)
    positive = found >= result["thresholds"]
    assert result["f1"] == EXACT(f1_score(truth, positive, average="macro"), abs=1e-12)
    assert result["f1_micro"] == EXACT(f1_score(truth, positive, average="micro"), abs=1e-12)
    loss = F.binary_cross_entropy_with_logits(logits[kept], torch.from_numpy(truth).float())
    assert result["loss"] == EXACT(loss.item(), rel=1e-6)


def test_no_other_threshold_has_a_higher_f1(labelled):
    _, target, logits = labelled
    found = logits.double().sigmoid().numpy()
    for label, threshold in enumerate(best_thresholds(target, found)):
        best = f1_score(target[:, label], found[:, label] >= threshold)
        assert best == max(f1_score(target[:, label], found[:, label] >= other) for other in np.unique(found[:, label]))
    assert best_thresholds(np.array([[0], [0], [1], [1]]), np.array([[0.1], [0.2], [0.6], [0.9]])) == [EXACT(0.4)]


def test_labels_that_do_not_occur_are_left_out_of_the_means(labelled):
    clips, target, logits = labelled
    only = [clip._replace(target="0" if "0" in clip.target else "-") for clip in clips]
    result = validated(LabelTask(LABELS), only, logits)
    found = logits.double().sigmoid().numpy()
    assert result["mAP"] == EXACT(average_precision_score(target[:, 0], found[:, 0]), abs=1e-12)
    assert result["thresholds"][1:] == [0.5, 0.5]
    none = validated(LabelTask(LABELS), clips_of(["-"] * 50), logits)
    assert {none[score] for score in ("mAP", "mAP_micro", "auroc", "auroc_micro", "f1", "f1_micro")} == {None}


def test_scores_of_numbers_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    target = np.stack([rng.uniform(*number.range, 40) for number in NUMBERS.numbers], 1)
    clips = clips_of([",".join(map(repr, row.tolist())) for row in target])
    task, logits = NumberTask(NUMBERS), torch.from_numpy(rng.normal(size=(40, 3))).float()
    bad = (0, 5)
    result, kept = validated(task, clips, logits, bad), [i for i in range(40) if i not in bad]
    low, high = np.array([number.range for number in NUMBERS.numbers]).T
    value = (low + (high - low) * (logits.double().numpy() + 1) / 2).clip(low, high)[kept]
    truth = target[kept]
    assert result["mae"] == EXACT(mean_absolute_error(truth, value), abs=1e-12)
    assert result["r2"] == EXACT(r2_score(truth, value), abs=1e-12)
    ranks = [spearmanr(truth[:, k], value[:, k]).statistic for k in range(3)]
    assert result["spearman"] == EXACT(np.mean(ranks), abs=1e-12)
    assert result["numbers"]["s"]["mae"] == EXACT(mean_absolute_error(truth[:, 1], value[:, 1]), abs=1e-12)
    x, y = truth[:, 0], value[:, 0]
    by_correlation = 2 * np.corrcoef(x, y)[0, 1] * x.std() * y.std() / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    assert result["numbers"]["v"]["ccc"] == EXACT(by_correlation, abs=1e-12)
    assert validated(NumberTask(NUMBERS, "ccc"), clips, logits)["loss"] == EXACT(
        1 - validated(task, clips, logits)["ccc"]
    )


def test_scores_that_are_undefined_are_none():
    clips = clips_of(["0.5,1,2"] * 3)
    result = validated(NumberTask(NUMBERS), clips, torch.zeros(3, 3))
    assert (result["spearman"], result["numbers"]["v"]["spearman"]) == (None, None)
    nothing = validated(NumberTask(NUMBERS), clips, torch.zeros(3, 3), bad=range(3))
    assert {nothing[score] for score in ("mae", "r2", "spearman", "ccc")} == {None}
    assert validated(LabelTask(LABELS), clips_of(["0"] * 3), torch.zeros(3, 3), bad=range(3))["mAP"] is None
    assert concordance(np.ones(3), np.ones(3)) is None


def test_numbers_are_scaled_by_their_ranges_and_kept_within():
    task = NumberTask(NUMBERS)
    assert task.outputs(torch.tensor([[-1.0, 0.0, 3.0]])).tolist() == [[-1.0, 45.0, 4.0]]
    assert task.outputs(task.logits(torch.tensor([0.25, 30.0, 2.5]))).tolist() == EXACT([0.25, 30.0, 2.5])


def test_losses_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(5, 3, generator=generator), (torch.rand(5, 3, generator=generator) < 0.5).float()
    weights = torch.tensor([1.0, 3.0, 0.5])
    expected = F.binary_cross_entropy_with_logits(logits, target, pos_weight=weights, reduction="none").mean(1)
    torch.testing.assert_close(label_losses(logits, target, weights), expected)
    p_true = torch.where(target > 0, logits.sigmoid(), 1 - logits.sigmoid())
    torch.testing.assert_close(label_losses(logits, target, gamma=2.0), (-((1 - p_true) ** 2) * p_true.log()).mean(1))
    torch.testing.assert_close(label_losses(logits, target, smoothing=0.2), label_losses(logits, target * 0.8 + 0.1))
    torch.testing.assert_close(number_losses(logits, target), ((logits - target) ** 2).mean(1))
    torch.testing.assert_close(number_losses(logits, target, True).mean(), F.huber_loss(logits, target, delta=0.2))


def test_the_gradient_of_ccc_is_that_of_all_clips_with_ok():
    generator = torch.Generator().manual_seed(0)
    values, target = torch.randn(6, 2, generator=generator, requires_grad=True), torch.randn(6, 2, generator=generator)
    ok = torch.tensor([True, True, False, True, True, True])
    losses = ccc_losses(values, target, ok)
    (losses[ok].mean()).backward()
    copy = values.detach().clone().requires_grad_()
    x, y = copy[ok], target[ok]
    spread = x.var(0, correction=0) + y.var(0, correction=0) + (x.mean(0) - y.mean(0)) ** 2
    whole = (1 - 2 * ((x - x.mean(0)) * (y - y.mean(0))).mean(0) / spread).mean()
    whole.backward()
    torch.testing.assert_close(losses, whole.detach().expand(6))
    torch.testing.assert_close(values.grad, copy.grad)
    assert not values.grad[2].any()


def test_mixup_blends_targets():
    label = torch.tensor([[1.0, 0, 1], [0, 0, 1]])
    batch = Batch(torch.rand(2, 1, 3, 2, 2), None, label, torch.arange(2), torch.tensor([True, True]))
    _, targets = mix(batch, TrainingParam(mixup=0.4), 0)
    share = targets.share[0]
    assert 0.5 <= share < 1
    torch.testing.assert_close(targets.blended[0], torch.stack([share, torch.tensor(0.0), torch.tensor(1.0)]))
    _, plain = mix(batch, TrainingParam(), 0)
    assert torch.equal(plain.blended, label)
    assert isinstance(plain, Targets)


def test_balanced_weights_of_labels():
    weights = loss_weights(settings("labels", class_weights="balanced"), clips_of(["0", "0,1", "0,1", "0"]), 3)
    assert weights is not None
    assert weights.tolist() == [1, 1, 1]
    weights = loss_weights(settings("labels", class_weights="balanced"), clips_of(["0", "-", "-", "1,0"]), 3)
    assert weights is not None
    assert weights.tolist() == [1, 3, 1]


@pytest.mark.parametrize(
    ("mirrored", "labels", "classes"), [(True, [5 / 3, 5 / 3, 1], [1, 1]), (False, [1 / 3, 1, 1], [2 / 3, 2])]
)
def test_weights_are_those_of_what_is_seen(mirrored, labels, classes):
    """Half of the time a mirrored clip, which has the other label."""

    def weights(clips, num_outputs, **dataset):
        sections = {"dataset": {"data_dir": ".", "flip_labels": [[0, 1]], **dataset}}
        images = {"data_augmentation": {"video_augmentation": {"RandomHorizontalFlip": mirrored}}}
        config = config_from_dict(sections | images | {"training_param": {"class_weights": "balanced"}})
        return loss_weights(config, clips, num_outputs).tolist()

    of_labels = weights(clips_of(["0", "0", "0", "-"]), 3, task="labels", class_names=LABELS.names)
    assert of_labels == pytest.approx(labels)
    of_classes = [clip._replace(label=label) for clip, label in zip(clips_of([""] * 4), (0, 0, 0, 1), strict=True)]
    assert weights(of_classes, 2) == pytest.approx(classes)


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("labels", {}),
        ("labels", {"loss": "focal", "class_weights": "balanced", "mixup": 0.3, "accumulate": 2}),
        ("numbers", {"loss": "huber", "ema_decay": 0.9}),
        ("numbers", {"loss": "ccc", "mixup": 0.3}),
    ],
)
def test_a_few_steps_learn(task, options):
    config = settings(task, **options)
    generator = torch.Generator().manual_seed(1)
    video, ok = torch.randn(6, 2, 3, 4, 4, generator=generator), torch.tensor([True] * 5 + [False])
    texts = (
        ["0", "1,2", "-", "2", "0,1", "1"] if task == "labels" else [f"{i / 6},{9 * i},{2 + i / 3}" for i in range(6)]
    )
    label = torch.tensor(np.array([config.dataset.targets.vector(text) for text in texts])).float()
    batch = Batch(video, None, label, torch.arange(6), ok)
    weights = loss_weights(config, clips_of(texts), 3)
    train_state = build_train_state(Network(), config, JOB, steps_per_epoch=30, class_weights=weights)
    losses = []
    train_one_epoch(train_state, [batch] * 30, lambda step: losses.append(step.losses[:5].mean().item()) or False)
    assert losses[-1] < losses[0]
    assert train_state.metrics.result()["samples"] == 150


def test_a_score_is_better_by_its_sense():
    assert is_better("mAP", 0.5, [0.4, None])
    assert not is_better("mAP", 0.5, [0.5])
    assert is_better("mae", 0.5, [0.6])
    assert not is_better("loss", 0.7, [0.6])
    assert not is_better("ccc", None, [])
