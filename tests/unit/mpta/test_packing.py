"""`mpta.packing`: the same files, the same bytes."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from mpta.packing import write_archive


def test_the_same_files_give_the_same_bytes_whatever_their_age_rights_and_order(tmp_path: Path) -> None:
    model = tmp_path / "model.pt"
    model.write_bytes(b"weights" * 1000)
    write_archive(tmp_path / "a.mpta", {"z/model.pt": model, "a.json": b"{}", "pipeline.json": b"{}"})
    os.utime(model, (1, 1))
    model.chmod(0o600)

    write_archive(tmp_path / "b.mpta", {"pipeline.json": b"{}", "a.json": b"{}", "z/model.pt": model})

    assert (tmp_path / "a.mpta").read_bytes() == (tmp_path / "b.mpta").read_bytes()
    with zipfile.ZipFile(tmp_path / "b.mpta") as archive:
        entries = archive.infolist()
        assert archive.read("z/model.pt") == model.read_bytes()
    assert [entry.filename for entry in entries] == ["pipeline.json", "a.json", "z/model.pt"]
    assert {(entry.date_time, entry.compress_type, entry.create_system) for entry in entries} == {
        ((1980, 1, 1, 0, 0, 0), zipfile.ZIP_DEFLATED, 3)
    }
