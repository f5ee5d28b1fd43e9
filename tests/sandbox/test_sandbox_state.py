"""A state file: what a killed server knew, the next one knows; by real kills, by copies, and by replay."""

import base64
import hashlib
import io
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest
from PIL import Image

from batchedit.sandbox import SandboxConfig, StateError, create_app, main, serve
from batchedit.sandbox.job_clock import Order
from batchedit.sandbox.journal import Journal
from batchedit.sandbox.ledger import build_report
from batchedit.sandbox.memory import Memory
from batchedit.sandbox.uploads import Uploads

MODEL = "/v1/models/openai/gpt-4o-image/edit"
PICTURE = "https://shop.example/mug.png"


def data_uri(colour, size=(400, 400)):
    blob = io.BytesIO()
    Image.new("RGB", size, colour).save(blob, "PNG", compress_level=0)
    return "data:image/png;base64," + base64.b64encode(blob.getvalue()).decode()


class Child:
    """A sandbox in a process of its own."""

    def __init__(self, process, url):
        self.process, self.url = process, url
        self.http = httpx.Client(base_url=url, headers={"Authorization": "Bearer t"}, verify=False, trust_env=False)

    def get(self, path, **params):
        return self.http.get(path, params=params).json()

    def submit(self, prompt, image=PICTURE):
        return self.http.post(MODEL, json={"image": image, "prompt": prompt}).json()["request_id"]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        assert self.process.wait(5) == -signal.SIGKILL


