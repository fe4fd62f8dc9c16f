"""Every setting of every process: environment variables `DETECTOR_…`, a `.env` file, the older `config.json`.

Environment variables win over `.env`, `.env` over `config.json` (found in the working directory, or named by
`DETECTOR_CONFIG_FILE`). A value that makes no sense stops the process at start with one line (`load`).
"""

from __future__ import annotations

import functools
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from contract.addresses import Allowed
from contract.errors import SettingsInvalid
from contract.urls import redact

PREFIX = "DETECTOR_"

#: The older single-process worker's `config.json` keys, and what each is called here.
OLDER_KEYS = {
    "poll_interval_ms": "poll_interval_ms",
    "max_streams": "max_streams",
    "target_fps": "target_fps",
    "reconnect_interval_sec": "reconnect_interval_seconds",
    "max_retries": "max_retries",
}

Url = Annotated[str | None, Field(description="redis://, rediss:// or unix:// address of a Redis or Valkey server")]
Paths = Annotated[tuple[Path, ...], NoDecode]
Words = Annotated[tuple[str, ...], NoDecode]

#: What somebody may put there by mistake is a secret: no complaint repeats it.
HIDDEN = frozenset({"tokens", "flower_basic_auth"})

_TOKEN = re.compile(r"[\w.-]{1,64}:[0-9a-f]{64}", re.ASCII)
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/?#@\s]+")


