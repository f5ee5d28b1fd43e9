"""The proxy of the environment and the service's address: what can't be used is refused before anything is sent."""

from __future__ import annotations

import subprocess
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from batchedit.commands.proxy import find_proxy
from batchedit.core.errors import UsageError
from batchedit.core.review import PictureDecision, Verdict
from batchedit.ledger.decisions import FolderDecisions
from batchedit.ledger.opening import open_checkpoint
from batchedit.review.notify import notify
from batchedit.sandbox import SandboxConfig, serve
from batchedit.settings.model import DEFAULT_BASE_URL, Settings
from tests.support.cli import make_env, manifest, on, start, until
from tests.support.cli import run_cli as batchedit
from tests.support.raw_server import RawServer


@pytest.fixture
def proxy() -> object:
    """A real proxy that refuses every tunnel."""
    running = RawServer([RawServer.http(403)])
    try:
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize(
    ("variable", "used"),
    [
        ("127.0.0.1:9", "http://127.0.0.1:9"),
        ("proxy.example.com", "http://proxy.example.com"),
        (" http://user:secret@[::1]:8080 ", "http://user:secret@[::1]:8080"),
        ("", None),
        ("  ", None),
    ],
)
def test_a_proxy_as_other_tools_take_it_ended_in_a_traceback(variable: str, used: str | None) -> None:
    assert find_proxy({"HTTPS_PROXY": variable}) == used
    assert find_proxy({"HTTPS_PROXY": " ", "https_proxy": variable}) == used


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    "variable",
    ["socks5://me:secret@127.0.0.1:9", "ftp://127.0.0.1:9", "http://", "http://127.0.0.1:99999", "http://a b:1"],
)
def test_a_proxy_that_cannot_be_used_is_one_sentence(tmp_path: Path, command: str, variable: str) -> None:
    manifest(tmp_path / "m.csv", 1)
    refused = batchedit(command, "m.csv", cwd=tmp_path, env=make_env(HTTPS_PROXY=variable), code=64)
    assert "HTTPS_PROXY" in refused.stderr
    assert "nothing was sent" in refused.stderr
    assert "unset HTTPS_PROXY" in refused.stderr
    assert "secret" not in refused.stderr + refused.stdout
    with pytest.raises(UsageError):
        find_proxy({"https_proxy": variable})


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_proxy_without_a_scheme_or_blank_is_taken_as_other_tools_take_it(tmp_path: Path, command: str) -> None:
    """127.0.0.1:9 is nobody: the service can't be reached then, in a sentence, and a loopback service needs no proxy."""
    manifest(tmp_path / "m.csv", 1)
    with serve(SandboxConfig(latency="0", plain_files=4_000)) as sandbox:
        arguments = (
            [command, "m.csv", *on(sandbox)] if command == "run" else [command, "m.csv", "--base-url", sandbox.url]
        )
        for blank in ("  ", ""):
            batchedit(*arguments, cwd=tmp_path, env=make_env(HTTPS_PROXY=blank))
        completed = batchedit(*arguments, cwd=tmp_path, env=make_env(HTTPS_PROXY="127.0.0.1:9"), code=None)
        assert "Traceback" not in completed.stderr
        assert completed.returncode in {0, 69}, completed.stderr
        assert sandbox.ledger()["accepted"] == (1 if command == "run" else 0)


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize("place", ["RUNCOMFY_CONFIG_DIR", "XDG_CONFIG_HOME"])
def test_the_token_in_a_moved_folder_of_configuration_is_used_by_each_command(
    tmp_path: Path, command: str, place: str
) -> None:
    manifest(tmp_path / "m.csv", 1)
    folder = tmp_path / "kept" if place == "RUNCOMFY_CONFIG_DIR" else tmp_path / "kept" / "runcomfy"
    folder.mkdir(parents=True)
    (folder / "token.json").write_text('{"access_token": "of-the-folder"}', encoding="utf-8")
    env = make_env(HOME=str(tmp_path), **{place: str(tmp_path / "kept")})
    del env["RUNCOMFY_API_TOKEN"]
    with serve(SandboxConfig(latency="0", plain_files=4_000)) as sandbox:
        arguments = on(sandbox) if command == "run" else ["--base-url", sandbox.url]
        completed = batchedit(command, "m.csv", *arguments, cwd=tmp_path, env=env)
        assert "the catalogue" in completed.stdout + completed.stderr, (
            "the price was asked of the service, with the token"
        )
        (folder / "token.json").unlink()
        without = batchedit(
            command, "m.csv", "--fresh", *arguments, cwd=tmp_path, env=env, code=77 if command == "run" else 0
        )
        assert "token" in without.stderr or command == "plan"
        assert sandbox.ledger()["accepted"] == (1 if command == "run" else 0)


