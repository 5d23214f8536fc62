"""Networks of the user's own: registered from Python, or by a file that the user names.

    @dataclass(frozen=True)
    class MyNetConfig:
        width: int = 32
        working_focal_px: float | None = 240.0

    class MyNet(nn.Module):
        def __init__(self, config: MyNetConfig) -> None: ...

    register_network(MyNet, MyNetConfig)

A model folder of such a network says {"class": "MyNet", "arguments": {...}, "file": {"name": ..., "sha256": ...}}.
It is built when a network of that class and that very file is registered, and refused otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from torch import nn

from graspcut.own_files import OwnFile, OwnFileError, check_own_file, file_of, file_of_config, run_own_file


@dataclass(frozen=True)
class OwnNetwork:
    """A registered network.

    Attributes:
        network: its class, called with one configuration.
        config: the frozen dataclass of its arguments.
        file: where it is defined.
    """

    network: type[nn.Module]
    config: type[Any]
    file: OwnFile

    @property
    def description(self) -> dict[str, Any]:
        """Class and file, as they stand in model folders."""
        return {"class": self.network.__name__, "file": asdict(self.file)}

    def build(self, config: Any) -> nn.Module:
        """The network of a configuration.

        Raises:
            TypeError: it does not keep the configuration.
        """
        built = self.network(config)
        if getattr(built, "config", None) is not config:
            raise TypeError(f"{self.network.__name__} ({self.file.name}) has to keep its argument as self.config")
        return built


_registered: dict[tuple[str, str], OwnNetwork] = {}
_classes: dict[type[nn.Module], OwnNetwork] = {}  # also those that the same file has defined before


def register_network(network: type[nn.Module], config: type[Any]) -> None:
    """Makes a network of one's own known in this process.

    Args:
        network: built as `network(config)`. It keeps that argument as `self.config`, is called with depth (B, 1, H, W)
            float32 millimetres, 0 = no data, and focal length (B,) float32 pixels, and gives logits (B, 3, H, W).
        config: a dataclass whose fields all have defaults. A field `working_focal_px` says at which focal length in
            pixels the network works; without it, or with None, it sees every frame as it is.

    Raises:
        TypeError: `network` is no module class, or `config` no dataclass.
        OwnFileError: the class is defined in no file.
    """
    if not (isinstance(network, type) and issubclass(network, nn.Module)):
        raise TypeError(f"{network!r} is no class of networks, expected a subclass of torch.nn.Module")
    if not (isinstance(config, type) and is_dataclass(config)):
        raise TypeError(f"{config!r} is no dataclass, expected the class of {network.__name__}'s only argument")
    file = file_of(network)
    _classes[network] = _registered[network.__name__, file.sha256] = OwnNetwork(network, config, file)


def open_network_file(path: str | Path) -> list[OwnNetwork]:
    """Runs a file that registers networks.

    Returns:
        its networks, in the order of their names.

    Raises:
        OwnFileError: it cannot be run, or registers none.
    """
    run_own_file(path)
    file = OwnFile.of(path)
    found = [own for (_, digest), own in sorted(_registered.items()) if digest == file.sha256]
    if not found:
        raise OwnFileError(f"{path} registers no network: end it with register_network(MyNet, MyNetConfig)")
    return found


def registered_network(network: nn.Module) -> OwnNetwork | None:
    """The registered network that a module is an instance of."""
    return _classes.get(type(network))


def own_network_of(config: Mapping[str, Any]) -> OwnNetwork | None:
    """The registered network of a model folder's configuration; None where it is none of the user's own.

    Args:
        config: a model folder's `config["model"]`.

    Raises:
        OwnFileError: the file is not open, or it is another one; the message says which.
    """
    wanted = file_of_config(config)
    if wanted is None:
        return None
    name = str(config.get("class"))
    found = _registered.get((name, wanted.sha256))
    if found is None:
        others = [own.file for (other, _), own in _registered.items() if other == name]
        check_own_file(wanted, others[-1] if others else None, name)
    return found
