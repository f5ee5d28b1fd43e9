"""Workers on a Dask cluster: ``python dask_workers.py [SCHEDULER] [RUN]``; without a scheduler on this machine alone.

Dask may run a task again whenever it likes: what is repeated is the whole command ``batchedit work``, which buys nothing
twice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from distributed import Client, LocalCluster

NEEDED = ("RUNCOMFY_API_TOKEN", "BATCHEDIT_", "AWS_", "AZURE_", "GOOGLE_", "PG")


def work(number: int, words: Sequence[str], environment: dict[str, str]) -> int:
    """One worker until nothing is left. Returns its exit code."""
    with tempfile.TemporaryDirectory(prefix=f"batchedit-{number}-") as folder:
        command = [sys.executable, "-m", "batchedit", "work", "--until-idle", *words]
        return subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=False).returncode


def main(client: Client, words: Sequence[str], workers: int) -> list[int]:
    """So many workers at once on the cluster of ``client``. Returns their exit codes."""
    told = {name: value for name, value in os.environ.items() if name.startswith(NEEDED)}
    return client.gather([client.submit(work, n, list(words), told, pure=False) for n in range(workers)])


if __name__ == "__main__":
    scheduler, run = [*sys.argv[1:], "", ""][:2]
    with Client(scheduler or LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)) as cluster:
        codes = main(cluster, ["--run", run] if run else [], workers=max(1, len(cluster.scheduler_info()["workers"])))
    sys.exit(max(codes))
