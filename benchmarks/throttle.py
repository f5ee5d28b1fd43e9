"""200 jobs against a service that takes 20 POSTs a second with a burst of 5, and says 429 to the others.

The floor is what its own rule lets through: (jobs - burst) / rate. Measured from the first accept to the last.

    python benchmarks/throttle.py [--quick] [--json FILE]
"""

from __future__ import annotations

from typing import Any

from common import buy, hand_over, manifest, quick, sandbox, scratch

JOBS, RATE, BURST = 200, 20, 5


def once(seed: int, *options: str) -> dict[str, Any]:
    with (
        scratch() as folder,
        sandbox(
            "--rate-limit", f"{RATE}/s,burst={BURST}", "--latency", "1", "--plain-files", "2000", "--seed", str(seed)
        ) as service,
    ):
        source = manifest(folder / "m.csv", JOBS)
        buy(service, source, folder / "out", "-j", "200", "--price", "0.04", *options)
        ledger = service.ledger(full=True)
    at = [job["accepted_at"] for job in ledger["requests"]]
    refused = sum(count for answer, count in ledger["answers"]["submit"].items() if answer.startswith("429"))
    return {"seed": seed, "ratio": (max(at) - min(at)) / ((JOBS - BURST) / RATE), "refused": refused}


def main() -> None:
    hand_over(
        {
            "jobs": JOBS,
            "rows": [once(seed) for seed in ((1,) if quick() else (1, 2, 3))],
            "told": [once(1, "--rate", f"{RATE}/s")],
        }
    )


if __name__ == "__main__":
    main()
