"""Starting and stopping: as a process, in a thread, with clients that hang; and what a call costs."""

import asyncio
import gc
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings

import httpx
import pytest

from batchedit.sandbox import SandboxConfig, create_app, main, serve


@pytest.mark.process
def test_as_a_process_it_says_where_and_stops_when_told(tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text('{"required": ["text"], "properties": {"text": {"type": "string"}}}')
    command = [sys.executable, "-m", "batchedit.sandbox", "--latency", "0", "--model", f"a/b={schema}"]
    with subprocess.Popen([*command, "--fault", "submit:500=first:1"], stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith("sandbox listening on http://127.0.0.1:")
        url = line.split()[-1]
        with httpx.Client(base_url=url, headers={"Authorization": "Bearer t"}, verify=False, trust_env=False) as http:
            sent = [http.post("/v1/models/a/b", json={"text": "x"}).status_code for _ in range(2)]
        assert sent == [500, 200]
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 143
        output = process.stdout.read()
        assert "play money" in output, "who buys from it by --base-url reads of dollars there"
        assert f"--base-url {url}" in output


@pytest.mark.process
def test_a_server_that_ended_by_itself_ends_the_command_and_what_it_is_known_by():
    """The port is free for another service then, which must not be taken for a sandbox."""
    script = (
        "import sys, threading, time; from contextlib import contextmanager; from batchedit.sandbox import cli\n"
        "made = []\n"
        "class Running(cli.RunningSandbox):\n"
        "    def __init__(self, config): super().__init__(config); made.append(self)\n"
        "cli.RunningSandbox = Running\n"
        "@contextmanager\n"
        "def known(port, hosts):\n"
        "    threading.Timer(0.5, made[0].close).start()\n"
        "    yield ''\n"
        "    print('given back', flush=True)\n"
        "sys.exit(cli.main([], known))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "given back" in done.stdout) == (69, True), done.stderr
    assert "the server ended by itself" in done.stderr


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--latency", "fast"], "latency 'fast'"),
        (["--fault", "submit:5OO=1"], "no fault '5OO' at submit"),
        (["--balance", "much"], "'much' is not an amount"),
        (["--model", "a/b"], "write ID=schema.json"),
        (["--model", "a/b=/no/such/file"], "No such file"),
        (["--slots", "0"], "--slots: 0"),
        (["--images-per-job", "3"], "--images-per-job: 1 or more, and more than one needs --outputs images"),
        (["--result-while-running", "no"], "--result-while-running: 'no' is not state"),
    ],
)
def test_wrong_options_are_a_message_and_exit_64(capsys, argv, words):
    assert main(argv) == 64
    assert words in capsys.readouterr().err


def test_options_that_argparse_refuses_are_64_too(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--nonsense"])
    assert stopped.value.code == 64
    assert "--nonsense" in capsys.readouterr().err


def test_a_port_that_is_taken_is_69(capsys):
    with serve() as taken:
        assert main(["--port", str(taken.port)]) == 69
    assert "cannot listen" in capsys.readouterr().err


def test_it_stops_at_once_while_clients_hang():
    with serve(SandboxConfig(faults=("any:hang_before=1",))) as sandbox:

        def hang():
            with pytest.raises(httpx.HTTPError), httpx.Client(verify=False, trust_env=False) as http:
                http.get(f"{sandbox.url}/v1/requests/x/status", timeout=30)

        threads = [threading.Thread(target=hang) for _ in range(5)]
        for thread in threads:
            thread.start()
        while sandbox.ledger()["status_polls"] < 5:
            time.sleep(0.01)
        start = time.monotonic()
        sandbox.close()
        assert time.monotonic() - start < 5.0
        for thread in threads:
            thread.join(5)
    assert sandbox.ledger()["answers"]["status"] == {"hang_before": 5}


def test_the_ledger_can_be_read_after_closing_and_the_port_is_free_again():
    with serve(SandboxConfig()) as sandbox:
        pass
    assert sandbox.ledger()["accepted"] == 0
    with serve(SandboxConfig(port=sandbox.port)) as again:
        assert again.url == sandbox.url


def test_it_listens_on_loopback_only():
    with serve() as sandbox, socket.create_connection(("127.0.0.1", sandbox.port), 1) as connection:
        assert connection.getpeername()[0] == "127.0.0.1"
        assert sandbox.url.startswith("http://127.0.0.1:")


def test_a_connection_that_comes_while_it_stops_is_closed_too():
    """Under Python 3.12 and 3.13 it stayed open, and its ResourceWarning failed whatever test ran when it was collected."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(30):
            with serve() as sandbox, socket.create_connection(("127.0.0.1", sandbox.port), 1):
                pass
        gc.collect()
    assert [str(one.message) for one in caught if "loop" in str(one.message) or "socket" in str(one.message)] == []


def test_the_app_alone_works_without_a_socket():
    async def calls():
        app = create_app(SandboxConfig(faults=("submit:drop_before=at:2",)))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            body = {"image": "https://shop.example/a.png", "prompt": "x"}
            path, headers = "/v1/models/openai/gpt-4o-image/edit", {"Authorization": "Bearer t"}
            sent = [(await http.post(path, json=body, headers=headers)).status_code for _ in range(2)]
            return sent, (await http.get("/_sandbox/ledger")).json()

    sent, ledger = asyncio.run(calls())
    assert sent == [200, 500]
    assert (ledger["accepted"], ledger["answers_lost"], len(ledger["bugs"])) == (1, 0, 1)


def test_answer_after_is_the_length_of_a_call():
    with serve(SandboxConfig(answer_after=0.2)) as sandbox, httpx.Client(verify=False, trust_env=False) as http:
        start = time.monotonic()
        http.get(f"{sandbox.url}/v1/requests/x/status")
        assert 0.2 <= time.monotonic() - start < 10.0
