"""Downloads published weights when somebody asks for it: in pieces that go on, checked, and whole or not at all.

The only place of this package that opens a connection to another machine.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from graspcut.frames.atomic_writing import sync_folder
from graspcut.nn.published_weights import PublishedWeights

_PIECE_BYTES = 1 << 20
_PATIENCE_S = 30.0
# Ten times the largest of them: whatever sends more is something else.
_MOST_BYTES = 5 * 2**30

Progress = Callable[[int, int], None]
"""(bytes that are here, bytes in all)."""


class FetchError(OSError):
    """Weights could not be fetched; the message says why and what to do."""


def fetch(weights: PublishedWeights, folder: str | Path, progress: Progress | None = None) -> Path:
    """Downloads a file of weights, unless it is there already.

    What has come stays beside it as NAME.part, and the next call goes on there.

    Args:
        weights: which.
        folder: where to; is made.
        progress: told as it comes.

    Returns:
        the file.

    Raises:
        FetchError: no connection, another file than the known one, or no room.
    """
    target = Path(folder) / weights.file_name
    if target.exists():
        _check(target, weights)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        _download(weights.url, part, progress)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise FetchError(
            f"{weights.url} could not be read ({reason}). What has come is kept; the same command goes on. Or download "
            f"it elsewhere and put it at {target}"
        ) from error
    try:
        _check(part, weights)
    except FetchError:
        # Going on with it would not make it right.
        part.unlink(missing_ok=True)
        raise
    os.replace(part, target)
    sync_folder(target.parent)
    return target


def _download(url: str, part: Path, progress: Progress | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=_PATIENCE_S)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return  # all of it is here
    with answer:
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0  # the server begins from the start
        total = have + int(answer.headers.get("Content-Length") or 0)
        with part.open("ab" if have else "wb") as file:
            for piece in iter(lambda: cast("IO[bytes]", answer).read(_PIECE_BYTES), b""):
                file.write(piece)
                have += len(piece)
                if have > _MOST_BYTES:
                    raise FetchError(f"{url} sends more than {_MOST_BYTES >> 30} GB; that is not what was looked for")
                if progress is not None:
                    progress(have, max(total, have))
            file.flush()
            os.fsync(file.fileno())
    if have < total:
        raise ConnectionError(f"it ended after {have} of {total} bytes")


def _check(path: Path, weights: PublishedWeights) -> None:
    digest = sha256_of(path)
    if not re.fullmatch("[0-9a-f]{8}", weights.checksum_start) or digest.startswith(weights.checksum_start):
        return
    raise FetchError(
        f"{path} is not the published file: its SHA-256 begins with {digest[:8]}, expected {weights.checksum_start}. "
        "Delete it and fetch it again"
    )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        digest: Any = hashlib.file_digest(file, "sha256")
    return str(digest.hexdigest())
