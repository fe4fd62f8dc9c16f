"""Writing a package: the same files give the same bytes, whoever packs them, wherever and whenever."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from mpta.package import MANIFEST

#: What made the archive; as on every system, so that all write the same.
_UNIX = 3


def write_archive(target: Path | IO[bytes], files: Mapping[str, Path | bytes]) -> None:
    """Write a `.mpta` of these files by their paths inside it: pipeline.json first, the others by name.

    Nothing is checked: `open_package` does that. The bytes depend on the files and on zlib's version, nothing else.
    """
    # An entry that is opened by its name alone gets the earliest time that a zip can hold, not the current one.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files, key=lambda name: (name != MANIFEST, name)):
            content = files[name]
            source = io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
            with source, archive.open(name, "w") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            entry = archive.getinfo(name)
            entry.create_system, entry.external_attr = _UNIX, 0o644 << 16