@contextmanager
def child(*options):
    command = [sys.executable, "-m", "batchedit.sandbox", *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            made = Child(process, process.stdout.readline().split()[-1])
            with made.http:
                yield made
        finally:
            process.kill()


@pytest.fixture
def state(tmp_path):
    return tmp_path / "run" / "sandbox.jsonl"


@pytest.fixture
def copied(state, tmp_path):
    """The state as kill -9 would leave it at this moment, at another place."""
    made = []

    def copy():
        there = tmp_path / f"copy{len(made)}.jsonl"
        made.append(there)
        shutil.copy(state, there)
        if (folder := state.with_name(f"{state.name}.d")).exists():
            shutil.copytree(folder, there.with_name(f"{there.name}.d"))
        return there

    return copy


def lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.process
def test_a_server_killed_with_sigkill_comes_back(state):
    options = ("--state", state, "--latency", "0.5", "--slots", 2, "--link-ttl", 60, "--fault", "job:failed=at:2")
    with child(*options) as first:
        ids = [first.submit(f"ad {n}", data_uri("magenta") if n == 4 else PICTURE) for n in range(5)]
        before = first.get("/_sandbox/ledger", full=1)
        first.kill()
    assert before["accepted"] == 5
    time.sleep(1.5)
    with child(*options) as second:
        after = second.get("/_sandbox/ledger", full=1)
        results = [second.get(f"/v1/requests/{one}/result", include_cost="true") for one in ids]
        assert [result["status"] for result in results] == ["completed", "failed", *["completed"] * 3]
        for n in (0, 4):
            file = httpx.get(results[n]["output"]["image"], verify=False, trust_env=False)
            picture = Image.open(io.BytesIO(file.content))
            assert (picture.text["request_id"], picture.text["prompt"]) == (ids[n], f"ad {n}")
            magenta = sum(n for n, colour in picture.convert("RGB").getcolors(2**24) if colour == (255, 0, 255))
            assert (magenta > 50_000) == (n == 4)
        second.submit("ad 0")
        ledger = second.get("/_sandbox/ledger")
    # The schedule of a server that never died: two slots, handed on the moment they came free.
    free = [0.0, 0.0]
    for then, job in zip(before["requests"], after["requests"], strict=True):
        start = max(then["accepted_at"], free.pop(0))
        free.append(start + 0.5)
        assert (job["request_id"], job["started_at"], job["ended_at"]) == (then["request_id"], start, start + 0.5)
    same = ("accepted", "answers_lost", "duplicates", "submits_seen", "max_in_flight", "max_queue", "answers")
    assert [after[name] for name in same] == [before[name] for name in same]
    assert (after["charged_usd"], after["reserved_usd"], after["in_flight"]) == (0.16, 0.0, 0)
    assert (ledger["accepted"], ledger["duplicates"], ledger["served"], ledger["submits_seen"]) == (6, 1, 2, 6)


def test_a_copy_of_a_living_servers_file_makes_its_twin(sandbox_with, state, copied):
    options = {"latency": "60", "slots": 2, "balance": "1"}
    client = sandbox_with(state=state, **options)
    ids = [client.accepted(prompt=f"ad {n}") for n in range(5)]
    cancelled = client.http.post(f"/v1/requests/{ids[3]}/cancel").json()
    assert client.http.post(f"/v1/requests/{ids[0]}/cancel").json()["outcome"] == "not_cancellable"
    assert cancelled["outcome"] == "cancelled"
    twin = sandbox_with(state=copied(), **options)
    assert twin.sandbox.ledger(full=True) == client.sandbox.ledger(full=True)
    states = [(state["status"], state.get("queue_position")) for state in map(twin.status, ids)]
    assert states == [("in_progress", None)] * 2 + [("in_queue", 0), ("cancelled", None), ("in_queue", 1)]
    assert twin.http.get("/prod/v2/balance").json()["balance_usd"] == 0.84
    assert twin.http.post(f"/v1/requests/{ids[3]}/cancel").json() == cancelled


def test_pictures_are_the_same_bytes_and_links_outlive_the_server(sandbox_with, state):
    client = sandbox_with(state=state, link_ttl=60, faults=("file:expired=at:2",))
    ids = [client.accepted(prompt="one", image=image) for image in (PICTURE, data_uri("magenta"))]
    links = [client.link(one) for one in ids]
    pictures = [client.plain.get(links[0]).content]
    assert client.plain.get(links[1]).status_code == 403
    client.sandbox.close()
    again = sandbox_with(state=state, link_ttl=60, port=client.sandbox.port, faults=("file:expired=at:2",))
    assert again.plain.get(links[0]).content == pictures[0]
    assert again.plain.get(links[1]).status_code == 403
    fresh = [again.link(one) for one in ids]
    assert again.plain.get(fresh[0]).content == pictures[0]
    last = again.plain.get(fresh[1]).content
    again.sandbox.close()
    third = sandbox_with(state=state)
    assert third.plain.get(third.link(ids[1])).content == last
    ledger = third.sandbox.ledger()
    assert (ledger["served"], ledger["file_calls"]) == (5, 7)
    assert ledger["answers"]["file"] == {"200": 5, "expired": 1, "403": 1}


def test_fates_run_times_and_ordinals_go_on(sandbox_with, state, copied):
    options = {"latency": "exp:5", "seed": 7, "faults": ("job:failed=0.5", "submit:500=at:3+8")}
    client, whole = sandbox_with(state=state, **options), sandbox_with(**options)
    for n in range(6):
        client.submit(prompt=str(n))
    twin = sandbox_with(state=copied(), **options)
    answers = [twin.submit(prompt=str(n)).status_code for n in range(6, 12)]
    assert answers == [200, 500, 200, 200, 200, 200]
    for n in range(12):
        whole.submit(prompt=str(n))
    requests = [
        [
            (job["ordinal"], job["prompt"], job["fate"], job["seconds"])
            for job in one.sandbox.ledger(full=True)["requests"]
        ]
        for one in (twin, whole)
    ]
    assert requests[0] == requests[1]
    assert len({fate for _, _, fate, _ in requests[0]}) == 2


def test_a_plan_laid_over_http_stays_until_other_options_come(sandbox_with, state):
    client = sandbox_with(state=state, faults=("submit:500=1",))
    client.sandbox.set_faults(["submit:503=at:2"])
    assert client.submit().status_code == 200
    client.sandbox.close()
    again = sandbox_with(state=state, faults=("submit:500=1",))
    assert [again.submit().status_code for _ in range(2)] == [503, 200]
    again.sandbox.close()
    assert sandbox_with(state=state, faults=("submit:502=1",)).submit().status_code == 502


def test_lost_answers_leaks_and_polls_are_remembered(sandbox_with, state):
    client = sandbox_with(state=state, faults=("submit:garbage=at:2",))
    ids = [client.accepted(), client.submit().content]
    for _ in range(3):
        client.status(ids[0])
    client.http.get("/samples/mug.png")
    client.sandbox.close()
    before, after = client.sandbox.ledger(), sandbox_with(state=state).sandbox.ledger()
    assert after == before
    assert (after["answers_lost"], after["polled"], after["token_leaks"]) == (1, 3, ["GET /samples/mug.png"])


def test_prices_hold_for_the_jobs_accepted_at_them(sandbox_with, state):
    client = sandbox_with(state=state, latency="0.2", price="0.04", actual_price="0.05", balance="1")
    early = client.accepted(prompt="1")
    client.sandbox.close()
    again = sandbox_with(state=state, latency="0.2", price="0.5", balance="1")
    assert again.submit(prompt="2").status_code == 200
    assert again.submit(prompt="3").status_code == 402
    time.sleep(0.25)
    assert again.result(early, include_cost="true")["cost"] == 0.05
    ledger = again.sandbox.ledger()
    assert (ledger["charged_usd"], ledger["balance_usd"]) == (0.55, 0.45)


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_cut_last_line_is_dropped_and_written_over(sandbox_with, state, copied, cut):
    client = sandbox_with(state=state, latency="60")
    kept = client.accepted(prompt="kept")
    whole = state.read_bytes()
    client.accepted(prompt="cut off")
    there = copied()
    accept = next(n for n, line in enumerate(lines(there)) if line.get("prompt") == "cut off")
    there.write_bytes(b"\n".join(there.read_bytes().split(b"\n")[: accept + 1])[:-cut])
    again = sandbox_with(state=there, latency="60")
    assert there.read_bytes().startswith(whole)
    assert again.sandbox.ledger()["accepted"] == 1
    assert again.status(kept)["status"] == "in_progress"
    again.accepted(prompt="cut off")
    again.sandbox.close()
    assert sandbox_with(state=there, latency="60").sandbox.ledger()["accepted"] == 2


def test_the_line_is_there_before_the_answer(sandbox_with, state):
    client = sandbox_with(state=state, faults=("submit:drop_after=1",))
    with pytest.raises(httpx.RemoteProtocolError):
        client.submit(prompt="lost")
    assert [line["prompt"] for line in lines(state) if line["event"] == "accept"] == ["lost"]


def test_the_file_stays_small(sandbox_with, state):
    client = sandbox_with(state=state, latency="60", models={"a/b": {"properties": {"mask": {"type": "string"}}}})
    uri = data_uri("red")
    ids = [client.accepted(prompt=str(n), image=[uri, uri]) for n in range(10)]
    assert client.http.post("/v1/models/a/b", json={"mask": uri}).status_code == 200
    for _ in range(20):
        client.status(ids[0])
    assert state.stat().st_size < 1000 * 11
    (upload,) = state.with_name(f"{state.name}.d").iterdir()
    assert upload.read_bytes() == base64.b64decode(uri.partition(",")[2])


def test_uploads_are_forgotten_on_disk_and_in_memory_alike(tmp_path):
    folder = tmp_path / "d"
    uploads = Uploads(folder, max_bytes=25)
    a, b, c = (uploads.keep(letter * 10) for letter in (b"a", b"b", b"c"))
    assert [uploads.get(name) for name in (a, b, c)] == [None, b"b" * 10, b"c" * 10]
    assert sorted(path.name for path in folder.iterdir()) == sorted(name[7:] for name in (b, c))
    recalled = Uploads(folder, max_bytes=25)
    for name in (a, b, PICTURE, c, b):
        recalled.restore(name)
    recalled.keep(b"d" * 10)
    assert [recalled.get(name) for name in (a, b, c)] == [None, b"b" * 10, None]


def test_without_state_nothing_is_written(sandbox_with, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    client = sandbox_with()
    client.accepted(image=data_uri("red"))
    client.sandbox.close()
    assert list(tmp_path.iterdir()) == []


def test_two_servers_cannot_share_a_file(sandbox_with, state, capsys):
    sandbox_with(state=state)
    with pytest.raises(StateError, match="another sandbox is using it"):
        create_app(SandboxConfig(state=state))
    assert main(["--state", str(state)]) == 69
    assert "another sandbox is using it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"name,prompt\n", "not a sandbox's state file"),
        (b"no newline", "not a sandbox's state file"),
        (b'{"journal":"batchedit sandbox 1","event":"start"}\n', "line 1 is damaged"),
        (b'{"journal":"batchedit sandbox 1","event":"later"}\n', "line 1 is damaged"),
        (b'{"journal":"batchedit sandbox 1","event":"counts"}\ngarbage\n', "line 2 is damaged"),
    ],
)
def test_a_file_that_is_no_journal_is_left_alone(state, text, words):
    state.parent.mkdir()
    state.write_bytes(text)
    for _ in range(2):  # the lock of the first attempt is let go
        with pytest.raises(StateError, match=words), serve(SandboxConfig(state=state)):
            pass
    assert state.read_bytes() == text


