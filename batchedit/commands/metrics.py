"""``--metrics HOST:PORT``: the state of a process for Prometheus, and whether it is alive and ready for Kubernetes.

Like a progress bar it observes the run and controls nothing. No metric holds a prompt, a link or a key.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from ipaddress import ip_address
from itertools import accumulate
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..core.errors import UsageError
from ..core.events import Accepted, Declined, Event, Lost, Refused, Saved
from ..core.model import Kind, Record, State
from ..core.money import MICRO
from ..core.timing import BOUNDS
from ..ports import Snapshot, Stop
from ..settings.extras import to_install

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MAX_SILENT_SECONDS = 300.0
"""A process at work that has shown no numbers for this long counts as hanging."""
_POSTS = {Accepted: "accepted", Refused: "refused", Lost: "lost"}


class Watch:
    """Counts of what happened, and the last snapshot. An ``Observer`` that also takes snapshots; read by another thread."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop
        self.handles_signals = False
        self.run = ""
        self.play = False
        self.now: Snapshot | None = None
        self.posts = Counter[str]()
        self.files = 0
        self.bytes = 0
        self._seen_at = monotonic()

    def saw(self, record: Record, event: Event) -> None:
        """Count it."""
        if isinstance(event, Declined):
            throttled = event.problem.kind is Kind.THROTTLED
            self.posts["throttled" if throttled else "declined"] += 1
        elif (result := _POSTS.get(type(event))) is not None:
            self.posts[result] += 1
        elif isinstance(event, Saved):
            self.files += len(record.files)
            self.bytes += sum(file.bytes for file in record.files)

    def note(self, name: str, message: str, **details: object) -> None:  # noqa: ARG002 - the port's signature
        """Take the name of the run in hand."""
        if name in {"started", "working"}:
            self.run = Path(str(details.get("folder", ""))).name

    def refresh(self, snapshot: Snapshot) -> None:
        """Take the pool's numbers."""
        self.now, self._seen_at = snapshot, monotonic()

    def is_alive(self) -> bool:
        """Are its numbers recent? A process that waits for work has none."""
        return self.now is None or monotonic() - self._seen_at < MAX_SILENT_SECONDS

    def clear_snapshot(self) -> None:
        """No run is in hand."""
        self.now = None

    def is_ready(self) -> bool:
        """Ready from when it handles signals, until it is told to end."""
        return self.handles_signals and self.stop.reason is None and self.is_alive()

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now, for ``prometheus_client``."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415 - takes its time

        posts = CounterMetricFamily("batchedit_posts", "POSTs that buy, by what was answered", labels=["result"])
        for result in ("accepted", "refused", "declined", "throttled", "lost"):
            posts.add_metric([result], self.posts[result])
        yield posts
        yield CounterMetricFamily("batchedit_files_saved", "Finished pictures kept", value=self.files)
        yield CounterMetricFamily("batchedit_files_saved_bytes", "Their bytes", value=self.bytes)
        yield GaugeMetricFamily("batchedit_ready", "1 while it is not told to end", value=float(self.is_ready()))
        if (snapshot := self.now) is not None:
            yield from self._collect_run(snapshot)

    def _collect_run(self, snapshot: Snapshot) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily  # noqa: PLC0415 - takes its time

        jobs = GaugeMetricFamily("batchedit_jobs", "Jobs of the run by state, everybody's", labels=["run", "state"])
        for state in State:
            jobs.add_metric([self.run, state.value], snapshot.counts.of(state))
        yield jobs
        usd = GaugeMetricFamily("batchedit_usd", "Dollars of the run, everybody's", labels=["run", "what"])
        money = snapshot.money
        sums = {"spent": money.spent, "reserved": money.reserved - money.in_doubt, "in_doubt": money.in_doubt}
        for name, micros in (*sums.items(), *([("cap", money.cap)] if money.cap is not None else [])):
            usd.add_metric([self.run, name], micros / MICRO)
        yield usd
        yield GaugeMetricFamily("batchedit_play_money", "1 while these dollars are play money", value=float(self.play))
        yield GaugeMetricFamily("batchedit_paused", "1 while no POST goes out", value=float(bool(snapshot.paused)))
        yield GaugeMetricFamily("batchedit_slow_jobs", "Jobs that take unusually long", value=snapshot.stalled)
        if snapshot.eta is not None:
            eta = GaugeMetricFamily("batchedit_eta_seconds", "Until the run is over", labels=["quantile"])
            eta.add_metric(["0.5"], snapshot.eta[0])
            eta.add_metric(["0.9"], snapshot.eta[1])
            yield eta
        if snapshot.beat_at is not None:
            age = monotonic() - snapshot.beat_at
            yield GaugeMetricFamily("batchedit_lease_age_seconds", "Since this worker was last heard", value=age)
        if snapshot.commits is not None:
            sums_up_to = [*accumulate(snapshot.commits.buckets)]
            bounds = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
            commits = HistogramMetricFamily("batchedit_commit_seconds", "Until a change is durable")
            commits.add_metric([], [*zip(bounds, sums_up_to, strict=True)], snapshot.commits.seconds)
            yield commits


def parse_metrics_address(text: str) -> tuple[str, int]:
    """``HOST:PORT``, or a port of this machine. UsageError (64) for anything else."""
    try:
        parts = urlsplit(f"//{text}" if ":" in text else f"//127.0.0.1:{text}")
        host, port = parts.hostname or "", parts.port
        is_valid = host and port is not None and not (parts.path or parts.query or parts.fragment or parts.username)
    except ValueError:
        is_valid = False
    if not is_valid:
        raise UsageError(f"--metrics takes HOST:PORT, not {text!r}", hint="such as 127.0.0.1:9464, or 9464 alone")
    return host, int(port or 0)


class MetricsServer:
    """``/metrics``, ``/healthz`` and ``/readyz`` at ``text``, from a thread of its own, until it is closed."""

    def __init__(self, host_and_port: str, collector: Watch, say: Callable[[str], None]) -> None:
        """UsageError (64) where the extra is missing or the address can't be bound. ``say`` gets the URL."""
        if find_spec("prometheus_client") is None:
            raise UsageError("--metrics needs prometheus-client", hint=to_install("metrics"))
        host, port = parse_metrics_address(host_and_port)
        try:
            self._server = _Server((host, port), _make_handler(collector))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"nobody can listen on {host_and_port} for --metrics: {reason}", hint="give another port"
            ) from None
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        listening_at = self._server.server_address
        say(f"metrics: http://{f'[{host}]' if ':' in host else host}:{listening_at[1]}/metrics")

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        import socket  # noqa: PLC0415 - only here

        try:
            is_ipv6 = ip_address(address[0]).version == 6
        except ValueError:
            is_ipv6 = False
        self.address_family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
        super().__init__(address, handler)


def _make_handler(collector: Watch) -> type[BaseHTTPRequestHandler]:
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - takes its time
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4  # noqa: PLC0415

    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "batchedit", ""
        timeout = 10

        def do_GET(self) -> None:
            """``/metrics`` for Prometheus, ``/healthz`` and ``/readyz`` for Kubernetes (200 or 503)."""
            path = urlsplit(self.path).path
            if path == "/metrics":
                self._answer(200, generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4)
            elif path in {"/healthz", "/readyz"}:
                good = collector.is_alive() if path == "/healthz" else collector.is_ready()
                self._answer(200 if good else 503, b"ok\n" if good else b"no\n")
            else:
                self._answer(404, b"only /metrics, /healthz and /readyz\n")

        def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Scrapes are not logged."""

    return Handler
