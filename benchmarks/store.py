"""A ledger in PostgreSQL beside SQLite: durable changes a second, COPY of a million rows, status, takeover.

Each job lives a life: Reserved, Accepted, Completed, Saved, each durable before the next; that is four changes. Server and
workers share this machine, so both have half of it. ``STORE.md`` has what was printed.

    python benchmarks/store.py [--quick]
    python benchmarks/store.py --workers [--quick]   two workers beside one: jobs of 1 s, a thousand at once
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.queues import Queue
from pathlib import Path
from statistics import quantiles
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

import anyio
import psycopg
from commits import checkpoint_of
from common import CLI, TOKEN, machine, manifest, quick, sandbox, scratch, surroundings

from batchedit.core.events import Accepted, Completed, Event, Reserved, Saved
from batchedit.core.lifecycle import advance
from batchedit.core.model import Handle, Job, JobKey, Output, Record, SavedFile
from batchedit.ledger.postgres.intake import NewJob, add_jobs, add_run, analyze
from batchedit.ledger.postgres.ledger import PostgresLedger
from tests.support.postgres import MODEL, Server, new_database

AT_ONCE = 100
"""Jobs of one worker that wait for a commit at the same time, where a row says nothing else."""
FILE = SavedFile("files/a.png", "0" * 64, 1_000_000, 1024, 1536, "https://files.example.com/a.png")


def jobs(count: int) -> Iterator[NewJob]:
    for n in range(1, count + 1):
        job = Job(JobKey(n.to_bytes(16, "big")), MODEL, '{"prompt":"an ad"}', f"SKU-{n}")
        yield NewJob(Record(n, job), n, approved_purchases=1)


def life(job: int) -> Iterator[Event]:
    yield Reserved(1.0, 40_000)
    yield Accepted(2.0, Handle(f"request-{job}"))
    yield Completed(3.0, (Output("https://files.example.com/a.png"),), 40_000)
    yield Saved(4.0, (FILE,))


async def live(ledger: Any, record: Record, took: list[float], *, one: bool) -> None:
    """``one`` method for all events, as SQLite's checkpoint has it, or ``reserve`` for the first."""
    for event in life(record.id):
        began = time.perf_counter()
        after = advance(record, event)
        record = await (
            ledger.reserve(after, event) if isinstance(event, Reserved) and not one else ledger.save(after, event)
        )
        took.append(time.perf_counter() - began)


async def lives(ledger: Any, records: list[Record], waiting_at_once: int, *, one: bool = False) -> list[float]:
    took: list[float] = []
    waiting = iter(records)

    async def next_ones() -> None:
        for record in waiting:
            await live(ledger, record, took, one=one)

    async with anyio.create_task_group() as tasks:
        for _ in range(waiting_at_once):
            tasks.start_soon(next_ones)
    return took


def worker(url: str, run: int, count: int, waiting: int, ready: Any, results: Queue[Any]) -> None:
    ledger = PostgresLedger(url, run, MODEL, Path(tempfile.gettempdir()))
    ledger.earlier_cost = 40_000

    async def work() -> tuple[float, float, list[float]]:
        records: list[Record] = []
        while len(records) < count and (
            more := await ledger.list_planned(records[-1].id if records else 0, count - len(records))
        ):
            records += more
        await anyio.to_thread.run_sync(ready.wait)
        began = time.time()
        took = await lives(ledger, records, waiting)
        return began, time.time(), took

    results.put(anyio.run(work))
    ledger.close()


def with_workers(url: str, workers: int, each: int, waiting: int = AT_ONCE) -> tuple[float, list[float]]:
    """Changes a second of all together, and how long each took. ``waiting``: jobs of each worker that wait at a time."""
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.transaction():
            run = add_run(connection, f"changes-{workers}-{waiting}", MODEL, "sandbox")
            add_jobs(connection, run, jobs(workers * each))
        analyze(connection)
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(workers), context.Queue()
    children = [context.Process(target=worker, args=(url, run, each, waiting, ready, results)) for _ in range(workers)]
    for child in children:
        child.start()
    measured = [results.get(timeout=600) for _ in children]
    for child in children:
        child.join()
    took = [seconds for _, _, each_took in measured for seconds in each_took]
    return len(took) / (max(end for _, end, _ in measured) - min(began for began, _, _ in measured)), took


