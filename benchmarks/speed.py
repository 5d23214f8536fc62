"""How fast the shipped compact network is, beside the network of the paper and its baseline, in one run.

    python benchmarks/speed.py --threads 2 --repeats 30 --save docs/results/speed.json

What `graspcut benchmark speed` times, and two peers with random weights, which does not change their speed: the network
of the paper on PyTorch and OpenVINO, and DeepLabv3+ in plain PyTorch, which ratios are taken to.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graspcut.cli.benchmark import print_report
from graspcut.cli.options import parse_size
from graspcut.cli.progress import frame_progress
from graspcut.frames.json_files import write_json_atomically
from graspcut.runtime.candidates import Candidate, SpeedConfig, TimedNetwork, model_rows
from graspcut.runtime.measuring import measure_speed
from graspcut.segmentation.method import METHOD
from graspcut.segmentation.predictor import DEFAULT_MODEL

if TYPE_CHECKING:
    from torch import nn

PAPER_ROWS = (("pytorch", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"), ("openvino", "int8"))


@dataclass(frozen=True)
class Peer:
    """A network with random weights.

    Attributes:
        title: what the table calls it.
        config: see `graspcut.segmentation.models.build_model`.
    """

    title: str
    config: Mapping[str, Any]


PAPER = Peer("DenseAttentionSeg (ResNet-50)", {"class": "DenseAttentionSeg"})
REFERENCE = Peer("DeepLabv3+ (ResNet-50)", {"class": "DeepLabV3Plus"})


@contextmanager
def all_rows(config: SpeedConfig, paper: Peer = PAPER, reference: Peer = REFERENCE) -> Iterator[list[Candidate]]:
    """The model's rows and the peers' in the order of the table; exported files live until the end of the `with`."""
    with (
        model_rows(METHOD, config) as rows,
        tempfile.TemporaryDirectory(prefix="graspcut-speed-", ignore_cleanup_errors=True) as temporary,
    ):
        networks = [
            TimedNetwork(METHOD, peer.title, partial(random_network, peer), Path(temporary) / name, config)
            for name, peer in (("paper", paper), ("reference", reference))
        ]
        yield [*rows, *(networks[0].candidate(*row) for row in PAPER_ROWS), networks[1].plain_candidate()]


def random_network(peer: Peer) -> nn.Module:
    """The peer's network; the same weights every time."""
    import torch

    from graspcut.segmentation.models import build_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_model(peer.config)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="shipped model's name or model folder")
    parser.add_argument("--size", default="640x480", help="width and height in pixels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--save", type=Path, help="JSON")
    options = parser.parse_args()
    width, height = parse_size(options.size)
    config = SpeedConfig(width, height, options.threads, options.repeats, options.model)
    command = shlex.join(["python", *sys.argv])
    with all_rows(config) as rows, frame_progress("timing") as progress:
        report = measure_speed(METHOD, config, rows, progress)
    print_report(report, command)
    if options.save is not None:
        write_json_atomically(options.save, {"command": command, **report.as_json()})
        print(f"\nsaved: {options.save}")


if __name__ == "__main__":
    main()
