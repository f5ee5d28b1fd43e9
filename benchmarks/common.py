"""What the benchmarks share: child processes with their CPU and memory, the sandbox as a process, the floor.

Seconds on a shared machine are noisy: what is compared are ratios, CPU seconds (user and system, of the child alone)
and counts. The parents stay small: on Linux a child's peak of memory includes that of its parent at the moment of the
fork.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
CLI = (sys.executable, "-m", "batchedit")
TOKEN = {"RUNCOMFY_API_TOKEN": "benchmark"}
HOUSE = {"PYTHONPATH": str(HERE.parent)}
"""Children use the package that these benchmarks lie beside, wherever they are called from."""


def surroundings(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """A child's environment. An installed package has its bytecode: it is not made anew by every child."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **HOUSE, **(more or {})}


@dataclass(frozen=True)
class Ran:
    """A child that has ended: seconds on the clock, CPU seconds, the peak of its memory in MB, what it wrote."""

    seconds: float
    cpu: float
    peak: float
    code: int
    out: str
    err: str


def run(
    *arguments: str | Path, folder: Path, codes: Sequence[int] = (0,), environment: dict[str, str] | None = None
) -> Ran:
    """Run a child to its end. AssertionError for an exit code not among ``codes``."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        child = subprocess.Popen(
            [str(one) for one in arguments],
            cwd=folder,
            env=surroundings({**TOKEN, **(environment or {})}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = code = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if code not in codes:
        raise AssertionError(
            f"{' '.join(map(str, arguments))} ended with {code}:\n{texts[0][-2000:]}\n{texts[1][-4000:]}"
        )
    return Ran(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, code, *texts)


@dataclass(frozen=True)
class Sandbox:
    """A sandbox that runs as a process of its own."""

    url: str

    def ledger(self, *, full: bool = False) -> dict[str, Any]:
        """What the server saw."""
        with urlopen(f"{self.url}/_sandbox/ledger?full={int(full)}") as answer:
            report: dict[str, Any] = json.load(answer)
        return report


@contextmanager
def sandbox(*options: str) -> Iterator[Sandbox]:
    """A fresh one for as long as the block lasts."""
    child = subprocess.Popen([*CLI, "sandbox", *options], stdout=subprocess.PIPE, text=True, env=surroundings())
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line.startswith("sandbox listening on "), line
        yield Sandbox(line.split()[-1])
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(20)


def manifest(path: Path, rows: int) -> Path:
    """A small manifest of ``rows`` different jobs."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("sku", "title", "image", "prompt"))
        for n in range(1, rows + 1):
            title = f"Product {n}, in blue"
            table.writerow((f"SKU-{n:07}", title, f"https://cdn.example.com/{n}.jpg", f"make an ad for {title}"))
    return path


def buy(service: Sandbox, source: Path, out: Path, *options: str) -> Ran:
    """Our command line as a person would type it."""
    return run(*CLI, "run", source, "--base-url", service.url, "--out", out, "--yes", *options, folder=out.parent)


def in_order(jobs: Sequence[dict[str, Any]]) -> list[float]:
    """The jobs' own durations in the order in which the service accepted them."""
    return [job["seconds"] for job in sorted(jobs, key=lambda job: job["ordinal"])]


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is deleted with all its millions of rows."""
    with tempfile.TemporaryDirectory(prefix="batchedit-bench-") as name:
        yield Path(name)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """``median (least to most)``; a single one as it is."""
    text = f"{median(values):,.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def machine() -> list[str]:
    """What ran this, in lines."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")),
        platform.processor(),
    )
    memory = next((int(line.split()[1]) / 2**20 for line in _lines(Path("/proc/meminfo")) if "MemTotal" in line), 0)
    libraries = ("httpx", "httpcore", "anyio", "orjson", "jsonschema-rs", "requests", "aiohttp", "pandas")
    return [
        f"{os.cpu_count()} cores, {cpu}, {memory:.0f} GB; {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, " + ", ".join(f"{name} {_version(name)}" for name in libraries),
        f"load before the start {os.getloadavg()[0]:.1f}",
    ]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "is not installed"


def hand_over(figures: dict[str, Any]) -> None:
    """To ``--json FILE`` where there is one, else to the screen."""
    if "--json" in sys.argv:
        Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(figures, indent=1), encoding="utf-8")
    else:
        print(json.dumps(figures, indent=1))


def quick() -> bool:
    """Smaller and once only: does it work, not how fast is it."""
    return "--quick" in sys.argv
