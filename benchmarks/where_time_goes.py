"""Where OpenVINO spends a frame: milliseconds by part of the graph and by kind of operation.

python benchmarks/where_time_goes.py dense-attention-small --precision int8
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict

import numpy as np

from graspcut.runtime.graph_files import find_graph
from graspcut.runtime.model_folder import find_model_folder
from graspcut.runtime.openvino_core import shared_core
from graspcut.runtime.openvino_session import static_model

# First match wins. Names are those of the modules the graph was traced from.
PARTS = (
    ("encoding: millimetres to channels", r"/encoding/"),
    ("encoder", r"/encoder/"),
    ("attention and squeeze", r"/(attention|squeeze)"),
    ("decoder", r"/decoder/|ConvolutionBackpropData|Multiply_"),
    ("sampling, guided upsampling and labels", r""),
)
RUNS = 50


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="shipped model's name or model folder with graphs")
    parser.add_argument("--precision", default="int8", choices=("fp32", "int8"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    path = find_graph(find_model_folder(options.model), "onnxruntime", options.precision)
    if path is None:
        parser.error(f"{options.model} has no {options.precision} graph")
    core = shared_core()
    frame = np.random.default_rng(0).uniform(500, 600, (1, 480, 640)).astype(np.float32)
    model = static_model(core.read_model(path), {"depth_mm": frame}, {"focal_px": np.array([480.0], dtype=np.float32)})
    settings = {"INFERENCE_NUM_THREADS": options.threads, "INFERENCE_PRECISION_HINT": "f32", "PERF_COUNT": True}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    by_part: dict[str, list[float]] = defaultdict(list)
    by_kind: dict[str, list[float]] = defaultdict(list)
    for _ in range(RUNS):
        request.infer({"depth_mm": frame})
        parts: dict[str, float] = defaultdict(float)
        kinds: dict[str, float] = defaultdict(float)
        for entry in request.get_profiling_info():
            part = next(title for title, pattern in PARTS if re.search(pattern, entry.node_name))
            milliseconds = entry.real_time.total_seconds() * 1000
            parts[part] += milliseconds
            kinds[f"{entry.node_type} ({entry.exec_type})"] += milliseconds
        for name, value in parts.items():
            by_part[name].append(value)
        for name, value in kinds.items():
            by_kind[name].append(value)
    for title, table in (("part", by_part), ("operation", by_kind)):
        medians = sorted(((float(np.median(values)), name) for name, values in table.items()), reverse=True)
        print(f"\n| {title} | median ms |\n|---|---|")
        for value, name in medians[:14]:
            print(f"| {name} | {value:.2f} |")


if __name__ == "__main__":
    main()
