"""What to do with files that hold depth and are not read here: each message says how to come from there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_SIZES: Final = (
    (640, 480),
    (320, 240),
    (160, 120),
    (1280, 720),
    (848, 480),
    (640, 360),
    (424, 240),
    (480, 270),
    (512, 424),
    (640, 576),
    (1024, 1024),
    (512, 512),
    (320, 288),
    (1024, 768),
    (240, 180),
    (224, 171),
)

_RAW: Final = (
    "bare numbers without a header. If you know size and type: "
    "numpy.save('depth.npy', numpy.fromfile({name!r}, {dtype}).reshape({height}, {width})){guess}"
)
_TEXT: Final = "numbers as text: numpy.save('depth.npy', numpy.loadtxt({name!r}{delimiter}))"
_HOW: Final = {
    ".mat": "a MATLAB file: d = scipy.io.loadmat({name!r}) (version 7.3: h5py.File), then "
    "numpy.save('depth.npy', d['depth'])",
    ".h5": "an HDF5 file: f = h5py.File({name!r}), then numpy.save('depth.npy', f['depth'][...])",
    ".bag": "a recording of RealSense or ROS: graspcut import {name} --out my-recording, or for RealSense "
    "rs-convert -i {name} -p depth/ which writes PNG",
    ".db3": "a ROS 2 bag: graspcut import {name} --out my-recording",
    ".mkv": "a Matroska video: graspcut import {name} --out my-recording reads an Azure Kinect's, whose depth is the "
    "second track (ffmpeg -i {name} -map 0:1 -pix_fmt gray16be -vsync 0 depth/%06d.png)",
    ".r3d": "a recording of Record3D: graspcut import {name} --out my-recording",
    ".oni": "an OpenNI recording: NiViewer or the openni Python package play it; write each depth frame as 16-bit PNG",
    ".svo": "a ZED recording: ZED_SVO_Export {name} out/ 4 writes 16-bit depth PNG",
    ".klg": "an ElasticFusion log: unpack each frame with zlib and numpy.frombuffer(.., numpy.uint16)",
    ".pcd": "a point cloud: with open3d or pypcd4, take z in its rows and columns and save (height, width) as .npy",
    ".pkl": "a Python pickle, which can run code. Where you trust it: "
    "numpy.save('depth.npy', pickle.load(open({name!r}, 'rb'))['depth'])",
    ".zip": "an archive: unpack it and give the folder",
    ".jpg": "JPEG, whose lossy 8 bits cannot hold depth: export 16-bit PNG from the camera's own program",
    ".mp4": "a video, whose lossy 8 bits cannot hold depth: export 16-bit PNG from the camera's own program",
    ".webp": "an 8-bit picture, which cannot hold depth: export 16-bit PNG from the camera's own program",
}
_ALIKE: Final = {
    ".hdf5": ".h5",
    ".mcap": ".db3",
    ".ply": ".pcd",
    ".xyz": ".pcd",
    ".las": ".pcd",
    ".pickle": ".pkl",
    ".tar": ".zip",
    ".gz": ".zip",
    ".7z": ".zip",
    ".rar": ".zip",
    ".svo2": ".svo",
    ".jpeg": ".jpg",
    ".avi": ".mp4",
    ".mov": ".mp4",
    ".webm": ".mp4",
    ".gif": ".webp",
    ".bmp": ".webp",
    ".heic": ".webp",
    ".ppm": ".webp",
}


def how_to_convert(path: Path) -> str | None:
    """How to come from a file to one that is read here, or None if nothing is known about its ending."""
    suffix = path.suffix.lower()
    if suffix in (".bin", ".raw", ".dat", ".depth", ".dep"):
        return _raw(path)
    if suffix in (".csv", ".txt", ".tsv"):
        return _TEXT.format(name=path.name, delimiter=", delimiter=','" if suffix == ".csv" else "")
    text = _HOW.get(_ALIKE.get(suffix, suffix))
    return None if text is None else text.format(name=path.name)


def _raw(path: Path) -> str:
    try:
        size = os.stat(path).st_size
    except OSError:
        size = 0
    for width, height in _SIZES:
        for dtype, width_bytes in (("numpy.uint16", 2), ("numpy.float32", 4)):
            if width * height * width_bytes == size:
                guess = f" (its {size} bytes are those of one {width}x{height} frame of this type)"
                return _RAW.format(name=path.name, dtype=dtype, width=width, height=height, guess=guess)
    guess = f" (it has {size} bytes)"
    return _RAW.format(name=path.name, dtype="numpy.uint16", width="width", height="height", guess=guess)
