"""Every setting, with its default and range, in one tree.

Flags over environment (`MATINEE_GATEWAY__PORT`) over `matinee.toml` (or the file `MATINEE_CONFIG`
names) over the defaults here. All is validated at start, every fault named at once with its path;
unknown keys are refused.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from bus_schemas.limits import ACCESS_UNIT_MAX, KICK_COOLDOWN_MAX_S

PREFIX: Final = "MATINEE_"
CONFIG_ENV: Final = "MATINEE_CONFIG"
NOT_SETTINGS: Final = frozenset(
    {CONFIG_ENV, "MATINEE_REQUIRE_BROWSER", "MATINEE_CONFIG_FILE", "MATINEE_VERSION"}
)
"""Variables with our prefix that are no settings of a process."""

SECRET_MIN: Final = 16
Port = Annotated[int, Field(ge=0, le=65_535)]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+[^\s]*$", max_length=2_000)]


class SettingsError(Exception):
    """Settings that cannot be used: one line a fault, each with its path."""


class Section(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class LogSettings(Section):
    """Logs: JSON lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe line that is written."""
    format: Literal["json", "text"] = "json"
    """`text` for a person at a terminal."""


class MetricsSettings(Section):
    """Where each process answers /metrics, /healthz and /readyz."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 0
    """0: any free port, logged at start."""
    streams: int = Field(default=100, ge=0, le=5_000)
    """Streams that have series of their own in a process, the greatest first; the rest are one, `other`."""


class LimitSettings(Section):
    """Rates and bounds that an operator tunes."""

    enabled: bool = True
    """False turns rate and connection limits off, for benchmarks."""
    sign_ins_per_minute: int = Field(default=20, ge=1)
    """Sign-ins and registrations per address."""
    guests_per_minute: int = Field(default=60, ge=1)
    """Guests per address."""
    requests_per_second: int = Field(default=100, ge=1)
    """HTTP API requests per address."""
    chat_per_second: int = Field(default=10, ge=1)
    """Chat messages per user and room."""
    danmaku_per_second: int = Field(default=3, ge=1)
    """Danmaku per user and room."""
    commands_per_second: int = Field(default=20, ge=1)
    """Playback commands per user and room."""
    frames_per_second: int = Field(default=100, ge=1)
    """Socket frames per connection."""
    sockets_per_address: int = Field(default=200, ge=1)
    """Open sockets per address and gateway."""
    viewers_per_address: int = Field(default=500, ge=1)
    """Viewer sessions of all protocols per address and gateway."""
    viewers_per_stream: int = Field(default=0, ge=0)
    """Viewers a stream may have over all gateways and protocols; 0: any number."""
    streams_per_user: int = Field(default=100, ge=1)
    """Streams a user may own."""
    rooms_per_user: int = Field(default=100, ge=1)
    """Rooms a user may own."""
    items_per_room: int = Field(default=2_000, ge=1)
    """Playlist items of a room."""


class RoomsSettings(Section):
    """Rooms."""

    kick_cooldown_s: int = Field(default=60, ge=0, le=KICK_COOLDOWN_MAX_S)
    """How long one who was put out of a room stays out, in seconds, where the room itself does not say."""
    idle_days: int = Field(default=0, ge=0, le=36_500)
    """A room in which nobody was for so many days is deleted with all that is in it; 0: none ever is."""


class AuthSettings(Section):
    """Accounts and tokens."""

    registration: Literal["open", "invite", "closed"] = "open"
    """Who may register; `invite`: with a code that an admin of the site made (`matinee user invite`)."""
    access_token_s: int = Field(default=900, ge=30, le=86_400)
    """Life of an access token."""
    guest_token_s: int = Field(default=86_400, ge=60, le=30 * 86_400)
    """Life of a guest's access token, which cannot be refreshed."""
    refresh_token_s: int = Field(default=30 * 86_400, ge=3_600)
    """Life of a refresh token; each use replaces it."""
    play_token_s: int = Field(default=300, ge=30, le=86_400)
    """Life of a play token of a private stream."""
    issuer: str = "matinee"
    """`iss` of our tokens."""
    argon2_memory_kib: int = Field(default=19_456, ge=8_192)
    """Argon2id memory (OWASP's first choice: 19 MiB, 2 passes, 1 lane)."""
    argon2_passes: int = Field(default=2, ge=1)
    """Argon2id passes."""


