"""Workers on a Ray cluster: ``python ray_workers.py [RUN]``; without a cluster on this machine alone.

Ray may run a task again when a node dies. What is repeated is the whole command ``batchedit work``, which buys nothing twice.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

import ray

NEEDED = ("RUNCOMFY_API_TOKEN", "BATCHEDIT_", "AWS_", "AZURE_", "GOOGLE_", "PG")


@ray.remote(num_cpus=1, max_retries=-1)
def work(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """One worker until nothing is left. Returns its exit code."""
    with tempfile.TemporaryDirectory(prefix="batchedit-") as folder:
        command = [sys.executable, "-m", "batchedit", "work", "--until-idle", *words]
        return subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=False).returncode


if __name__ == "__main__":
    ray.init()
    # As an argument: Ray shows a runtime environment, and the token in it, to whoever may list its tasks.
    told = {name: value for name, value in os.environ.items() if name.startswith(NEEDED)}
    run = ["--run", sys.argv[1]] if sys.argv[1:] else []
    sys.exit(max(ray.get([work.remote(run, told) for _ in range(int(ray.cluster_resources()["CPU"]))])))
