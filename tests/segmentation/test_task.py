"""Schedules against the paper's numbers, phases, averaged weights, overfitting one batch."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from graspcut.runtime.model_folder import load_model_config
from graspcut.segmentation.data import SegmentationBatch, segmentation_target
from graspcut.segmentation.losses import contour_loss, weighted_cross_entropy
from graspcut.segmentation.task import SegmentationTask, TaskConfig
from graspcut.train.optimisation import Optimisation
from graspcut.train.sources import RenderedSamples
from graspcut.train.streams import BatchStream, View, as_tensors
from tests.train.fake_frames import FakeFrames, TinyNetwork


def one_batch() -> SegmentationBatch:
    batch = BatchStream([View(RenderedSamples(FakeFrames()), segmentation_target, 1.0, 4)], seed=0).batch(0)
    assert isinstance(batch, SegmentationBatch)
    return SegmentationBatch(*as_tensors(batch))


def test_paper_schedule_reproduces_the_published_arithmetic() -> None:
    config = TaskConfig.paper()
    assert config.steps == 150 * 11_680
    assert config.optimisation.learning_rate_at(0) == 1e-3
    assert config.optimisation.learning_rate_at(79_999) == 1e-3
    assert config.optimisation.learning_rate_at(80_000) == pytest.approx(8e-4)
    assert config.optimisation.learning_rate_at(1_635_200) == pytest.approx(1.1529e-5, rel=1e-4)
    assert config.optimisation.learning_rate_at(config.steps) == pytest.approx(9.2234e-6, rel=1e-4)
    assert not config.contour_active(1_635_199)
    assert config.contour_active(1_635_200)
    assert (config.cross_entropy_weight, config.contour_weight, config.batch_norm_penalty) == (1.0, 0.005, 0.001)
    assert config.class_weights == (1.0, 5.0, 5.0)


def test_the_default_recipe_is_that_of_the_shipped_weights_but_for_their_last_phase() -> None:
    shipped = load_model_config("dense-attention-small")["training"]
    # It goes on from others in batches twenty times as large: at a rate of its own, and small things count for more.
    config = TaskConfig.quick(shipped["steps"], learning_rate=4e-3, contour_part=0.2)
    schedule = dataclasses.replace(config.optimisation, warm_up=0.03, final_learning_rate=1e-4)
    config = dataclasses.replace(config, optimisation=schedule, area_exponent=0.25)
    now = {**dataclasses.asdict(config), **dataclasses.asdict(config.optimisation)}
    # Renamed since: it always was a warm-up and a cosine.
    assert shipped.pop("schedule") in ("one_cycle", "warm_up_cosine") and now.pop("schedule") == "warm_up_cosine"
    used = {name for name in now.keys() & shipped.keys() if not name.startswith("decay_")}
    assert len(used) >= 15
    for name in used:
        value = now[name]
        assert shipped[name] == (list(value) if isinstance(value, tuple) else value), name
    default = TaskConfig.quick(21_500)
    assert [default.contour_active(step) for step in (0, 19_349, 19_350, 21_499)] == [False, False, True, True]


def test_runs_without_weights_of_areas_describe_themselves_as_ever() -> None:
    config = TaskConfig(Optimisation(4))
    for exponent in (0.0, 0.5):
        task = SegmentationTask({}, dataclasses.replace(config, area_exponent=exponent), model=TinyNetwork())
        assert task.describe()["training"].get("area_exponent", 0.0) == exponent
        assert ("area_exponent" in task.describe()["training"]) == (exponent > 0)


def test_loss_terms_switch_with_the_phase() -> None:
    config = TaskConfig(Optimisation(4), contour_steps=2, batch_norm_penalty=0.5, contour_weight=0.25)
    task = SegmentationTask({}, config, model=TinyNetwork())
    torch.manual_seed(0)
    batch = one_batch()
    logits = torch.randn(4, 3, 24, 32)
    plain = task.terms_of_logits(logits, batch.labels, contour=False)
    both = task.terms_of_logits(logits, batch.labels, contour=True)
    assert plain.keys() == {"cross_entropy", "penalty"}
    assert both.keys() == {"cross_entropy", "contour", "penalty"}
    torch.testing.assert_close(both["contour"], 0.25 * contour_loss(logits, batch.labels))
    expected = weighted_cross_entropy(logits, batch.labels, class_weights=(1.0, 5.0, 5.0))
    torch.testing.assert_close(plain["cross_entropy"], expected)
    assert plain["penalty"].item() == pytest.approx(0.5 * 0.5 * 6)  # six batch-norm scales of 1, six shifts of 0


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
    task = SegmentationTask({}, TaskConfig(Optimisation(150, learning_rate=0.03)), model=PointNetwork())
    made = task.configure_optimizers()
    optimiser, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    batch = one_batch()
    losses = []
    for _ in range(150):
        loss = torch.stack(list(task.terms_of_logits(task(*batch[:2]), batch.labels, contour=False).values())).sum()
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
    task = SegmentationTask(
        {"class": "DenseAttentionSmall", "arguments": {"squeeze_width": 8}}, TaskConfig(Optimisation(1))
    )
    arguments = task.describe()["model"]["arguments"]
    assert arguments["squeeze_width"] == 8
    assert arguments["working_focal_px"] == 240.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contour_steps": 3}, "contour_steps"),
        ({"contour_normalisation": "sum"}, "unknown contour_normalisation 'sum', choose one of pixels, contour"),
        ({"penalty_target": "weights"}, "unknown penalty_target"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TaskConfig(Optimisation(2), **change)  # type: ignore[arg-type]
