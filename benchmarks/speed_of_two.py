"""How long a frame takes with two models in turn, on each engine: what new weights or another network cost.

    python benchmarks/speed_of_two.py OLD_MODEL_FOLDER dense-attention-small --threads 2

Rendered frames of 640x480; medians and fastest tenths of all calls, and their ratios. The models take turns frame by
frame, so that a slow minute of the machine hits both.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from graspcut.segmentation.predictor import Segmenter
from graspcut.synth.generator import FrameGenerator, SynthConfig


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs=2, metavar="MODEL", help="shipped model's name or model folder")
    parser.add_argument("--backends", nargs="+", default=["openvino", "onnxruntime"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    generator = FrameGenerator(SynthConfig(640, 480, profile="v1", colour=False), 3)
    frames = [generator[index].frame for index in range(6)]
    for backend in options.backends:
        segmenters = [Segmenter.load(model, "cpu", options.threads, backend=backend) for model in options.models]
        times: list[list[float]] = [[], []]
        for round_number in range(-1, options.rounds):  # the first one warms up
            for frame in frames:
                for segmenter, own in zip(segmenters, times, strict=True):
                    started = time.perf_counter()
                    segmenter(frame)
                    if round_number >= 0:
                        own.append(1000 * (time.perf_counter() - started))
        for name, quantile in (("median", 0.5), ("fastest tenth", 0.1)):
            first, second = (float(np.quantile(own, quantile)) for own in times)
            print(f"{backend}, {name}: {first:.1f} and {second:.1f} ms, ratio {second / first:.2f}", flush=True)


if __name__ == "__main__":
    main()
