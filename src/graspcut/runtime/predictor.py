"""What users call, as far as all methods do it alike: loading by name or path, back ends, threads, other processes.

A method's predictor is a subclass that states its contract, builds its networks and turns frames into results:

    class Matter(Predictor):
        contract = CONTRACT                      # see `contract`
        default_model = "matting-small"

        @classmethod
        def build_network(cls, config):          # a model folder's config["model"] -> nn.Module
            from graspcut.matting.models import build_model
            return build_model(config)

        @classmethod
        def graph(cls, network):                 # nn.Module: the contract's inputs in order -> its outputs
            from graspcut.matting.graph import MattingGraph
            return MattingGraph(network)

        @classmethod
        def example(cls, width, height, batch=1, seed=0):
            return {"colour": ..., "trimap": ...}

        def __call__(self, colour, trimap):
            return Matte(self.run({"colour": ..., "trimap": ...})["alpha"][0], ...)

Nothing here imports torch unless the PyTorch back end is chosen.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from numpy.typing import NDArray

from graspcut.runtime.contract import BACKEND_TITLES, BackendError, Session, TaskContract
from graspcut.runtime.model_folder import find_model_folder, load_model_folder
from graspcut.runtime.opening import OpenedModel, OpenOptions, check_model_config, open_model

if TYPE_CHECKING:
    from torch import nn

Inputs = dict[str, NDArray[Any]]


class Predictor:
    """A model that runs. Use `load`, `open` or `from_network`.

    Args:
        session: runs a graph that keeps the contract.
        name: what the model is called.
        opened: how it was opened, if it can be opened again.

    Attributes:
        session: its `backend`, `device` and `precision` say what runs.
        name: what the model was loaded from.
        config: the model folder's configuration; for exported files "model" alone, as far as they say it.
        digest: of the weights, see `graspcut.runtime.model_folder.model_digest`; empty if it is not known.
    """

    contract: ClassVar[TaskContract]
    default_model: ClassVar[str] = ""

    def __init__(self, session: Session, *, name: str = "", opened: OpenedModel | None = None) -> None:
        self.session = session
        self.name = name
        self.config: dict[str, Any] = {} if opened is None else opened.config
        self.digest = "" if opened is None else opened.digest
        self._options = None if opened is None else opened.options
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.description})"

    # What a method writes.

    @classmethod
    def build_network(cls, config: Mapping[str, Any]) -> nn.Module:
        """The network, with random weights, of a model folder's `config["model"]`."""
        raise NotImplementedError(f"{cls.__name__} does not say how its networks are built")

    @classmethod
    def graph(cls, network: nn.Module) -> nn.Module:
        """Everything from the contract's inputs to its outputs as one module; by default the network itself.

        A method `prepare` of it may work out beforehand what depends on sizes and settings only, see
        `graspcut.runtime.torch_session.Prepare`.
        """
        return network

    @classmethod
    def example(cls, width: int, height: int, batch: int = 1, seed: int = 0) -> Inputs:
        """Inputs of this size such as the graph meets in use, by name, with something of everything in them.

        They are traced, compared between engines and timed.

        Args:
            width, height: in pixels.
            batch: frames at once.
            seed: other seeds, other frames.
        """
        raise NotImplementedError(f"{cls.__name__} has no example of its inputs")

    # What all have.

    @classmethod
    def load(
        cls,
        name_or_path: str | Path = "",
        device: str = "auto",
        threads: int | None = None,
        *,
        backend: str = "auto",
        precision: str = "auto",
        parallel_calls: int = 1,
        network_file: str | Path | None = None,
    ) -> Self:
        """Loads a model that comes with the package, a model folder, or an exported graph. Nothing is downloaded.

        Args:
            name_or_path: shipped model's name, a folder written by training, or an .onnx or .xml file of `graspcut
                export`; the default is the method's shipped model.
            device: "auto" (an NVIDIA GPU if PyTorch has one, else the processor), "cpu", "cuda" or "cuda:N".
            threads: processor threads; None takes all cores that this process may use.
            backend: "auto" takes PyTorch on a GPU, and on a processor the first of OpenVINO, ONNX Runtime and PyTorch
                that is installed and for which the model has a file; or one by name, which is taken or refused.
            precision: "auto" (what the model ships for the back end: int8 if it has such a file, else fp32), "fp32",
                "fp16", "bf16" or "int8".
            parallel_calls: how many threads will call at the same time.
            network_file: Python file of a network of your own, see docs/add-a-network.md; graphs need none.

        Raises:
            ModelFolderError: if there is no such model or it is damaged.
            OwnFileError: if a network's file is missing, or another one than it was trained with.
            BackendError: if the back end, the device or the precision is not there.
        """
        return cls.open(OpenOptions(name_or_path, device, backend, precision, threads, parallel_calls, network_file))

    @classmethod
    def open(cls, options: OpenOptions) -> Self:
        """`load` with its arguments in one value; an empty model is the method's shipped one."""
        if not str(options.model):
            options = replace(options, model=cls.default_model)
        opened = open_model(options, cls.contract, cls._open_in_torch)
        return cls(opened.session, name=str(options.model), opened=opened)

    @classmethod
    def from_network(
        cls, network: nn.Module, *, device: str = "auto", threads: int | None = None, precision: str = "fp32"
    ) -> Self:
        """Runs a network in PyTorch: batch norms folded, channels last.

        Args:
            network: one of the method's; it is copied.
            device: "auto", "cpu", "cuda" or "cuda:N".
            threads: torch threads on the CPU. This is a setting of the whole process; None leaves it.
            precision: "fp32"; on a GPU also "bf16" and "fp16".
        """
        session = cls.torch_session(network, device=device, threads=threads, precision=precision)
        return cls(session, name=type(network).__name__)

    @classmethod
    def torch_session(
        cls, network: nn.Module, *, device: str = "auto", threads: int | None = None, precision: str = "fp32"
    ) -> Session:
        """The session of `from_network`."""
        import torch

        from graspcut.nn.folding import folded
        from graspcut.runtime.torch_session import session_of_graph

        example = [torch.from_numpy(array) for array in cls.ordered(cls.example(64, 64))]
        graph = cls.graph(folded(network, lambda module: cls.graph(module)(*example))).eval()
        return session_of_graph(graph, cls.contract, device=device, threads=threads, precision=precision)

    @classmethod
    def load_network(cls, name_or_dir: str | Path, network_file: str | Path | None = None) -> nn.Module:
        """The network of a model folder, with its weights, in evaluation mode.

        Args:
            name_or_dir: see `load`.
            network_file: see `load`; it is run.

        Raises:
            ModelFolderError: if there is no such model, it is damaged, or it is for another task.
            OwnFileError: see `load`.
        """
        if network_file is not None:
            from graspcut.nn.own_networks import open_network_file

            open_network_file(network_file)
        from graspcut.runtime.model_folder import fill_network

        folder = find_model_folder(name_or_dir)
        config, weights = load_model_folder(folder)
        check_model_config(config, folder, cls.contract)
        network = cls.build_network(config["model"])
        fill_network(network, weights, folder)
        return network.eval()

    @classmethod
    def ordered(cls, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Inputs in the order of the contract."""
        return [inputs[spec.name] for spec in cls.contract.inputs]

    @property
    def parallel_calls(self) -> int:
        """How many threads may call at the same time and gain from it."""
        return self.session.parallel_calls

    @property
    def description(self) -> str:
        """What runs, in a few words: "OpenVINO on cpu, int8"."""
        return f"{BACKEND_TITLES[self.session.backend]} on {self.session.device}, {self.session.precision}"

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Runs the graph: the contract's inputs by name -> its outputs by name.

        Raises:
            BackendError: in a forked process, where the engine's threads are missing.
        """
        if os.getpid() != self._process:
            raise BackendError(
                f"this {type(self).__name__} was loaded before the process was forked, and the threads of "
                f"{BACKEND_TITLES[self.session.backend]} stay behind: load it in the child, or start the child with "
                "the method 'spawn' (multiprocessing.get_context('spawn')) and hand the loaded one over"
            )
        return self.session.run(inputs)

    def warm_up(self, size: tuple[int, int]) -> None:
        """Runs one example of this size, so that the first frame does not wait for an engine to compile.

        Args:
            size: (width, height) of the frames in pixels.
        """
        self.run(self.example(*size))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as what it was loaded from, and loaded again where it is unpickled.

        Raises:
            TypeError: if it was made of a network in memory.
        """
        if self._options is None:
            raise TypeError(
                f"a {type(self).__name__} made of a network in memory cannot be sent to another process: save the "
                "network with save_model_folder and load it from there"
            )
        return type(self).open, (self._options,)

    @classmethod
    def _open_in_torch(cls, folder: Path, device: str, precision: str, threads: int | None) -> Session:
        network = cls.load_network(folder)
        return cls.torch_session(network, device=device, threads=threads, precision=precision)
