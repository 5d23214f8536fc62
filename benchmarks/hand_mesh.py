"""The skinned hand that the long training draws half of its hands with: fetched once, checked, never part of the tree.

    python -m benchmarks.hand_mesh runs/hand-mesh

It is `dist/profiles/generic-hand/right.glb` of the npm package @webxr-input-profiles/assets (MIT), whose archive has
94 MB. Where nothing can be fetched, unpack the package elsewhere and name the file to the benchmark.
"""

from __future__ import annotations

import argparse
import hashlib
import tarfile
from pathlib import Path

from graspcut.cli.progress import byte_progress
from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.nn.fetching import FetchError, fetch
from graspcut.nn.published_weights import PublishedWeights

ARCHIVE = PublishedWeights(
    name="webxr-hands",
    url="https://registry.npmjs.org/@webxr-input-profiles/assets/-/assets-1.0.20.tgz",
    megabytes=94,
    licence="MIT",
    fits="graspcut synth --hand-mesh",
)
_MEMBER = "package/dist/profiles/generic-hand/right.glb"
_SHA_256 = "291790c14f7f88a7f9bd35330c47392ed8e8d395ae6728f4bb7089f1bc1f2b96"


def fetched_hand_mesh(folder: Path) -> Path:
    """The mesh in `folder`, fetched if it is not there yet.

    Raises:
        FetchError: no connection, or the archive holds another file than the known one.
    """
    target = folder / "right.glb"
    if target.exists():
        return target
    with byte_progress(ARCHIVE.file_name) as progress:
        archive = fetch(ARCHIVE, folder, progress)
    write_bytes_atomically(target, extracted(archive))
    archive.unlink()
    return target


def extracted(archive: Path) -> bytes:
    """The mesh out of the package's archive.

    Raises:
        FetchError: it is damaged, or another version.
    """
    try:
        with tarfile.open(archive) as files:
            member = files.extractfile(_MEMBER)
            content = b"" if member is None else member.read()
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise FetchError(f"{archive} is no archive with {_MEMBER} ({error}); delete it and fetch it again") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != _SHA_256:
        raise FetchError(
            f"{_MEMBER} in {archive} is not the known file: its SHA-256 begins with {digest[:8]}, expected "
            f"{_SHA_256[:8]}"
        )
    return content


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    print(fetched_hand_mesh(parser.parse_args().folder))


if __name__ == "__main__":
    main()
