"""Our own processes of one `up`: each with its ports, its environment and its child."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.child import Child
from ops.data_directory import Endpoints
from ops.embedded.launch import Launch
from ops.embedded.ports import free_port
from ops.plan import MODULES, ProcessPlan, command_of, environment_of, python_environment
from runtime.settings import Settings


@dataclass(slots=True)
class Process:
    """One of our own processes."""

    plan: ProcessPlan
    child: Child

    @property
    def kind(self) -> str:
        """gateway, ingest, transmux, sync or chat."""
        return self.plan.kind

    @property
    def metrics_port(self) -> int:
        """Where it answers /readyz and /metrics on loopback."""
        return self.plan.metrics_port


@dataclass(slots=True)
class Workshop:
    """All of them, and what they share."""

    processes: list[Process]
    inherited: Mapping[str, str]

    @classmethod
    def planned(
        cls,
        scale: Mapping[str, int],
        settings: Settings,
        endpoints: Endpoints,
        inherited: Mapping[str, str],
        *,
        http_port: int,
        rtmp_port: int,
        rtmps_port: int | None = None,
    ) -> "Workshop":
        """Settle ports and environment of each process; starts none."""
        shared = {
            "MATINEE_NATS_URL": endpoints.nats_url,
            "MATINEE_POSTGRES_DSN": endpoints.postgres_dsn,
            "MATINEE_REDIS_URL": endpoints.redis_url,
            "MATINEE_GATEWAY__HOST": settings.gateway.host,
            "MATINEE_GATEWAY__PORT": str(http_port),
            "MATINEE_GATEWAY__RTMP_PORT": str(rtmp_port),
            "MATINEE_INGEST__HOST": settings.ingest.host,
            "MATINEE_INGEST__RTMP_PORT": str(rtmp_port),
            "MATINEE_METRICS__HOST": "127.0.0.1",
            "MATINEE_LOG__LEVEL": settings.log.level,
            "MATINEE_LOG__FORMAT": settings.log.format,
        }
        if rtmps_port is not None:
            shared["MATINEE_INGEST__RTMPS_PORT"] = str(rtmps_port)
        taken: frozenset[int] = frozenset({http_port, rtmp_port, rtmps_port or 0})
        processes = []
        for kind in MODULES:
            for number in range(1, scale[kind] + 1):
                metrics_port = free_port(avoid=taken)
                taken |= {metrics_port}
                own_port = 0
                if kind == "gateway":
                    own_port = free_port(avoid=taken)
                    taken |= {own_port}
                plan = ProcessPlan(kind, f"{kind}-{number}", metrics_port, own_port)
                processes.append(_process(plan, environment_of(plan, inherited, shared)))
        return cls(processes, inherited)

    def scrape_targets(self) -> list[tuple[str, int]]:
        """Name and metrics port of each process that runs."""
        return [(one.plan.name, one.metrics_port) for one in self.processes if one.child.is_running]

    def pids(self) -> dict[str, list[int]]:
        """Process ids by kind, of those that run."""
        pids: dict[str, list[int]] = {kind: [] for kind in MODULES}
        for one in self.processes:
            if one.child.pid is not None:
                pids[one.kind].append(one.child.pid)
        return pids

    def gateways(self) -> list[tuple[int, str]]:
        """Process id and own address of each gateway that runs."""
        return [
            (one.child.pid, f"http://127.0.0.1:{one.plan.own_port}")
            for one in self.processes
            if one.kind == "gateway" and one.child.pid is not None
        ]

    def demo(self, http: str, rtmp: str, memory: Path) -> Child:
        """The publisher of the test picture, which remembers its room in a file."""
        environment = python_environment(self.inherited)
        launch = Launch("demo", command_of("ops.demo", http, rtmp, str(memory)), Path.cwd(), environment)
        return Child("demo", lambda: launch, "inherit")


def _process(plan: ProcessPlan, environment: Mapping[str, str]) -> Process:
    launch = Launch(plan.name, command_of(MODULES[plan.kind]), Path.cwd(), environment)
    return Process(plan, Child(plan.kind, lambda: launch, "inherit"))