def test_a_proxy_that_cannot_be_used_is_nothing_to_the_sandbox(tmp_path: Path) -> None:
    manifest(tmp_path / "m.csv", 1)
    planned = batchedit("plan", "m.csv", "--sandbox", cwd=tmp_path, env=make_env(HTTPS_PROXY="socks5://127.0.0.1:9"))
    assert "to buy          1 picture" in planned.stdout
    assert "HTTPS_PROXY" not in planned.stdout + planned.stderr


def test_plan_went_past_the_proxy(tmp_path: Path, proxy: RawServer) -> None:
    """It asked the service by itself, where only the proxy leads out."""
    manifest(tmp_path / "m.csv", 1)
    env = make_env(HTTPS_PROXY=f"127.0.0.1:{proxy.port}")
    batchedit("plan", "m.csv", "--no-check-images", cwd=tmp_path, env=env)
    tunnels = {request.target for request in proxy.requests if request.method == "CONNECT"}
    assert "model-api.runcomfy.net:443" in tunnels


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    "url", ["ftp://service.example", "https://service.example?x=1", "https://model-api.runcomfy.net#x"]
)
def test_a_base_url_that_cannot_be_used_is_refused_by_plan_too(tmp_path: Path, command: str, url: str) -> None:
    manifest(tmp_path / "m.csv", 1)
    refused = batchedit(command, "m.csv", "--base-url", url, cwd=tmp_path, code=64)
    assert "--base-url" in refused.stderr


def test_a_base_url_that_ends_in_v1_bought_nothing_but_404s(tmp_path: Path) -> None:
    """The vendor's own variable has it so. It is the same service, and the same run."""
    manifest(tmp_path / "m.csv", 1)
    with serve(SandboxConfig(latency="0", plain_files=4_000)) as sandbox:
        options = on(sandbox)
        ending = [f"{sandbox.url}/v1" if option == sandbox.url else option for option in options]
        assert ending != options
        planned = batchedit("plan", "m.csv", "--base-url", f"{sandbox.url}/v1", cwd=tmp_path)
        assert "$0.04 a picture (the catalogue)" in planned.stdout
        batchedit("run", "m.csv", *ending, cwd=tmp_path)
        batchedit("run", "m.csv", *options, cwd=tmp_path)
        assert sandbox.ledger()["accepted"] == 1


def test_a_summary_that_no_proxy_takes_ended_a_bought_night_in_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "ftp://127.0.0.1:9")
    assert "proxy" in notify("https://hooks.example/secret", {"text": "done"})


# --- a proxy that gives no tunnel: the run is of the vendor's service, which only the proxy leads to ---------------------

DECLINED, LOST = '"event":"Declined"', '"event":"Lost"'
BUYING = ("run n.csv --no-check-images", "retry m", "doubt m --buy-again all", "redo m")


def _make_vendor_run(folder: Path, *, price: int | None = None) -> int:
    """A failed row, one in doubt and a rejected picture; and a sheet that is new. Returns how many are in doubt.

    ``price`` is what the run knows of a picture's, in micro-dollars; without one it asks.
    """
    manifest(folder / "m.csv", 3, prefix=f"of{folder.name}")  # else one run of the test would leave it to another
    manifest(folder / "n.csv", 2, prefix=f"new{folder.name}")
    with serve(
        SandboxConfig(latency="0", plain_files=4_000, faults=("job:failed=at:1", "submit:drop_after=at:2"))
    ) as it:
        batchedit("run", "m.csv", *on(it, "-j", 1), cwd=folder, code=76)
    with closing(open_checkpoint(folder / "outputs" / "m" / "checkpoint.sqlite")) as checkpoint:
        FolderDecisions(checkpoint).put(PictureDecision(3, Verdict.REJECT, "", 0, "Dana", 1.0))
        checkpoint.put("service", DEFAULT_BASE_URL)
        settings = Settings.load(checkpoint.get("settings") or "{}")
        checkpoint.put("settings", replace(settings, base_url=DEFAULT_BASE_URL, price=price).dump())
        return checkpoint.money().doubts


def _split_command(command: str, price: int | None) -> list[str]:
    return [*command.split(), "--yes", *(["--price", "0.04"] if price and command.startswith("run") else [])]


def _find_run(command: str, folder: Path) -> Path:
    return folder / "outputs" / ("n" if command.startswith("run") else "m")


def _read_log(command: str, folder: Path) -> str:
    path = _find_run(command, folder) / "run.jsonl"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _count_doubts(command: str, folder: Path) -> int:
    with closing(open_checkpoint(_find_run(command, folder) / "checkpoint.sqlite", read_only=True)) as checkpoint:
        return checkpoint.money().doubts


