"""A million rows: what each costs in CPU and memory at 10,000, 100,000 and 1,000,000 of them.

Every step is a child process of its own. ``plan``, ``results``, ``status`` and the re-run over an unchanged manifest
are the command line; the intake alone is ``planning.intake.take_in_manifest``, for ``run`` would go on to buy. The finished
run is the taken-in one with every job declared done by SQL: a million pictures are not downloaded for this.

µs a row are CPU time beyond that of the same step over 100 rows, which is the start-up. The yardstick is ``csv.reader``
over the same file at the same time: 4.7 µs a row where it was measured first, on a quiet machine.

    python benchmarks/rows.py [--quick] [--json FILE]
    python benchmarks/rows.py intake SOURCE OUT     (the child)
    python benchmarks/rows.py done OUT              (the child)
"""

from __future__ import annotations

import csv
import sqlite3
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from common import CLI, HERE, Ran, buy, hand_over, quick, run, sandbox, scratch

SIZES = (10_000, 100_000, 1_000_000)
START_UP = 100
NOWHERE = "http://127.0.0.1:9"
"""Nothing listens there: whoever has nothing to buy needs no service."""

WORDS = (
    *("chainsaw", "kettle", "lamp", "sofa", "jacket", "bicycle", "tent", "cordless", "waterproof", "oak", "brass"),
    *("blue", "crimson", "olive", "ceramic", "folding", "compact", "grande", "Größe", "café", "naïve", "deluxe"),
)


def generate(path: Path, rows: int, edited: bool = False) -> Path:
    """250 bytes a row on average: quotes, commas and newlines in cells, letters beyond ASCII. The same each time.

    ``edited`` changes the prompt of every thousandth row.
    """
    rng = Random(5)
    adjectives = [" ".join(rng.choices(WORDS, k=6)) for _ in range(997)]
    notes = [" ".join(rng.choices(WORDS, k=5)) for _ in range(991)]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("sku,title,vendor,price,image,prompt,notes\n")
        for n in range(1, rows + 1):
            title = adjectives[n % 997]
            note = notes[n % 991]
            match n % 4:
                case 0:
                    note = f'"{note}, 12"" wide"'
                case 1:
                    note = f'"{note}\nsecond line"'
            change = "!" if edited and n % 1000 == 0 else ""
            file.write(
                f"SKU-{n:08},{title},Vendor {n % 313},{n % 9000 / 100:.2f},"
                f"https://cdn.example.com/shots/{n:08}/front.jpg,"
                f'"make an ad for {title}, number {n}, on a plain background{change}",{note}\n'
            )
    return path


def measure(rows: int, folder: Path) -> dict[str, Any]:
    """Every step at one size, and the sizes of what it leaves behind."""
    source, out = generate(folder / "manifest.csv", rows), folder / "out"
    me = (sys.executable, HERE / "rows.py")
    again = (*CLI, "run", source, "--base-url", NOWHERE, "--out", out, "--yes", "--price", "0.04")
    step: dict[str, Ran] = {"yardstick": run(*me, "read", source, folder=folder)}
    step["plan"] = run(*CLI, "plan", source, "--out", out, "--price", "0.04", folder=folder)
    step["intake"] = run(*me, "intake", source, out, folder=folder)
    checkpoint = out / "checkpoint.sqlite"
    beyond = checkpoint.stat().st_size / rows - payload(checkpoint)
    run(*me, "done", out, folder=folder)
    step["first end"] = run(*again, folder=folder)  # writes the results: all jobs are news to it
    step["unchanged"] = run(*again, folder=folder)
    step["status"] = run(*CLI, "status", out, folder=folder)
    for kind in ("csv", "jsonl"):
        step[f"results {kind}"] = run(*CLI, "results", out, "--format", kind, folder=folder)
    edited = generate(folder / "edited.csv", rows, edited=True)
    step["edited"] = run(*me, "intake", edited, out, folder=folder)
    return {
        "rows": rows,
        "csv_mb": source.stat().st_size / 1e6,
        "beyond_payload": beyond,
        "done_bytes": checkpoint.stat().st_size / rows,
        "steps": {name: {"cpu": ran.cpu, "seconds": ran.seconds, "peak": ran.peak} for name, ran in step.items()},
    }


