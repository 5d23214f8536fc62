"""How fast the networks are on an NVIDIA GPU, each frame from raw millimetres to labels, and what training them takes.

    python -m benchmarks.speed_gpu --save docs/results/speed-gpu.json

Frames go in one at a time from the processor's memory and labels come back there; networks run as they do in use, as
one CUDA graph. "plain" rows are PyTorch as it was written, eager, the peer that ratios are taken to. Labels of the
shipped network on rendered frames are compared with those of the processor in fp32. Training: steps of the recipe in
bf16, on random depth that lies on the GPU already.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.speed import PAPER, REFERENCE, random_network
from torch import nn

from graspcut.catalogue import METHODS, method_of
from graspcut.frames.camera import Camera
from graspcut.frames.frame import Frame
from graspcut.frames.json_files import write_json_atomically
from graspcut.segmentation.losses import weighted_cross_entropy
from graspcut.segmentation.predictor import DEFAULT_MODEL, Segmenter
from graspcut.synth.generator import FrameGenerator, SynthConfig

WIDTH, HEIGHT = 640, 480
PRECISIONS = ("fp32", "fp16", "bf16")


def call_times_ms(call: Any, repeats: int) -> list[float]:
    """Of every call after ten uncounted ones."""
    for _ in range(10):
        call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(1000.0 * (time.perf_counter() - began))
    return times


def row_of(network: str, precision: str, times: list[float]) -> dict[str, Any]:
    """A row of the report."""
    median, least = float(np.median(times)), float(np.min(times))
    print(f"{network:32s} {precision:6s} median {median:7.2f} ms, least {least:7.2f}", flush=True)
    return {"network": network, "precision": precision, "median_ms": round(median, 3), "least_ms": round(least, 3)}


def plain_times_ms(network: nn.Module, depth: np.ndarray[Any, Any], camera: Camera, repeats: int) -> list[float]:
    """Of an eager network, resampling and labels included."""
    graph = Segmenter.graph(network).eval().cuda()
    example = Segmenter.ordered(Segmenter.example(WIDTH, HEIGHT))
    others = [torch.from_numpy(np.array(value)).cuda() for value in example[1:]]

    def call() -> None:
        with torch.no_grad():
            found = graph(torch.from_numpy(depth.reshape(example[0].shape)).cuda(), *others)
            (found[0] if isinstance(found, tuple) else found).cpu()

    return call_times_ms(call, repeats)


def training_rate(network: nn.Module, batch: int, width: int, height: int, seconds: float = 2.0) -> float:
    """Frames a second of training in bf16."""
    network = network.cuda().train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), 1e-4, fused=True)
    depth = torch.rand((batch, 1, height, width), device="cuda") * 400 + 300
    labels = torch.randint(0, 3, (batch, height, width), device="cuda", dtype=torch.uint8)
    focal = torch.full((batch,), 0.75 * width, device="cuda")
    steps, began = 0, 0.0
    while True:
        with torch.autocast("cuda", torch.bfloat16):
            logits = network(depth, focal)
        weighted_cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        steps += 1
        if steps == 5:
            began = time.perf_counter()
        elif steps > 5 and time.perf_counter() > began + seconds:
            return batch * (steps - 5) / (time.perf_counter() - began)


def agreement(frames: int = 24) -> dict[str, float]:
    """Percent of the pixels of rendered frames whose labels are those of the processor in fp32."""
    frames_of = FrameGenerator(SynthConfig(WIDTH, HEIGHT, profile="v2", colour=False, held_out_kinds=True), 961_001)
    labelled = [frames_of[index] for index in range(frames)]
    reference = Segmenter.load(DEFAULT_MODEL, device="cpu", backend="pytorch", precision="fp32")
    expected = [reference(item.frame, item.frame.camera).labels for item in labelled]
    found = {}
    for precision in PRECISIONS:
        segmenter = Segmenter.load(DEFAULT_MODEL, device="cuda", precision=precision)
        same = [
            np.mean(segmenter(item.frame, item.frame.camera).labels == labels)
            for item, labels in zip(labelled, expected, strict=True)
        ]
        found[precision] = 100.0 * float(np.mean(same))
        print(f"labels in {precision} as on the processor: {found[precision]:.3f} %", flush=True)
    return found


def differences() -> list[dict[str, Any]]:
    """How far the outputs of all methods' shipped networks are from those of the processor in fp32.

    Returns:
        for each output, the mean difference over the mean of its values, or the share of other labels.
    """
    found = []
    for task in METHODS:
        predictor = method_of(task).predictor
        inputs = predictor.example(320, 240)
        expected = predictor.load(predictor.default_model, device="cpu", backend="pytorch").run(inputs)
        for precision in PRECISIONS:
            got = predictor.load(predictor.default_model, device="cuda", precision=precision).run(inputs)
            row: dict[str, Any] = {"task": task, "precision": precision, "outputs": {}}
            for name, values in expected.items():
                exact, ours = (np.asarray(array, np.float64) for array in (values, got[name]))
                if values.dtype.kind in "iub":
                    row["outputs"][name] = float(np.mean(exact != ours))
                else:
                    row["outputs"][name] = float(np.abs(exact - ours).mean() / max(1e-9, np.abs(exact).mean()))
            print(json.dumps(row), flush=True)
            found.append(row)
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--save", type=Path, help="JSON")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no NVIDIA GPU that PyTorch can use; benchmarks/speed.py times processors")
    camera = Camera.sr300(WIDTH, HEIGHT)
    depth = np.random.default_rng(0).uniform(300, 700, (HEIGHT, WIDTH)).astype(np.float32)
    frame = Frame(depth, camera=camera)
    networks = {
        DEFAULT_MODEL: Segmenter.load_network(DEFAULT_MODEL),
        PAPER.title: random_network(PAPER),
        REFERENCE.title: random_network(REFERENCE),
    }
    rows = []
    for title in (DEFAULT_MODEL, PAPER.title):
        for precision in PRECISIONS:
            segmenter = Segmenter.from_network(networks[title], device="cuda", precision=precision)
            times = call_times_ms(lambda segmenter=segmenter: segmenter(frame, camera), options.repeats)
            rows.append(row_of(title, precision, times))
    for title, network in networks.items():
        times = plain_times_ms(network, depth, camera, options.repeats // 4)
        rows.append(row_of(f"{title}, plain", "fp32", times))
    training = []
    for title, network in networks.items():
        batch, width, height = (256, 320, 240) if title == DEFAULT_MODEL else (16, WIDTH, HEIGHT)
        rate = training_rate(network, batch, width, height)
        print(f"training {title}, {width}x{height}, batch {batch}: {rate:.0f} frames/s", flush=True)
        training.append({"network": title, "size": f"{width}x{height}", "batch": batch, "a_second": round(rate)})
    report = {
        "command": shlex.join(["python", "-m", "benchmarks.speed_gpu", *sys.argv[1:]]),
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "rows": rows,
        "training": training,
        "same_labels_percent": agreement(),
        "differences": differences(),
    }
    if options.save is not None:
        write_json_atomically(options.save, report)


if __name__ == "__main__":
    main()