@pytest.mark.parametrize("command", BUYING)
@pytest.mark.parametrize("price", [None, 40_000], ids=["asks for the price", "buys at once"])
def test_a_proxy_that_refuses_kept_each_command_busy_for_minutes_and_was_not_named(
    tmp_path: Path, command: str, price: int | None
) -> None:
    before = _make_vendor_run(tmp_path, price=price)
    proxy = RawServer([RawServer.http(407)])
    try:
        env = make_env(HTTPS_PROXY=f"http://me:hidden@127.0.0.1:{proxy.port}")
        completed = batchedit(*_split_command(command, price), cwd=tmp_path, env=env, code=69)
    finally:
        proxy.stop()
    output = completed.stdout + completed.stderr
    assert (
        f"the proxy 127.0.0.1:{proxy.port} wants a name and a password, or others (407 X); nothing was sent" in output
    )
    assert "put a proxy that lets the service through into HTTPS_PROXY" in output
    assert "hidden" not in output
    assert {request.method for request in proxy.requests} == {"CONNECT"}
    assert (DECLINED in _read_log(command, tmp_path)) is bool(price)
    released = bool(price) and command.startswith("doubt")  # planned, as the yes wanted it
    assert _count_doubts(command, tmp_path) == (0 if command.startswith("run") else before - released)


def test_fetch_and_plan_say_that_the_proxy_refuses(tmp_path: Path, proxy: RawServer) -> None:
    manifest(tmp_path / "m.csv", 2)
    with serve(SandboxConfig(latency="600", plain_files=4_000)) as it:
        process = start("run", "m.csv", *on(it), cwd=tmp_path)
        until(lambda: '"event":"Accepted"' in _read_log("m", tmp_path))
        process.terminate()
        process.communicate(timeout=90)
    with closing(open_checkpoint(tmp_path / "outputs" / "m" / "checkpoint.sqlite")) as checkpoint:
        checkpoint.put("service", DEFAULT_BASE_URL)
        settings = Settings.load(checkpoint.get("settings") or "{}")
        checkpoint.put("settings", replace(settings, base_url=DEFAULT_BASE_URL).dump())
    env = make_env(HTTPS_PROXY=f"127.0.0.1:{proxy.port}")
    refused = f"the proxy 127.0.0.1:{proxy.port} refuses to connect to model-api.runcomfy.net:443 (403 X)"
    for command in ("fetch m", "cancel m"):
        completed = batchedit(*command.split(), cwd=tmp_path, env=env, code=69)
        assert refused in completed.stdout + completed.stderr
    manifest(tmp_path / "n.csv", 2, prefix="new")
    planned = batchedit("plan", "n.csv", "--no-check-images", cwd=tmp_path, env=env)
    assert refused in planned.stderr
    assert "so nobody tells the price" in planned.stderr
    assert "to buy          2 pictures" in planned.stdout


def _is_declined_or_over(command: str, folder: Path, process: subprocess.Popen[str]) -> bool:
    return DECLINED in _read_log(command, folder) or process.poll() is not None


@pytest.mark.timeout(600)  # four commands, each with a run of its own before
@pytest.mark.parametrize("how", ["closes", "hangs", "refuses later"])
def test_a_tunnel_that_never_opens_leaves_nothing_in_doubt_whatever_buys(tmp_path: Path, how: str) -> None:
    """All at once, for a tunnel that hangs is waited for. Each goes on trying, as where there is no network."""
    proxy = RawServer()
    proxy.script = [{"closes": RawServer.close, "hangs": proxy.hang, "refuses later": RawServer.http(503)}[how]]
    env = make_env(HTTPS_PROXY=f"127.0.0.1:{proxy.port}")
    running: dict[str, tuple[Path, int, int, subprocess.Popen[str]]] = {}
    try:
        for number, command in enumerate(BUYING):
            folder = tmp_path / str(number)
            folder.mkdir()
            before = _make_vendor_run(folder, price=40_000)
            lost = _read_log(command, folder).count(LOST)
            running[command] = (folder, before, lost, start(*_split_command(command, 40_000), cwd=folder, env=env))
        for command, (folder, _, _, process) in running.items():
            until(partial(_is_declined_or_over, command, folder, process), 300)
            process.terminate()
    finally:
        outputs = {command: process.communicate(timeout=90) for command, (*_, process) in running.items()}
        proxy.stop()
    assert {request.method for request in proxy.requests} == {"CONNECT"}
    for command, (folder, before, lost, process) in running.items():
        assert DECLINED in _read_log(command, folder), outputs[command]
        assert _read_log(command, folder).count(LOST) == lost, outputs[command]
        after = 0 if command.startswith("run") else before - command.startswith("doubt")
        assert _count_doubts(command, folder) == after, outputs[command]
        assert process.returncode in {143, 69}, outputs[command]