class Settings(BaseSettings):
    """The whole configuration, read once per process. Field names in upper case after `DETECTOR_` are the variables."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True, populate_by_name=True
    )

    # Servers
    state_url: Url = Field(default=None, description="subscriptions, work, results; unset: embedded in `detector up`")
    frames_url: Url = Field(default=None, description="the newest frame of each camera; unset: same as state")
    broker_url: Url = Field(default=None, description="Celery's queue; unset: same as state")
    key_prefix: str = Field("detector:", pattern=r"^[A-Za-z0-9_:.-]*$", description="put before every Redis key")
    data_dir: Path = Field(Path(".detector"), description="embedded servers' files and the model cache")

    # Gateway
    host: str = Field("127.0.0.1", description="address that the gateway listens on; 0.0.0.0 for all")
    port: int = Field(8000, ge=0, le=65535, description="gateway's port: WebSocket and HTTP; 0: any free one")
    tokens: Words = Field((), description="who may enter, as `detector token` prints it (comma-separated); unset: all")
    tls_cert: Path | None = Field(
        default=None, description="PEM file of the certificate and its chain, read again when it changes; unset: no TLS"
    )
    tls_key: Path | None = Field(default=None, description="PEM file of the certificate's key, without a password")
    origins: Words = Field(
        (), description="web pages that may connect, https://host:port each (comma-separated); unset: of the same host"
    )
    max_connections: int = Field(1000, ge=1, description="CMS connections of one gateway")
    max_streams: int = Field(1000, ge=1, description="subscriptions in the whole cluster")
    max_message_bytes: int = Field(65536, ge=1024, description="largest message that a CMS may send")
    max_messages_per_second: float = Field(50, gt=0, description="messages per second and connection, over ten seconds")
    subscription_grace_seconds: float = Field(60, ge=0, description="a CMS that dropped off keeps its subscriptions")
    empty_detections: Literal["on_change", "always", "never"] = Field(
        "on_change", description="when to say that nothing is seen"
    )
    patch_after_seconds: float = Field(10, gt=0, description="a detection captured longer ago is late: no longer live")
    replay: Literal["patch", "all", "none"] = Field(
        "patch", description="late detections: as patchSession of their sessions, all as imageDetection, or not at all"
    )
    results_max_mb: int = Field(512, ge=1, description="memory of the stream of results on the state server, in MB")

    # Cameras
    target_fps: float = Field(10, gt=0, le=60, description="detections/s of a subscription that names none")
    media_dirs: Paths = Field((Path("media"),), description="file sources: only below these (colon-separated)")
    camera_hosts: Words = Field(
        (), description="hosts that cameras may have: name, .domain, address, CIDR (comma-separated); unset: any"
    )
    webcams: bool = Field(False, description="cameras plugged into the host of capture may be read, as webcam://0")
    poll_interval_ms: int = Field(1000, ge=50, description="snapshot interval of a subscription that names none, in ms")
    connect_timeout_seconds: float = Field(5, gt=0, description="opening a camera may take this long")
    connects_per_second: float = Field(5, gt=0, description="connections made to one address, such as a recorder's")
    read_timeout_seconds: float = Field(5, gt=0, description="a camera silent for longer is reconnected")
    reconnect_interval_seconds: float = Field(0.5, gt=0, description="first wait before a reconnect; doubles to 30 s")
    max_retries: int = Field(-1, ge=-1, description="reconnects in a row before a camera is given up; -1: never")
    frozen_seconds: float = Field(60, ge=0, description="a picture that stays the same for so long is frozen; 0: never")
    flawed_images: Literal["report", "suppress"] = Field(
        "report", description="pictures that are black, covered, defocused or frozen: say so, or detect nothing in them"
    )
    jpeg_quality: int = Field(85, ge=1, le=100, description="of frames that capture has to encode")
    capture_cell_size: int = Field(
        8, ge=0, description="cameras that share a process, and its fate; 0: all in threads of the daemon"
    )
    capture_capacity: int = Field(64, ge=1, description="cameras that one capture daemon takes")

    # Detection
    model_dirs: Paths = Field((Path("models"),), description="file packages: only below these (colon-separated)")
    model_hosts: Words = Field(
        (), description="hosts that packages may come from: name, .domain, address, CIDR (comma-separated); unset: any"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:N")
    batch_max: int | None = Field(None, ge=1, le=256, description="frames per batch; unset: 4 on CPU, 16 on a GPU")
    torch_threads: int | None = Field(None, ge=1, description="CPU threads of one forward pass; unset: torch decides")
    model_max_mb: int = Field(1024, ge=1, description="largest package that is fetched, in MB")
    model_fetch_seconds: float = Field(300, gt=0, description="fetching a package may take this long")
    model_retry_seconds: float = Field(30, gt=0, description="longest wait before a package that failed is tried again")
    model_refresh_seconds: float = Field(60, gt=0, description="how often to ask whether a package has a new version")
    model_memory_mb: int | None = Field(
        None, ge=1, description="memory of a worker's models, beyond it idle ones are unloaded; unset: no limit"
    )
    model_cache_mb: int = Field(10_000, ge=1, description="packages kept on disk below the data directory, in MB")
    model_cache_days: float = Field(30, gt=0, description="packages that nobody used for so long are removed from it")
    action_max_age_seconds: float = Field(
        30, gt=0, description="an action of a package that could not be run for so long is dropped: too late is worse"
    )
    package_env: str = Field(
        "*_REDIS_PASSWORD",
        description="variables that packages may name as password: patterns (comma-separated), NAME@HOST: for one host",
    )
    strict_packages: bool = Field(False, description="refuse a package of which a part would be switched off")
    verify_on_load: bool = Field(
        False, description="run a package's own golden cases before it is used, and refuse it when one fails"
    )

    # Operation
    flower: bool = Field(True, description="run Flower beside the rest in `detector up` and `detector demo`")
    flower_port: int = Field(5555, ge=0, le=65535, description="Flower's port, loopback only")
    flower_basic_auth: str | None = Field(
        default=None, description="user:password for Flower; unset: no login (loopback only)"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level that is logged")
    log_format: Literal["text", "json"] = Field("text", description="text for people, json for collectors")
    log_file: Path | None = Field(
        default=None, description="also log to this file, with the role in its name (rotated at 10 MB, 5 kept)"
    )

    @field_validator("model_dirs", "media_dirs", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return tuple(Path(part) for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    @field_validator("tokens", "origins", "camera_hosts", "model_hosts", mode="before")
    @classmethod
    def _split_words(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("tokens")
    @classmethod
    def _hashed_tokens(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_TOKEN.fullmatch(each) for each in value):
            raise ValueError("expected name:sha256, as `detector token` prints it, and not the token itself")
        return value

    @field_validator("tls_key")
    @classmethod
    def _both_of_tls(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if (value is None) != (info.data.get("tls_cert") is None):
            raise ValueError("TLS needs both a certificate and its key: DETECTOR_TLS_CERT and DETECTOR_TLS_KEY")
        return value

    @field_validator("origins")
    @classmethod
    def _whole_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        lower = tuple(each.lower().rstrip("/") for each in value)
        if not all(_ORIGIN.fullmatch(each) for each in lower):
            raise ValueError("expected origins like https://cms.example or http://cms.example:8080, or *")
        return lower

    @field_validator("camera_hosts", "model_hosts")
    @classmethod
    def _known_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        Allowed.of(value, "")
        return value

    @field_validator("state_url", "frames_url", "broker_url")
    @classmethod
    def _known_scheme(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("expected an address that starts with redis://, rediss:// or unix://")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @property
    def state(self) -> str:
        """Address of the state server."""
        return self.state_url or "redis://127.0.0.1:6379/0"

    @property
    def frames(self) -> str:
        """Address of the frames server."""
        return self.frames_url or self.state

    @property
    def broker(self) -> str:
        """Address of Celery's broker."""
        return self.broker_url or self.state

    @property
    def allowed_cameras(self) -> Allowed:
        """The hosts that camera URLs may have."""
        return Allowed.of(self.camera_hosts, f"{PREFIX}CAMERA_HOSTS")

    @property
    def allowed_models(self) -> Allowed:
        """The hosts that package URLs may have."""
        return Allowed.of(self.model_hosts, f"{PREFIX}MODEL_HOSTS")

    @property
    def results_retention_ms(self) -> int:
        """How long a result stays in the stream: the grace of a lost CMS and four minutes more."""
        return int((self.subscription_grace_seconds + 240) * 1000)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the older `config.json` below everything else."""
        return (
            init_settings,
            env_settings,
            dotenv_settings,
            file_secret_settings,
            InitSettingsSource(settings_cls, _older_config()),
        )


def _older_config() -> dict[str, Any]:
    """Return the settings that an older worker's `config.json` holds; keys that we do not know are left alone."""
    named = os.environ.get(f"{PREFIX}CONFIG_FILE")
    path = Path(named or "config.json")
    if not path.is_file():
        if named:
            raise SettingsInvalid(f"{PREFIX}CONFIG_FILE: there is no file {path.name!r}")
        return {}
    try:
        content = json.loads(path.read_text())
    except ValueError as exc:
        raise SettingsInvalid(f"{path.name}: not JSON ({exc})") from exc
    if not isinstance(content, dict):
        raise SettingsInvalid(f"{path.name}: expected one JSON object")
    return {ours: content[older] for older, ours in OLDER_KEYS.items() if older in content}


@functools.cache
def load() -> Settings:
    """Return this process's settings; the first call reads them.

    Raises:
        SettingsInvalid: one line that names each variable that makes no sense, what it holds and what was expected.
    """
    try:
        return Settings()
    except ValidationError as exc:
        raise SettingsInvalid("; ".join(map(_fault, exc.errors()))) from None


def _fault(error: ErrorDetails) -> str:
    name = "_".join(map(str, error["loc"]))
    value = "…" if name in HIDDEN else redact(repr(error["input"]))
    return f"{PREFIX}{name.upper()}={value}: {error['msg']}"
