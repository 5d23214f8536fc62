"""Schedules against the paper's numbers, phases, averaged weights, overfitting one batch."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from graspcut.segmentation.data import RenderedSamples, SegmentationBatch, StreamingFrames, View
from graspcut.segmentation.losses import contour_loss, weighted_cross_entropy
from graspcut.segmentation.task import SegmentationTask, TaskConfig, parameter_groups
from tests.segmentation.fake_frames import FakeFrames, TinyNetwork


def one_batch() -> SegmentationBatch:
    return StreamingFrames([View(RenderedSamples(FakeFrames()), 1.0, 4)], seed=0).batch(0)


def test_paper_schedule_reproduces_the_published_arithmetic() -> None:
    config = TaskConfig.paper()
    assert config.steps == 150 * 11_680
    assert config.learning_rate_at(0) == 1e-3
    assert config.learning_rate_at(79_999) == 1e-3
    assert config.learning_rate_at(80_000) == pytest.approx(8e-4)
    assert config.learning_rate_at(1_635_200) == pytest.approx(1.1529e-5, rel=1e-4)
    assert config.learning_rate_at(config.steps) == pytest.approx(9.2234e-6, rel=1e-4)
    assert not config.contour_active(1_635_199)
    assert config.contour_active(1_635_200)
    assert (config.cross_entropy_weight, config.contour_weight, config.batch_norm_penalty) == (1.0, 0.005, 0.001)
    assert config.class_weights == (1.0, 5.0, 5.0)


def test_one_cycle_rises_to_the_peak_and_falls_to_the_end() -> None:
    config = TaskConfig.quick(1000, learning_rate=0.01)
    rates = [config.learning_rate_at(step) for step in range(1001)]
    assert rates[0] == pytest.approx(0.01 / 50)
    assert rates[49] == rates[50] == pytest.approx(0.01) == max(rates)
    assert all(later <= earlier for earlier, later in pairwise(rates[50:]))
    assert rates[1000] == pytest.approx(1e-4)
    assert [config.contour_active(step) for step in (0, 849, 850, 999)] == [False, False, True, True]


def test_optimiser_follows_the_schedule() -> None:
    config = TaskConfig(steps=10, schedule="step", decay_steps=2, learning_rate=0.1, optimiser="adam")
    task = SegmentationTask({}, config, model=TinyNetwork())
    made = task.configure_optimizers()
    optimiser, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    seen = []
    for _ in range(5):
        seen.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    assert seen == pytest.approx([0.1, 0.1, 0.08, 0.08, 0.064])
    assert made["lr_scheduler"]["interval"] == "step"


def test_loss_terms_switch_with_the_phase() -> None:
    config = TaskConfig(steps=4, contour_steps=2, batch_norm_penalty=0.5, contour_weight=0.25)
    task = SegmentationTask({}, config, model=TinyNetwork())
    torch.manual_seed(0)
    batch = one_batch()
    logits = torch.randn(4, 3, 24, 32)
    plain = task.loss_terms(logits, batch.labels, contour=False)
    both = task.loss_terms(logits, batch.labels, contour=True)
    assert plain.keys() == {"cross_entropy", "penalty"}
    assert both.keys() == {"cross_entropy", "contour", "penalty"}
    torch.testing.assert_close(both["contour"], 0.25 * contour_loss(logits, batch.labels))
    expected = weighted_cross_entropy(logits, batch.labels, class_weights=(1.0, 5.0, 5.0))
    torch.testing.assert_close(plain["cross_entropy"], expected)
    assert plain["penalty"].item() == pytest.approx(0.5 * 0.5 * 6)  # six batch-norm scales of 1, six shifts of 0


def test_weight_decay_spares_biases_and_batch_norm() -> None:
    groups = parameter_groups(TinyNetwork(), 0.1)
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert {parameter.ndim for parameter in groups[0]["params"]} == {4}
    assert sum(len(group["params"]) for group in groups) == len(list(TinyNetwork().parameters()))


def test_averaged_weights_follow_the_slow_formula() -> None:
    task = SegmentationTask({}, TaskConfig(steps=10, average_decay=0.5), model=nn.BatchNorm2d(1))
    assert task.average is not None
    values, decays = [1.0, 3.0, -2.0, 5.0], []
    for value in values:
        with torch.no_grad():
            task.model.get_parameter("weight").fill_(value)
            task.model.get_buffer("running_mean").fill_(2 * value)
        task.average.update_parameters(task.model)
    expected = values[0]  # the first update copies
    for updates, value in enumerate(values[1:], start=1):
        decays.append(min(0.5, (1 + updates) / (10 + updates)))
        expected = decays[-1] * expected + (1 - decays[-1]) * value
    best = task.best_model()
    assert best is task.average.module
    assert float(best.get_parameter("weight")) == pytest.approx(expected, rel=1e-5)
    assert float(best.get_buffer("running_mean")) == pytest.approx(2 * expected, rel=1e-5)
    assert decays[0] == pytest.approx(2 / 11) and decays[-1] < 0.5


class PointNetwork(nn.Module):
    """Sees depth of one pixel only; enough to tell the fake classes apart."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 16, 1), nn.ReLU(), nn.Conv2d(16, 3, 1))

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        logits: Tensor = self.layers((depth_mm - 550.0) / 100.0)
        return logits


def test_one_batch_is_overfitted() -> None:
    torch.manual_seed(0)
    task = SegmentationTask({}, TaskConfig(steps=150, learning_rate=0.03), model=PointNetwork())
    made = task.configure_optimizers()
    optimiser, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    batch = one_batch()
    losses = []
    for _ in range(150):
        loss = torch.stack(list(task.loss_terms(task(*batch[:2]), batch.labels, contour=False).values())).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        scheduler.step()
        losses.append(loss.item())
    known = batch.labels != 255
    predicted = task(*batch[:2]).argmax(dim=1)
    assert losses[-1] < 0.02 < losses[0] and not math.isnan(losses[-1])
    assert bool((predicted[known] == batch.labels[known]).all())


def test_network_configuration_is_written_out_in_full() -> None:
    task = SegmentationTask({"class": "DenseAttentionSmall", "arguments": {"squeeze_width": 8}}, TaskConfig(steps=1))
    arguments = task.describe()["model"]["arguments"]
    assert arguments["squeeze_width"] == 8
    assert arguments["working_focal_px"] == 240.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps > 0"),
        ({"steps": 2, "contour_steps": 3}, "contour_steps"),
        ({"steps": 2, "optimiser": "sgd"}, "unknown optimiser 'sgd', choose one of adam, adamw"),
        ({"steps": 2, "schedule": "linear"}, "unknown schedule"),
        ({"steps": 2, "penalty_target": "weights"}, "unknown penalty_target"),
        ({"steps": 2, "average_decay": 1.0}, "between 0 and 1"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TaskConfig(**change)  # type: ignore[arg-type]