def test_a_folder_is_no_state_file(tmp_path):
    with pytest.raises(StateError, match="directory"):
        create_app(SandboxConfig(state=tmp_path))


def test_a_full_disk_refuses_the_job(state):
    memory = Memory(Journal(state), 40_000)
    memory.start(1000.0, None, 0.0, 0, [])
    size = state.stat().st_size

    class Full:
        closed = False

        def __init__(self, file):
            self.file = file

        def write(self, data):
            return self.file.write(data[:20])

        def truncate(self, size):
            self.file.truncate(size)

    journal = memory._journal
    file, journal._file = journal._file, Full(journal._file)
    with pytest.raises(OSError, match="disk is full"):
        memory.accept(order(1), 1001.0)
    assert (memory.ledger.jobs, memory.account.reserved, state.stat().st_size) == ({}, 0, size)
    journal._file = file
    memory.accept(order(1), 1002.0)
    memory.close()
    assert [line["event"] for line in lines(state)] == ["start", "accept"]


def order(ordinal, seconds=1.0, fate=None):
    digest = hashlib.sha256(str(ordinal % 7).encode()).hexdigest()
    return Order(f"r{ordinal}", ordinal, "m", "a prompt", "1:1", (), digest, seconds, fate, {}, 40_000, 50_000)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happened_is_recalled_to_the_last_digit(state, seed):
    """A live account, looked at now and then, against one that only reads what the journal says."""
    rng = random.Random(seed)
    now, ordinal = 1.7e9 + rng.random(), 0
    live = Memory(Journal(state), None)
    live.start(now, rng.choice([None, 1, 3]), rng.choice([0.0, 0.5]), 0, [])
    for _ in range(rng.randrange(50, 150)):
        now += rng.choice([0.0, rng.expovariate(2)])
        jobs = list(live.ledger.jobs.values())
        match rng.randrange(8):
            case 0 if jobs:
                live.cancel(rng.choice(jobs), now)
            case 1 if jobs:
                rng.choice([live.deliver, live.serve, live.expire])(rng.choice(jobs))
            case 2:
                live.job_clock.advance(now)
            case 3:
                live.start(now, rng.choice([None, 1, 2, 5]), rng.choice([0.0, 1.0]), 0, ["job:stuck=0.1"])
            case _:
                ordinal += 1
                live.accept(order(ordinal, rng.expovariate(1), rng.choice([None, None, "failed", "stuck"])), now)
    live.close()
    recalled = Memory(Journal(state), None)
    recalled.close()
    for moment in (now, now + 3, now + 1000):
        reports = []
        for one in (live, recalled):
            one.job_clock.advance(moment)
            reports.append(build_report(one.ledger, one.job_clock, one.account, full=True))
        assert reports[0] == reports[1]
    assert [job.generation for job in live.ledger.jobs.values()] == [
        job.generation for job in recalled.ledger.jobs.values()
    ]
