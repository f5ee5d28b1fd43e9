"""What ``deploy/`` holds, checked as far as a machine without a container engine, a cluster or Slurm can."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from tests.support.cli import make_env, until
from tests.support.store_team import Team

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def tool(name: str, *words: object) -> subprocess.CompletedProcess[str]:
    """A program that pip put beside this Python."""
    beside = Path(sys.executable).with_name(name)
    return subprocess.run([beside, *map(str, words)], capture_output=True, text=True, check=False, timeout=110)


def test_the_compose_file_fits_its_schema() -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert services["worker"]["deploy"]["replicas"] == 3
    assert services["worker"]["stop_grace_period"] == "240s"


def test_the_manifests_fit_kubernetes_own_schema(tmp_path: Path) -> None:
    assert len(KUBERNETES) == 2
    done = tool("kubernetes-validate", "--strict", *KUBERNETES)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(KUBERNETES[0].read_text().replace("replicas: 3", "replicsa: 3"))
    assert tool("kubernetes-validate", "--strict", wrong).returncode != 0, "the check sees nothing"


def test_a_pod_may_take_as_long_to_end_as_a_worker_takes_to_drain() -> None:
    for path in KUBERNETES:
        pod = yaml.safe_load(path.read_text())["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] >= 240
        assert pod["securityContext"]["runAsNonRoot"]


def test_the_systemd_template_is_one(tmp_path: Path) -> None:
    unit = DEPLOY / "systemd" / "batchedit-work@.service"
    assert "TimeoutStopSec=240" in unit.read_text()
    if (verify := shutil.which("systemd-analyze")) is None:
        return
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/batchedit/bin/batchedit", "/bin/true"))
    done = subprocess.run([verify, "verify", copy], capture_output=True, text=True, check=False, timeout=110)
    assert "batchedit-work" not in done.stderr, done.stderr


def test_the_slurm_script_is_a_shell_s() -> None:
    subprocess.run(["bash", "-n", DEPLOY / "slurm.sh"], check=True, timeout=60)


def test_the_image_s_last_stage_has_no_build_tools_and_no_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    last = text[text.rindex("\nFROM ") :]
    assert re.search(r"^USER 10001$", last, re.MULTILINE)
    assert not re.search(r"pip install|apt-get|gcc|make", last)


def test_every_metric_of_the_dashboard_is_told() -> None:
    board = json.loads((DEPLOY / "grafana.json").read_text())
    asked = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"batchedit_\w+", target["expr"])
    }
    source = (ROOT / "batchedit" / "commands" / "metrics.py").read_text()
    metrics = set(re.findall(r'"(batchedit_\w+)"', source))
    plain = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}
    assert plain <= metrics, plain - metrics


def test_the_ray_script_starts_a_worker_for_each_cpu_and_shows_no_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray itself is too large for the tests. Whoever may list its tasks read the token in their runtime environment."""
    begun: list[dict[str, str]] = []

    class Remote:
        def __init__(self, function: Callable[..., int]) -> None:
            self.remote = function

    def started(command: list[str], *, env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[1:] == ["-m", "batchedit", "work", "--until-idle", "--run", "spring"]
        begun.append(env)
        return subprocess.CompletedProcess(command, 76)

    ray = SimpleNamespace(
        init=lambda: None, remote=lambda **_: Remote, get=list, cluster_resources=lambda: {"CPU": 3.0, "memory": 1.0}
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(subprocess, "run", started)
    monkeypatch.setattr(sys, "argv", ["ray_workers.py", "spring"])
    monkeypatch.setenv("RUNCOMFY_API_TOKEN", "hush-hush")
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(DEPLOY / "ray_workers.py"), run_name="__main__")
    assert left.value.code == 76
    assert [env["RUNCOMFY_API_TOKEN"] for env in begun] == ["hush-hush"] * 3


@pytest.mark.timeout(500)
@pytest.mark.filterwarnings("ignore")  # the cluster's own
def test_dask_starts_workers_that_finish_what_another_left(
    team: Callable[..., Team], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a cluster of this machine; and once more, as Dask may repeat what it likes."""
    from distributed import Client, LocalCluster

    it = team(5, latency="1")
    it.sql("UPDATE batchedit.store SET lease_seconds = 120")  # no worker is taken for dead because the machine is busy
    first = it.start("run", "m.csv", "--yes", "-j", 1)
    until(lambda: it.count_states()["done"])
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait() in {0, 143}, first.stderr
    for name, value in make_env(BATCHEDIT_STORE=it.url, BATCHEDIT_BASE_URL=it.sandbox.url).items():
        monkeypatch.setenv(name, value)
    script = runpy.run_path(str(DEPLOY / "dask_workers.py"))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        assert script["main"](client, ["--run", "m"], workers=2) == [0, 0]
        assert script["main"](client, [], workers=1) == [0]
    assert it.count_states() == {"done": 5}
    assert (it.sandbox.ledger()["accepted"], it.sandbox.ledger()["duplicates"]) == (5, 0)
