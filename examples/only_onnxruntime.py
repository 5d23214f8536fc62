"""An exported graph with nothing but NumPy and ONNX Runtime: python only_onnxruntime.py GRAPH.onnx DEPTH.npy OUT.npy

    graspcut export dense-attention-small --out exported
    python only_onnxruntime.py exported/model.onnx depth.npy labels.npy

ONNX Runtime sends usage data of its own unless the environment variable ORT_DISABLE_TELEMETRY is 1; graspcut sets it.
The graph takes frames of any size: millimetres, 0 where there is no data.
"""

import sys

import numpy as np
import onnxruntime

graph, depth_file, labels_file = sys.argv[1:4]
session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
depth_mm = np.load(depth_file).astype(np.float32)[np.newaxis]  # (1, H, W)
inputs = {
    "depth_mm": depth_mm,
    "focal_px": np.array([0.745 * depth_mm.shape[2]], np.float32),  # of your camera, in pixels of this image
    "sensitivity": np.array([1.0], np.float32),  # below 1: fewer false hands and objects
}
wanted = {entry.name for entry in session.get_inputs()}
labels, probabilities = session.run(["labels", "probabilities"], {name: inputs[name] for name in wanted})
np.save(labels_file, labels[0])  # (H, W) uint8: 0 background, 1 hand, 2 object
print(f"{np.count_nonzero(labels == 1)} hand pixels, {np.count_nonzero(labels == 2)} object pixels")
