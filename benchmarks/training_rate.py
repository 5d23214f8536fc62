"""How many images a second each network of Table 2 is trained with, in seconds of one processor core.

    python benchmarks/training_rate.py --precision bf16-mixed --save docs/results/training_rate.json

Forward, loss, backward and an optimiser step on a batch of 16 windows of 160x120, slim networks, one thread, as
`graspcut benchmark segmentation` trains them. Processor time is counted, not time that passes, so that others on the
machine matter little. The best of a few batches.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch.nn import functional

from graspcut.frames.json_files import write_json_atomically
from graspcut.segmentation.comparison import ComparisonConfig, network_config
from graspcut.segmentation.comparison_rows import ROWS, TABLE_2
from graspcut.segmentation.models import build_model


def images_per_core_s(name: str, config: ComparisonConfig, *, is_bf16: bool, repeats: int) -> float:
    """Images a second of processor time."""
    network = build_model(network_config(ROWS[name], config)).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters())
    shape = (config.batch_size, config.height, config.width)
    depth = 300 + 400 * torch.rand(shape)[:, None]
    labels, focal = torch.randint(0, 3, shape), torch.full(shape[:1], 240.0)
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            logits = network(depth, focal)
        functional.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
        best = min(best, time.process_time() - started)
    return config.batch_size / best


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="bf16-mixed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rates = {}
    for row in TABLE_2:
        if row.start is None:
            rates[row.name] = images_per_core_s(
                row.name, ComparisonConfig(), is_bf16=given.precision == "bf16-mixed", repeats=given.repeats
            )
            print(f"{row.title}: {rates[row.name]:.1f} images/s on one core")
    if given.save is not None:
        write_json_atomically(given.save, {"precision": given.precision, "images_per_core_s": rates})


if __name__ == "__main__":
    main()
