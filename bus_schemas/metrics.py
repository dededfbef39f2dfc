"""Names of all Prometheus metrics, one comment each; `runtime.metrics` makes them and takes no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric family."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_MS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

METRICS: Final[tuple[MetricSpec, ...]] = (
    MetricSpec("matinee_build_info", "gauge", "1, with what this process is", ("kind", "node", "version")),
    MetricSpec("matinee_loop_lag_seconds", "gauge", "How late the event loop ran its last beat"),
    MetricSpec("matinee_bus_connected", "gauge", "1 while NATS answers"),
    MetricSpec("matinee_bus_reconnects_total", "counter", "Times the connection to NATS came back"),
    MetricSpec("matinee_tasks_failed_total", "counter", "Supervised tasks that died of an error", ("task",)),
    MetricSpec("matinee_handled_total", "counter", "Bus messages handled", ("subject", "outcome")),
    MetricSpec("matinee_handle_seconds", "histogram", "Time to handle a bus message", ("subject",), _MS),
    MetricSpec("matinee_dead_letters_total", "counter", "Messages set aside", ("stream", "reason")),
    MetricSpec("matinee_ingest_connections", "gauge", "Open publisher connections", ("protocol",)),
    MetricSpec("matinee_ingest_closed_total", "counter", "Publisher connections closed, by why", ("reason",)),
    MetricSpec("matinee_ingest_publishers", "gauge", "Streams published here now"),
    MetricSpec("matinee_ingest_bytes_total", "counter", "Bytes received from publishers"),
    MetricSpec("matinee_ingest_messages_total", "counter", "Tag messages put on the bus"),
    MetricSpec("matinee_ingest_dropped_total", "counter", "Tag messages the bus did not take", ("reason",)),
    MetricSpec(
        "matinee_ingest_repairs_total", "counter", "Timestamps repaired, by what was wrong", ("kind",)
    ),
    MetricSpec("matinee_ingest_refused_total", "counter", "Access units and publishers refused", ("reason",)),
    MetricSpec("matinee_transmux_jobs", "gauge", "Streams packaged here now"),
    MetricSpec("matinee_transmux_parts_total", "counter", "CMAF parts published"),
    MetricSpec("matinee_transmux_takeovers_total", "counter", "Jobs gone on with after another worker"),
    MetricSpec(
        "matinee_transmux_races_lost_total", "counter", "Parts refused because another worker wrote first"
    ),
    MetricSpec("matinee_live_viewers", "gauge", "Viewers of live streams here", ("protocol",)),
    MetricSpec("matinee_live_streams", "gauge", "Streams this gateway pulls now"),
    MetricSpec("matinee_live_sent_bytes_total", "counter", "Bytes sent to viewers", ("protocol",)),
    MetricSpec(
        "matinee_live_drops_total", "counter", "Times a viewer fell out of the ring and jumped to a key frame"
    ),
    MetricSpec("matinee_live_stalled_total", "counter", "Viewers closed because they took nothing"),
    MetricSpec("matinee_http_requests_total", "counter", "HTTP requests", ("route", "method", "status")),
    MetricSpec("matinee_http_seconds", "histogram", "Time to answer an HTTP request", ("route",), _MS),
    MetricSpec("matinee_sockets", "gauge", "Open sockets"),
    MetricSpec("matinee_socket_frames_total", "counter", "Frames received", ("type", "outcome")),
    MetricSpec("matinee_socket_sent_total", "counter", "Frames sent to members"),
    MetricSpec("matinee_socket_dropped_total", "counter", "Frames a slow reader did not get", ("type",)),
    MetricSpec("matinee_socket_closed_total", "counter", "Sockets closed, by close code", ("code",)),
    MetricSpec("matinee_stream_bitrate_bps", "gauge", "Bits a second from a stream's publisher", ("stream",)),
    MetricSpec("matinee_stream_fps", "gauge", "Video frames a second of a stream", ("stream",)),
    MetricSpec(
        "matinee_stream_gaps",
        "gauge",
        "Tag messages of a publish session that the bus did not take",
        ("stream",),
    ),
    MetricSpec("matinee_stream_viewers", "gauge", "Viewers of a stream at this process", ("stream",)),
    MetricSpec("matinee_hooks_total", "counter", "HTTP hooks asked and told", ("action", "outcome")),
    MetricSpec(
        "matinee_hook_seconds", "histogram", "Time until all hooks of an act answered", ("action",), _MS
    ),
    MetricSpec("matinee_outbox_waiting", "gauge", "Outbox rows not yet on the bus"),
    MetricSpec(
        "matinee_sync_commands_total", "counter", "Playback commands, by outcome", ("action", "outcome")
    ),
    MetricSpec("matinee_sync_contended_total", "counter", "Compare-and-set attempts that lost"),
    MetricSpec("matinee_chat_messages_total", "counter", "Chat and danmaku handled", ("kind", "outcome")),
)