class GatewaySettings(Section):
    """The HTTP edge."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 8080
    """The public port, shared by all gateways of a host (SO_REUSEPORT)."""
    own_port: Port = 0
    """A port of this gateway alone; 0: any free one."""
    public_url: str = ""
    """Origin in links, like `https://watch.example`; empty: the request's own."""
    public_rtmp_url: str = ""
    """RTMP address shown to publishers; empty: the request's host and the RTMP port."""
    rtmp_port: Port = 1935
    """The RTMP port shown where `public_rtmp_url` is empty."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) whose forwarded headers count."""
    header_s: float = Field(default=15.0, gt=0, le=600)
    """How long a connection may take to send the head of its next request, idle or in pieces, in seconds."""
    body_s: float = Field(default=20.0, gt=0, le=600)
    """How long a request's body may take, in seconds."""
    ping_s: float = Field(default=20.0, ge=0.2, le=60)
    """How often a socket is asked whether somebody is there; two missed and it is closed, in seconds."""
    token_grace_s: float = Field(default=60.0, ge=0, le=3_600)
    """How long a socket lives on after its token expired, in seconds: time to bring a fresher one."""
    static_dir: str = ""
    """The built browser client; empty: the one beside the code."""


class IngestSettings(Section):
    """RTMP in."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    rtmp_port: Port = 1935
    """RTMP port, shared by all ingest workers of a host (SO_REUSEPORT)."""
    rtmps_port: Port = 1936
    """RTMPS port, shared likewise; listened on only where a certificate is set."""
    tls_certificate: str = ""
    """PEM file with the certificate and its chain; read again when it changes."""
    tls_key: str = ""
    """PEM file with its key; empty: in the certificate's file."""
    max_connections: int = Field(default=1_000, ge=1)
    """Open connections per worker; one more is closed at once."""
    handshake_timeout_s: float = Field(default=5, gt=0)
    """From connecting to an accepted publish."""
    idle_timeout_s: float = Field(default=15, gt=0)
    """A publisher who sends nothing for so long is lost."""
    max_bitrate_kbps: int = Field(default=20_000, ge=100)
    """Per stream, averaged over 5 s, where its key sets none: what sizes the LIVE stream."""
    max_access_unit_bytes: int = Field(default=ACCESS_UNIT_MAX, ge=64 << 10, le=ACCESS_UNIT_MAX)
    """Of one frame; a greater one is refused and counted."""
    max_duration_s: int = Field(default=0, ge=0)
    """A publish that lasts longer is ended; 0: none is."""
    on_conflict_limit: int = Field(default=3, ge=1)
    """Takeovers of a stream in 30 s before newcomers get BadName."""
    statistics_s: float = Field(default=5, gt=0)
    """Interval of statistics events."""


class TransmuxSettings(Section):
    """CMAF packaging."""

    max_jobs: int = Field(default=50, ge=1)
    """Streams one worker packages."""
    grace_s: float = Field(default=15, ge=1)
    """A lost publisher's stream is ended after this silence."""


class SyncSettings(Section):
    """Playback."""

    lead_min_ms: int = Field(default=300, ge=0)
    """Least time between a play or seek and the moment it takes effect."""
    lead_max_ms: int = Field(default=1_500, ge=0)
    """Most of it."""
    concurrency: int = Field(default=64, ge=1)
    """Commands handled at once by one worker."""


class ChatSettings(Section):
    """Chat and danmaku."""

    concurrency: int = Field(default=64, ge=1)
    """Submissions handled at once by one worker."""
    blocked_words: tuple[str, ...] = ()
    """Words replaced by asterisks in chat and danmaku."""


