"""iPhone recordings of the app Record3D (.r3d): a zip of LZFSE-packed float32 metres and JPEG colour.

`metadata` is JSON with the size of the colour pictures (w, h), their intrinsics K (column by column) and the rate;
`rgbd/N.depth` and `rgbd/N.jpg` are the frames. Depth has its own, smaller size: stated in newer files (dw, dh), and in
older ones the factorisation of its length that has the picture's shape.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.importing.stream import FLOAT_UNIT_MM, Stream, StreamFrame, decoded_colour, metres_to_raw

_MOST_BYTES = 64 * 2**20


def open_record3d(path: str | Path) -> Stream:
    """Opens an .r3d file.

    Raises:
        FrameError: If it is no such file.
        ModuleNotFoundError: Without the extra `import`.
    """
    import lzfse

    try:
        archive = zipfile.ZipFile(path)
        metadata: dict[str, Any] = json.loads(_content(archive, "metadata"))
        width, height = int(metadata["w"]), int(metadata["h"])
        matrix = np.array(metadata["K"], dtype=np.float64).reshape(3, 3).T
        colour_camera = Camera(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], width, height)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError) as error:
        raise FrameError(f"{path} is no .r3d file of Record3D ({error!r}); export it again from the app.") from error
    numbers = sorted(
        int(name[5:-6]) for name in archive.namelist() if name.startswith("rgbd/") and name.endswith(".depth")
    )
    if not numbers:
        raise FrameError(f"{path} has no depth frames; record with the LiDAR or TrueDepth camera.")
    rate = float(metadata.get("fps", 60))
    times = metadata.get("frameTimestamps")
    first = _depth(archive, lzfse, numbers[0], metadata)
    picture = decoded_colour(_content(archive, f"rgbd/{numbers[0]}.jpg"), f"{path}, the first picture")
    camera = colour_camera.resized(first.shape[1], first.shape[0])
    colour_camera = colour_camera.resized(picture.shape[1], picture.shape[0])
    sizes = {first.shape}

    def frames() -> Iterator[StreamFrame]:
        for position, number in enumerate(numbers):
            try:
                depth = _depth(archive, lzfse, number, metadata)
                if depth.shape not in sizes:
                    raise FrameError(
                        f"depth {number} is {depth.shape[1]}x{depth.shape[0]} after {sorted(sizes)}; expected one "
                        "size. Recordings that switch cameras have to be cut in the app."
                    )
                colour = decoded_colour(_content(archive, f"rgbd/{number}.jpg"), f"rgbd/{number}.jpg")
            except (FrameError, KeyError, zipfile.BadZipFile, lzfse.error) as error:
                stream.damaged.append(f"frame {number}: {error}")
                continue
            stamp = times[position] if isinstance(times, list) and position < len(times) else position / rate
            yield StreamFrame(metres_to_raw(depth), colour, float(stamp))

    stream = Stream(
        frames, FLOAT_UNIT_MM, camera, colour_camera, expected=numbers[-1] - numbers[0] + 1, close=archive.close
    )
    return stream


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MOST_BYTES:
        raise FrameError(f"{name} unpacks to {archive.getinfo(name).file_size} bytes; expected a frame.")
    return archive.read(name)


def _depth(archive: zipfile.ZipFile, lzfse: Any, number: int, metadata: dict[str, Any]) -> NDArray[np.float32]:
    values = np.frombuffer(lzfse.decompress(_content(archive, f"rgbd/{number}.depth")), dtype="<f4")
    width, height = metadata.get("dw"), metadata.get("dh")
    if isinstance(width, int) and isinstance(height, int) and width * height == values.size:
        return values.reshape(height, width)
    # As the picture is: width over height, in whole numbers that multiply to the number of values.
    wanted = int(metadata["w"]) / int(metadata["h"])
    columns = round(math.sqrt(values.size * wanted))
    for candidate in (columns, columns - 1, columns + 1):
        if candidate > 0 and values.size % candidate == 0:
            return values.reshape(-1, candidate)
    raise FrameError(f"depth {number} has {values.size} values, which fit no picture of shape {wanted:.3f}.")