def payload(checkpoint: Path) -> float:
    """Bytes a row that are the user's own: the canonical inputs."""
    database = sqlite3.connect(checkpoint)
    mean: float = database.execute("SELECT avg(length(CAST(inputs AS BLOB))) FROM jobs").fetchone()[0]
    database.close()
    return mean


def limit_of(rows: int, folder: Path) -> dict[str, Any]:
    """``run --limit 500`` of a million buys 500."""
    source = generate(folder / "limited.csv", rows)
    with sandbox("--latency", "0.2", "--plain-files", "2000") as service:
        ran = buy(service, source, folder / "limited", "--limit", "500", "-j", "50")
        ledger = service.ledger()
    return {
        "rows": rows,
        "bought": ledger["accepted"],
        "submits": ledger["submits_seen"],
        "cpu": ran.cpu,
        "peak": ran.peak,
    }


def main() -> None:
    sizes = SIZES[:2] if quick() else SIZES
    figures: dict[str, Any] = {"sizes": []}
    for rows in (START_UP, *sizes):
        with scratch() as folder:
            figures["sizes"].append(measure(rows, folder))
            print(f"{rows:,} rows measured", file=sys.stderr)
    with scratch() as folder:
        figures["limit"] = limit_of(sizes[-1], folder)
    hand_over(figures)


# --- the children ---------------------------------------------------------------------------------


def intake(source: Path, out: Path) -> None:
    """What ``run`` does before it buys."""
    from batchedit.commands.open_run import open_run  # noqa: PLC0415
    from batchedit.commands.wiring import find_model  # noqa: PLC0415 - the parent must stay small
    from batchedit.planning.intake import IntakeRequest, take_in_manifest  # noqa: PLC0415
    from batchedit.ports import Stop  # noqa: PLC0415
    from batchedit.run_folder import RunFolder, open_source  # noqa: PLC0415
    from batchedit.settings.model import Settings  # noqa: PLC0415

    settings = Settings(base_url=NOWHERE, price=40_000)
    folder = RunFolder(out)
    folder.make()
    model = find_model(settings)
    assert model is not None
    manifest = open_source(source, settings, source.name)
    checkpoint = open_run(folder, settings)
    what = take_in_manifest(checkpoint, IntakeRequest(manifest, source, folder, settings, model), Stop())
    checkpoint.close()
    print(what.rows, what.to_buy, what.reused, what.edited)


def done(out: Path) -> None:
    """Declare every job done, with links, a file and a cost as the service has them."""
    from batchedit.ledger.opening import open_checkpoint  # noqa: PLC0415
    from batchedit.ledger.state_totals import recount  # noqa: PLC0415

    checkpoint = open_checkpoint(out / "checkpoint.sqlite")
    now = int(time.time())
    api = "'https://model-api.runcomfy.net/v1/requests/' || printf('00000000-0000-4000-8000-%012d', id) || "
    link = "'https://playgrounds-storage-public.runcomfy.net/outputs/' || printf('%012d', id) || '/image.png'"
    with checkpoint.transaction() as db:
        (trigger,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'jobs_tally'").fetchone()
        db.execute("DROP TRIGGER jobs_tally")
        db.execute(
            f"UPDATE jobs SET state = 'done', serial = 4, cost = 40000, cost_known = 1, "
            f"request_id = printf('00000000-0000-4000-8000-%012d', id), status_url = {api} '/status', "
            f"result_url = {api} '/result', cancel_url = {api} '/cancel', "
            f"outputs = '[[\"' || {link} || '\",\"image\"]]', "
            f"files = '[[\"files/' || name || '.png\",\"' || lower(hex(key) || hex(key)) || "
            f"'\",200000,1024,1024,\"' || {link} || '\"]]', "
            f"submitted_at = {now} + id / 20.0, accepted_at = {now} + id / 20.0, "
            f"finished_at = {now} + id / 20.0 + 3 + id % 700 / 100.0"
        )
        db.execute(trigger)
        recount(db)
        # As the events would have: the results that stand there are old.
        checkpoint.put_in(db, "lines_mark", "all done")
    checkpoint.close()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["intake", source, out]:
            intake(Path(source), Path(out))
        case ["done", out]:
            done(Path(out))
        case ["read", source]:
            with Path(source).open(encoding="utf-8", newline="") as file:
                print(sum(1 for _ in csv.reader(file)))
        case ["generate", path, rows]:
            generate(Path(path), int(rows))
        case _:
            main()
