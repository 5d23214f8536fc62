"""A network from the configuration that is stored with its weights, and the full configuration back.

A method has one table: the class's name -> the network and the frozen dataclass that is its only argument, kept by the
network as `config`. What lies in a model folder is

    {"class": "DenseAttentionSmall", "arguments": {"squeeze_width": 16, ...}}

written out in full, so that a later change of a default does not change what old weights are loaded into. No string is
ever looked up outside the table. A network of the user's own has a third entry, "file", see `own_networks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from torch import nn

from graspcut.nn.own_networks import own_network_of, registered_network
from graspcut.nn.working_scale import WorkingScale

NetworkTable = Mapping[str, tuple[type[nn.Module], type[Any]]]


def build_network(config: Mapping[str, Any], networks: NetworkTable) -> nn.Module:
    """A network, randomly initialised.

    Args:
        config: `class`, a name of the table, and optionally `arguments`, the fields of its config dataclass (lists
            stand for tuples, as in JSON). Other keys are not looked at.
        networks: the method's table.

    Raises:
        ValueError: unknown class or argument; the message lists the known ones. A network of the user's own whose file
            is not open, or is another one.
    """
    name, own = config.get("class"), own_network_of(config)
    if own is not None:
        network, config_class = own.network, own.config
    elif not isinstance(name, str) or name not in networks:
        raise ValueError(f"unknown network class {name!r}, expected one of {', '.join(networks)}")
    else:
        network, config_class = networks[name]
    arguments = dict(config.get("arguments") or {})
    known = [field.name for field in fields(config_class)]
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise ValueError(f"{name} has no argument {', '.join(unknown)}; it takes {', '.join(known)}")
    filled = config_class(**{key: _tuples(value) for key, value in arguments.items()})
    return network(filled) if own is None else own.build(filled)


def network_config(network: nn.Module, networks: NetworkTable) -> dict[str, Any]:
    """The configuration from which `build_network` builds the same network, defaults included, ready for JSON.

    Args:
        network: one of the table, or a `WorkingScale` around one.
        networks: the method's table.

    Raises:
        TypeError: the network is none of the table.
    """
    core = network.core if isinstance(network, WorkingScale) else network
    name, own = type(core).__name__, registered_network(core)
    if own is not None:
        return {**own.description, "arguments": asdict(core.config)}  # type: ignore[call-overload]
    if name not in networks or not isinstance(core, networks[name][0]):
        raise TypeError(f"{name} is none of this method's networks, expected one of {', '.join(networks)}")
    return {"class": name, "arguments": asdict(core.config)}  # type: ignore[call-overload]


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
