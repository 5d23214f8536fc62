"""Every depth image of a folder in ten lines: python segment_folder.py FOLDER MILLIMETRES_PER_STEP OUT"""

import sys
from pathlib import Path

import graspcut
from graspcut.frames.images import write_image_atomically

folder, unit_mm, out = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
out.mkdir(parents=True, exist_ok=True)
segmenter = graspcut.Segmenter.load()
for frame in graspcut.open_source(folder, depth_unit_mm=unit_mm):
    result = segmenter(frame)
    write_image_atomically(out / f"{frame.name}.png", result.draw())
    print(frame.name, result)