class LiveSettings(Section):
    """Delivery of live streams."""

    ring_s: float = Field(default=15, gt=0)
    """Seconds of a stream a gateway keeps for viewers."""
    ring_bytes: int = Field(default=48 << 20, ge=1 << 20)
    """Bytes of them."""
    stall_s: float = Field(default=15, gt=0)
    """A viewer who takes nothing for so long is closed; any other client after twice that."""
    linger_s: float = Field(default=10, ge=0)
    """A stream is pulled for so long after its last viewer left."""
    referrers: tuple[Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$")], ...] = ()
    """Hosts whose pages may play beside our own, such as `example.com` or `*.example.com`; empty: any page."""


class HookSettings(Section):
    """HTTP hooks: each a list of URLs that get a POST with SRS's names, signed; all must allow."""

    on_publish: tuple[HttpUrl, ...] = ()
    """Asked before somebody publishes; may rename the stream, set its title and limits."""
    on_unpublish: tuple[HttpUrl, ...] = ()
    """Told when a publish is over."""
    on_play: tuple[HttpUrl, ...] = ()
    """Asked before somebody plays."""
    on_stop: tuple[HttpUrl, ...] = ()
    """Told when a viewer is gone."""
    secret: SecretStr = SecretStr("")
    """Key of the signature (HMAC-SHA256); wanted as soon as a hook is set, at least 16 characters."""
    timeout_s: float = Field(default=3, ge=0.1, le=10)
    """What is not allowed within this time is denied."""

    @model_validator(mode="after")
    def _signed(self) -> HookSettings:
        if (self.on_publish or self.on_unpublish or self.on_play or self.on_stop) and len(
            self.secret.get_secret_value()
        ) < SECRET_MIN:
            raise ValueError(f"hooks want a secret of at least {SECRET_MIN} characters: set hooks.secret")
        return self


class Settings(Section):
    """All of it."""

    nats_url: str = "nats://127.0.0.1:4222"
    """NATS, with user and password or token where wanted."""
    postgres_dsn: SecretStr = SecretStr("postgresql://127.0.0.1/matinee")
    """PostgreSQL."""
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Redis."""
    node: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,40}$")
    """Name of this process among its kind; empty: made at start."""
    drain_s: float = Field(default=10, ge=0, le=300)
    """How long a stopping process may take to finish what it has."""
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    limits: LimitSettings = LimitSettings()
    rooms: RoomsSettings = RoomsSettings()
    auth: AuthSettings = AuthSettings()
    gateway: GatewaySettings = GatewaySettings()
    ingest: IngestSettings = IngestSettings()
    transmux: TransmuxSettings = TransmuxSettings()
    sync: SyncSettings = SyncSettings()
    chat: ChatSettings = ChatSettings()
    live: LiveSettings = LiveSettings()
    hooks: HookSettings = HookSettings()


def leaves(
    model: type[BaseModel] = Settings, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path and field of every setting: what documentation and the environment derive from."""
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            yield from leaves(annotation, (*path, name))
        else:
            yield (*path, name), field


def env_name(path: tuple[str, ...]) -> str:
    """`("gateway", "port")` → `MATINEE_GATEWAY__PORT`."""
    return PREFIX + "__".join(path).upper()


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for step in path[:-1]:
        tree = tree.setdefault(step, {})
    tree[path[-1]] = value


def _merge(low: dict[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for name, value in high.items():
        below = merged.get(name)
        merged[name] = (
            _merge(below, value) if isinstance(value, Mapping) and isinstance(below, dict) else value
        )
    return merged


def _from_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    known = {env_name(path): (path, field) for path, field in leaves()}
    tree: dict[str, Any] = {}
    faults = []
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        if name not in known:
            faults.append(f"{name}: no such setting")
            continue
        path, field = known[name]
        listed = get_origin(field.annotation) is tuple
        _put(tree, path, [part.strip() for part in value.split(",") if part.strip()] if listed else value)
    return tree, faults


def _from_file(path: Path, *, required: bool) -> tuple[dict[str, Any], list[str]]:
    try:
        return tomllib.loads(path.read_text()), []
    except FileNotFoundError:
        return {}, [f"{path}: no such file"] if required else []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        return {}, [f"{path}: {exc}"]


def load(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings of this process; raises `SettingsError` with every fault, one a line."""
    environ = os.environ if environ is None else environ
    named = environ.get(CONFIG_ENV)
    from_file, faults = _from_file(Path(named or "matinee.toml"), required=bool(named))
    from_env, env_faults = _from_environment(environ)
    faults += env_faults
    try:
        settings = Settings.model_validate(_merge(_merge(from_file, from_env), flags or {}))
    except ValidationError as exc:
        for error in exc.errors(include_url=False, include_input=False):
            path = tuple(str(step) for step in error["loc"])
            detail = "no such setting" if error["type"] == "extra_forbidden" else error["msg"]
            faults.append(f"{'.'.join(path)} ({env_name(path)}): {detail}")
    if faults:
        raise SettingsError("\n".join(sorted(faults)))
    return settings