def in_a_folder(count: int) -> tuple[float, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = checkpoint_of(Path(folder), count)
        records = list(checkpoint.records("1"))
        began = time.perf_counter()
        took = anyio.run(lambda: lives(checkpoint, records, AT_ONCE, one=True))
        seconds = time.perf_counter() - began
        checkpoint.close()
    return len(took) / seconds, took


def row(name: str, rate: float, took: list[float]) -> str:
    cuts = quantiles(took, n=100)
    return f"| {name} | {rate:,.0f} | {1000 * cuts[49]:.1f} | {1000 * cuts[98]:.1f} |"


def copied(url: str, rows: int) -> tuple[float, float]:
    """Seconds for a COPY of so many jobs, and for the sums of a run of that size."""
    with psycopg.connect(url, autocommit=True) as connection:
        began = time.perf_counter()
        with connection.transaction():
            run = add_run(connection, "large", MODEL, "sandbox")
            add_jobs(connection, run, jobs(rows))
        seconds = time.perf_counter() - began
        analyze(connection)
    ledger = PostgresLedger(url, run, MODEL, Path(tempfile.gettempdir()))
    began = time.perf_counter()
    for _ in range(10):
        ledger.read_totals()
    status = (time.perf_counter() - began) / 10
    ledger.close()
    return seconds, status


def left_behind(url: str, run: int, started: Queue[int]) -> None:
    """A worker that has bought something, and lives until it is killed."""
    ledger = PostgresLedger(url, run, MODEL, Path(tempfile.gettempdir()))
    ledger.earlier_cost = 40_000

    async def buy() -> None:
        for record in await ledger.list_planned(0, 20):
            events = life(record.id)
            after = record
            for _ in range(2):
                event = next(events)
                after = advance(after, event)
                after = await (
                    ledger.reserve(after, event) if isinstance(event, Reserved) else ledger.save(after, event)
                )

        started.put(1)
        while True:
            await ledger.beat()
            await anyio.sleep(ledger.beat_seconds)

    anyio.run(buy)


def taken_over(url: str) -> tuple[float, float]:
    """Seconds from the kill until another worker has all of it, and the lease."""
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        run = add_run(connection, "takeover", MODEL, "sandbox")
        add_jobs(connection, run, jobs(20))
    other = PostgresLedger(url, run, MODEL, Path(tempfile.gettempdir()))

    async def wait_for_all(began: float) -> float:
        adopted = 0
        while adopted < 20:
            await other.beat()
            adopted += len(await other.adopt_jobs(100))
            await anyio.sleep(0.2)
        return time.monotonic() - began

    async def beat_until(dead: Any) -> None:
        while dead():
            await other.beat()
            await anyio.sleep(1.0)

    context = multiprocessing.get_context("spawn")
    started = context.Queue()
    child = context.Process(target=left_behind, args=(url, run, started))
    child.start()
    started.get(timeout=120)
    settled = time.monotonic() + other.lease.seconds  # nobody takes over within a lease of its own start
    anyio.run(beat_until, lambda: time.monotonic() < settled)
    child.kill()
    seconds = anyio.run(wait_for_all, time.monotonic())
    other.close()
    return seconds, other.lease.seconds


def bought(workers: int, count: int) -> tuple[float, float, float]:
    """Jobs a second of so many processes at one run; CPU-ms a job of all of them, and of the whole machine. The first tenth
    and the last of the pictures are left out: there not all are at work yet, or any more.
    """
    server = Server()
    url = new_database(url=server.url)
    words = ("-j", AT_ONCE * 10, "--poll-seconds", "0.5", "--store", url)
    with scratch() as folder, sandbox("--latency", "1", "--plain-files", "8000") as service:
        environment = surroundings({**TOKEN, "BATCHEDIT_STATE": str(folder / "state")})
        begun, spent = [], -busy()
        for n in range(workers):
            at = folder / f"machine-{n}"
            at.mkdir()
            what = ("work", "--until-idle") if n else ("run", manifest(at / "m.csv", count), "--yes", "--price", "0.04")
            command = [*CLI, *map(str, (*what, *words, "--base-url", service.url))]
            begun.append(
                subprocess.Popen(command, cwd=at, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            with psycopg.connect(url, autocommit=True) as store:
                while not store.execute("SELECT 1 FROM batchedit.job WHERE leave > 0 LIMIT 1").fetchone():
                    time.sleep(0.05)  # until the first has said yes there is nothing to help with
        used = [os.wait4(child.pid, 0)[2] for child in begun]
        spent += busy()
        ledger = service.ledger()
        assert (ledger["accepted"], ledger["duplicates"]) == (count, 0), ledger
    with psycopg.connect(url, autocommit=True) as store:
        query = (
            "SELECT extract(epoch FROM max(written_at) - min(written_at))::float8, count(*) FROM (SELECT written_at, "
            "percent_rank() OVER (ORDER BY written_at) AS at FROM batchedit.event WHERE name = 'Saved') AS saved "
            "WHERE at BETWEEN 0.1 AND 0.9"
        )
        seconds, jobs_saved = store.execute(query).fetchone() or (0.0, 0)
    workers_cpu = sum(one.ru_utime + one.ru_stime for one in used)
    return jobs_saved / seconds, 1000 * workers_cpu / count, 1000 * spent / count


def busy() -> float:
    """CPU seconds of this machine that anybody has used since its start."""
    user, nice, system, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def beside_each_other() -> None:
    """SCALE's 1.6: the second worker of two cores. The service and PostgreSQL take their part of the same two."""
    count = 600 if quick() else 6_000
    print("; ".join(machine()))
    print(
        "\n| workers | jobs a second | CPU-ms a job of the workers | of the whole machine |\n| --- | --- | --- | --- |"
    )
    rates = []
    for workers in (1, 2):
        rate, ours, all_of_it = bought(workers, count)
        rates.append(rate)
        print(f"| {workers} | {rate:.0f} | {ours:.1f} | {all_of_it:.1f} |", flush=True)
    print(f"\ntwo do {rates[1] / rates[0]:.2f} x the jobs a second of one")


def main() -> None:
    if "--workers" in sys.argv:
        beside_each_other()
        return
    each = 200 if quick() else 2_000
    rows = 20_000 if quick() else 1_000_000
    server = Server()
    url = new_database(url=server.url)
    print("; ".join(machine()))
    print("\n| | changes a second | p50 ms | p99 ms |\n| --- | --- | --- | --- |")
    print(row("SQLite, one process, 100 waiting", *in_a_folder(each)), flush=True)
    print(row("PostgreSQL, one worker, 100 waiting", *with_workers(url, 1, each)), flush=True)
    print(row("PostgreSQL, one worker, one waiting", *with_workers(url, 1, each // 4, 1)), flush=True)
    print(row("PostgreSQL, four workers, 50 each", *with_workers(url, 4, each // 2, 50)), flush=True)
    print(row("PostgreSQL, four workers, 100 each", *with_workers(url, 4, each // 2)), flush=True)
    seconds, status = copied(url, rows)
    print(f"\nCOPY of {rows:,} jobs: {seconds:.1f} s; the sums of that run: {1000 * status:.1f} ms", flush=True)
    seconds, lease = taken_over(url)
    print(f"killed with 20 bought jobs: another has them all after {seconds:.1f} s; the lease is {lease:.0f} s")


if __name__ == "__main__":
    main()
