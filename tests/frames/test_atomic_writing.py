"""Files are written whole or not at all, whatever their names, and leave nothing behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from graspcut.frames import atomic_writing
from graspcut.frames.atomic_writing import (
    WriteBatch,
    make_output_folder,
    remove_abandoned_files,
    write_bytes_atomically,
)


@pytest.mark.parametrize("name", ["a" * 251 + ".png", "ü" * 125 + ".png", "-x", "~", "a b\n.png"])
def test_every_legal_name_can_be_written(tmp_path: Path, name: str) -> None:
    write_bytes_atomically(tmp_path / name, b"content")
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"content"


def test_content_reaches_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    sync, replace = os.fsync, os.replace

    def watched_sync(descriptor: int) -> None:
        order.append("sync folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "sync file")
        sync(descriptor)

    def watched_replace(source: Path, target: Path) -> None:
        order.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(os, "replace", watched_replace)
    write_bytes_atomically(tmp_path / "a", b"1")
    assert order == ["sync file", "name", "sync folder"]
    order.clear()

    def sync_all(_folder: Path) -> bool:
        order.append("sync all")
        return True

    monkeypatch.setattr(atomic_writing, "_sync_file_system", sync_all)
    with WriteBatch() as batch:
        batch.add((tmp_path / "b", b"1"), (tmp_path / "c", b"2"))
        batch.add((tmp_path / "d", b"3"))
        assert order == [] and not (tmp_path / "b").exists()
    assert order == ["sync all"] + ["name"] * 3 + ["sync folder"]
    order.clear()
    monkeypatch.setattr(atomic_writing, "_sync_file_system", lambda _folder: False)
    with WriteBatch() as batch:
        batch.add((tmp_path / "b", b"1"), (tmp_path / "c", b"2"), (tmp_path / "d", b"3"))
    assert order == ["sync file"] * 3 + ["name"] * 3 + ["sync folder"]
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c", "d"]


def test_a_batch_flushes_by_count_and_by_age(tmp_path: Path) -> None:
    by_count = WriteBatch(files=2, seconds=1000)
    by_count.add((tmp_path / "a", b""))
    assert not (tmp_path / "a").exists()
    by_count.add((tmp_path / "b", b""))
    by_age = WriteBatch(files=1000, seconds=-1)
    by_age.add((tmp_path / "c", b""))
    # In threads of their own: this one goes on at once.
    deadline = time.monotonic() + 20
    while len([name for name in os.listdir(tmp_path) if not name.startswith(".")]) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


def test_errors_of_the_waiting_thread_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_source: object, _target: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    batch = WriteBatch(files=1)
    monkeypatch.setattr(os, "replace", refuse)
    batch.add((tmp_path / "a.png", b"1"))
    with pytest.raises(OSError, match=r"cannot be written \(Input/output error\).*a\.png"):
        batch.flush()
    assert os.listdir(tmp_path) == []
    batch.flush()


def test_a_full_disk_names_the_file_and_the_size_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _data: bytes) -> None:
        _path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic_writing, "_write", full)
    content = (tmp_path / "big.bin", bytes(2_500_000))
    with pytest.raises(OSError, match=r"the disk is full: 2\.500 MB are needed.*big\.bin"):
        write_bytes_atomically(*content)
    with pytest.raises(OSError, match=r"the disk is full: 2\.500 MB are needed.*big\.bin"):
        WriteBatch().add(content)
    assert os.listdir(tmp_path) == []


def test_an_output_folder_that_cannot_be_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below" / "more"):
        with pytest.raises(OSError, match=r"file is a file; expected a folder"):
            make_output_folder(place)
    assert make_output_folder(tmp_path / "a" / "b").is_dir()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(PermissionError, match=r"--out .*a cannot be written to \(Permission denied\)"):
        make_output_folder(tmp_path / "a")


def test_files_of_killed_processes_are_removed_and_those_of_living_ones_kept(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from graspcut.frames.atomic_writing import WriteBatch\n"
        "WriteBatch().add((Path(sys.argv[1]) / 'x', b'half')); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert len(os.listdir(tmp_path)) == 1
    mine = WriteBatch()
    mine.add((tmp_path / "mine", b""))
    assert len(os.listdir(tmp_path)) == 2
    remove_abandoned_files(tmp_path)
    assert len(os.listdir(tmp_path)) == 1
    mine.flush()
    assert os.listdir(tmp_path) == ["mine"]
