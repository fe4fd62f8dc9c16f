"""`worker_api.tls`: certificates that cannot be used are said in one line, at start or later."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import ssl
from pathlib import Path

import pytest

from contract.errors import SettingsInvalid
from tests.integration.worker_api.gateways import CERTIFICATES
from worker_api.tls import Certificate


def serves(context: ssl.SSLContext, name: str) -> bool:
    """Whether somebody who trusts this certificate alone can begin to talk."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusting = ssl.create_default_context(cafile=CERTIFICATES / f"{name}.pem")
    client = trusting.wrap_bio(back, there, server_hostname="localhost")
    server = context.wrap_bio(there, back, server_side=True)
    try:
        for each in (client, server, client):
            with contextlib.suppress(ssl.SSLWantReadError):
                each.do_handshake()
    except ssl.SSLError:
        return False
    return client.version() is not None


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and its key, to be spoilt."""
    certificate, key = tmp_path / "gateway.pem", tmp_path / "gateway-key.pem"
    shutil.copy(CERTIFICATES / "first.pem", certificate)
    shutil.copy(CERTIFICATES / "first-key.pem", key)
    return certificate, key


def test_nothing_older_than_tls_1_2(files: tuple[Path, Path]) -> None:
    assert Certificate(*files).context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("spoilt", "content", "complaint"),
    [
        ("gateway.pem", None, "DETECTOR_TLS_CERT: gateway.pem cannot be read (No such file or directory)"),
        ("gateway-key.pem", None, "DETECTOR_TLS_KEY: gateway-key.pem cannot be read (No such file or directory)"),
        ("gateway.pem", "nonsense", "cannot be used (no certificate and key in PEM form)"),
        ("gateway-key.pem", "second-key.pem", "cannot be used (key values mismatch)"),
        ("gateway-key.pem", "locked-key.pem", "DETECTOR_TLS_KEY: gateway-key.pem has a password; give it one without"),
    ],
)
def test_files_that_cannot_be_used_are_named_in_one_line(
    files: tuple[Path, Path], spoilt: str, content: str | None, complaint: str
) -> None:
    path = files[0].parent / spoilt
    path.unlink()
    if content is not None:
        source = CERTIFICATES / content
        path.write_text(source.read_text() if source.exists() else content)

    with pytest.raises(SettingsInvalid) as caught:
        Certificate(*files)

    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(path.parent) not in str(caught.value)


def test_a_change_that_cannot_be_used_is_told_once(files: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    certificate = Certificate(*files)
    shutil.copy(CERTIFICATES / "second.pem", files[0])
    os.utime(files[0], ns=(1, 1))

    with caplog.at_level(logging.INFO):
        certificate.refresh()
        certificate.refresh()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "the old one serves on" in caplog.text
    assert serves(certificate.context, "first")

    shutil.copy(CERTIFICATES / "second-key.pem", files[1])
    os.utime(files[1], ns=(1, 1))
    caplog.clear()
    with caplog.at_level(logging.INFO):
        certificate.refresh()
        certificate.refresh()
    assert [record.message for record in caplog.records] == ["the certificate has been read again"]
    assert serves(certificate.context, "second")
    assert not serves(certificate.context, "first")
