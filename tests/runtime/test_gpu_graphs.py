"""What a CUDA graph forbids, on machines without a GPU: the device "meta" stands for one.

A captured function must not bring numbers from the processor, and must not look at values. On "meta" the second raises
by itself; the first is seen in the operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from graspcut.catalogue import METHODS, method_of
from graspcut.runtime.torch_session import TorchSession


class NothingFromTheProcessor(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses operations that make something on the device out of what lies with the processor."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """See the class."""
        found = function(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        made = [leaf for leaf in tree_leaves(found) if isinstance(leaf, torch.Tensor)]
        # Numbers of no dimension travel as arguments of a kernel.
        from_processor = any(leaf.device.type == "cpu" and leaf.dim() > 0 for leaf in given)
        on_device = any(leaf.device.type == "meta" for leaf in [*made, *given])
        assert not (from_processor and on_device), f"{function} brings numbers from the processor into the graph"
        return found


class NoLists(TorchFunctionMode):
    """Refuses tensors of the device that are made of lists, which are numbers of the processor's."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """See the class."""
        found = function(*args, **(kwargs or {}))
        if function in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor):
            assert found.device.type == "cpu", "a list of the processor's comes into the graph"
        return found


@contextmanager
def as_in_a_cuda_graph() -> Iterator[None]:
    """Nothing may come from the processor."""
    with torch.no_grad(), NothingFromTheProcessor(), NoLists():  # type: ignore[no-untyped-call]
        yield


@pytest.mark.parametrize("task", METHODS)
@pytest.mark.parametrize("size", [(320, 240), (224, 160)])
def test_a_prepared_function_can_be_captured(task: str, size: tuple[int, int]) -> None:
    predictor = method_of(task).predictor
    session: Any = predictor.torch_session(predictor.load_network(predictor.default_model), device="cpu")
    example = predictor.example(*size)
    arrays = {spec.name: example[spec.name] for spec in predictor.contract.arrays}
    settings = {spec.name: example[spec.name] for spec in predictor.contract.settings}
    run = session._prepare({name: array.shape for name, array in arrays.items()}, settings, torch.device("meta"))
    given = [torch.from_numpy(array.copy()).to("meta") for array in arrays.values()]
    with as_in_a_cuda_graph():
        assert run(*given)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda depth: depth.new_tensor([1.0, 2.0]),
        lambda depth: torch.tensor([1.0, 2.0], device=depth.device),
        lambda depth: torch.tensor([1, 2]).to(depth.device),
        lambda depth: depth + torch.ones(3),
    ],
)
def test_numbers_from_the_processor_are_seen(wrong: Callable[[Any], Any]) -> None:
    with as_in_a_cuda_graph(), pytest.raises((AssertionError, RuntimeError), match=r"processor|device"):
        wrong(torch.zeros(2, 3, device="meta"))


def test_half_precision_leaves_as_float32() -> None:
    predictor = method_of("segmentation").predictor

    def prepare(*_: Any) -> Callable[[Any], Any]:
        return lambda depth: ((depth > 0).to(torch.uint8), torch.full((1, 3, 16, 16), 0.25, dtype=torch.bfloat16))

    found = TorchSession(prepare, predictor.contract).run(predictor.example(16, 16))
    assert found["labels"].dtype == np.uint8
    assert found["probabilities"].dtype == np.float32 and (found["probabilities"] == 0.25).all()
