"""Every fault over a real socket, as httpx sees it, and what the server then knows."""

import time
from email.utils import parsedate_to_datetime

import httpx
import pytest

from batchedit.sandbox.config import SandboxConfig
from batchedit.sandbox.faults import AFTER, BEFORE, Injector, parse_fault

# fault -> status, error_code (None: no JSON), Retry-After
ANSWERS = {
    "429": (429, 429001, True),
    "429_date": (429, 429001, True),
    "429_bare": (429, 429001, False),
    "500": (500, 500001, False),
    "500_html": (500, None, False),
    "502": (502, None, False),
    "503": (503, 503001, True),
    "504": (504, None, False),
    "401": (401, 401001, False),
    "403": (403, 403001, False),
    "404": (404, 404001, False),
    "422": (422, 422001, False),
    "200_error": (200, 500001, False),
    "no_money": (402, 400002, False),
    "no_money_400": (400, 400002, False),
    "500_html_after": (500, None, False),
    "502_after": (502, None, False),
    "504_after": (504, None, False),
    "500_after": (500, 500001, False),
    "200_error_after": (200, 500001, False),
}
BROKEN = {
    "drop": httpx.RemoteProtocolError,
    "reset": httpx.ReadError,
    "hang": httpx.ReadTimeout,
}


@pytest.mark.parametrize("fault", ANSWERS)
def test_answers_in_the_place_of_a_submit(sandbox_with, fault):
    client = sandbox_with(faults=(f"submit:{fault}=first:1",))
    answer = client.submit()
    status, code, retry_after = ANSWERS[fault]
    assert (answer.status_code, "retry-after" in answer.headers) == (status, retry_after)
    assert (answer.json()["error_code"] if code else answer.headers["content-type"][:9]) == (code or "text/html")
    ledger = client.sandbox.ledger()
    made = int(fault.endswith("_after"))
    assert (ledger["accepted"], ledger["answers_lost"], ledger["submits_seen"]) == (made, made, 1)
    assert client.submit().status_code == 200


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("how", BROKEN)
def test_connections_that_break_at_a_submit(sandbox_with, how, moment):
    client = sandbox_with(faults=(f"submit:{how}_{moment}=first:1",))
    client.http.timeout = httpx.Timeout(0.3)
    with pytest.raises(BROKEN[how]):
        client.submit()
    made = int(moment == "after")
    ledger = client.sandbox.ledger()
    assert (ledger["accepted"], ledger["answers_lost"]) == (made, made)
    assert ledger["answers"]["submit"] == {f"{how}_{moment}": 1}
    assert client.submit().status_code == 200


@pytest.mark.parametrize("how", BROKEN)
def test_connections_that_break_at_a_poll(sandbox_with, how):
    client = sandbox_with(faults=(f"poll:{how}_after=first:1",))
    request_id = client.accepted()
    client.http.timeout = httpx.Timeout(0.3)
    with pytest.raises(BROKEN[how]):
        client.status(request_id)
    assert client.status(request_id)["status"] == "completed"
    assert client.sandbox.ledger()["answers_lost"] == 0


@pytest.mark.parametrize("fault", ["garbage", "no_id"])
def test_a_job_is_made_and_its_id_is_not_told(sandbox_with, fault):
    client = sandbox_with(faults=(f"submit:{fault}=first:1",))
    answer = client.submit()
    assert answer.status_code == 200
    assert b"request_id" not in answer.content or fault == "garbage"
    if fault == "garbage":
        with pytest.raises(ValueError, match="utf-8"):
            answer.json()
    ledger = client.sandbox.ledger()
    assert (ledger["accepted"], ledger["answers_lost"]) == (1, 1)


def test_a_truncated_answer(sandbox_with):
    client = sandbox_with(faults=("submit:truncated=first:1",))
    with pytest.raises(httpx.RemoteProtocolError):
        client.submit()
    assert client.sandbox.ledger()["answers_lost"] == 1


def test_a_slow_answer_comes_late_and_counts_as_delivered(sandbox_with):
    client = sandbox_with(faults=("submit:slow@0.2=first:1",))
    start = time.monotonic()
    client.accepted()
    assert time.monotonic() - start >= 0.2
    assert client.sandbox.ledger()["answers_lost"] == 0


def test_a_client_that_leaves_before_a_slow_answer_never_got_it(sandbox_with):
    client = sandbox_with(faults=("submit:slow@5=first:1",))
    client.http.timeout = httpx.Timeout(0.2)
    with pytest.raises(httpx.ReadTimeout):
        client.submit()
    assert client.sandbox.ledger()["answers_lost"] == 1


def test_retry_after_in_both_forms(sandbox_with):
    client = sandbox_with(faults=("submit:429@7=at:1", "submit:429_date@7=at:2"))
    assert client.submit().headers["retry-after"] == "7"
    when = parsedate_to_datetime(client.submit().headers["retry-after"]).timestamp()
    assert 6 <= when - time.time() <= 8.5


def test_polls_go_wrong_and_right_again(sandbox_with):
    client = sandbox_with(faults=("poll:404=at:1", "poll:unknown_status=at:2", "poll:500=at:3", "poll:garbage=at:4"))
    path = f"/v1/requests/{client.accepted()}/result"
    answers = [client.http.get(path) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [404, 200, 500, 200, 200]
    assert answers[1].json()["status"] == "warming_up"
    assert "output" not in answers[1].json()
    assert answers[4].json()["status"] == "completed"


@pytest.mark.parametrize(("fate", "words"), [("failed", "failed to produce"), ("moderated", "content_policy")])
def test_jobs_that_fail(sandbox_with, fate, words):
    client = sandbox_with(faults=(f"job:{fate}=first:1",))
    result = client.result(client.accepted(), include_cost="true")
    assert (result["status"], result["output"], result["cost"]) == ("failed", {}, 0.0)
    assert words in result["error"]
    assert client.result(client.accepted())["status"] == "completed"
    assert client.sandbox.ledger()["charged_usd"] == 0.04


def test_jobs_that_never_end_or_take_long(sandbox_with):
    client = sandbox_with(latency="0.01", faults=("job:stuck=at:1", "job:slow@1000=at:2"))
    stuck, slow = client.accepted(), client.accepted()
    time.sleep(0.05)
    assert client.status(stuck)["status"] == client.status(slow)["status"] == "in_progress"


def test_an_expired_link_is_dead_for_good_and_a_new_one_works(sandbox_with):
    client = sandbox_with(plain_files=5000, faults=("file:expired=first:1",))
    request_id = client.accepted()
    old = client.link(request_id)
    assert [client.plain.get(old).status_code for _ in range(2)] == [403, 403]
    fresh = client.link(request_id)
    assert fresh != old
    assert client.plain.get(fresh).status_code == 200
    assert client.sandbox.ledger()["served"] == 1


def test_files_that_come_wrong(sandbox_with):
    client = sandbox_with(plain_files=5000)
    link = client.link(client.accepted())

    def get(fault, **options):
        client.sandbox.set_faults([f"file:{fault}=first:1"])
        return client.plain.get(link, **options)

    page = get("html")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (get("404").status_code, get("500").status_code) == (404, 500)
    with pytest.raises(httpx.RemoteProtocolError):
        get("truncated")
    start = time.monotonic()
    assert len(get("slow@0.3").content) > 4000
    assert time.monotonic() - start >= 0.25
    assert get("redirect").status_code == 302
    assert get("redirect", follow_redirects=True).status_code == 200
    assert get("redirect_out").headers["location"].startswith("http://localhost.example.invalid/")
    for how, error in BROKEN.items():
        with pytest.raises(error):
            get(f"{how}_before", timeout=0.3)


def test_an_outage_is_switched_on_and_off_over_http(sandbox_with):
    client = sandbox_with()
    faults = f"{client.url}/_sandbox/faults"
    assert client.plain.post(faults, json={"faults": ["any:503=1"]}).status_code == 200
    assert client.submit().status_code == client.http.get("/v1/requests/x/status").status_code == 503
    assert client.plain.post(faults, json={"faults": ["any:nonsense=1"]}).status_code == 422
    assert client.submit().status_code == 503
    assert client.plain.post(faults, json={"faults": []}).status_code == 200
    assert client.submit().status_code == 200


def hits(*rules, place="submit", times=20, seed=0):
    injector = Injector(tuple(map(parse_fault, rules)), seed, 0.0)
    return [n for n in range(1, times + 1) if injector.pick(place, float(n))]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("every:7", [7, 14]),
        ("first:3", [1, 2, 3]),
        ("after:18", [18, 19, 20]),
        ("at:5+9", [5, 9]),
        ("time:10-13", [10, 11, 12]),
        ("time:19-", [19, 20]),
        ("0", []),
        ("1", list(range(1, 21))),
    ],
)
def test_when(when, expected):
    assert hits(f"submit:500={when}") == expected


def test_chance_is_the_seeds_and_nothing_elses():
    drawn = hits("submit:500=0.1", times=5000)
    assert drawn == hits("submit:500=0.1", times=5000)
    assert drawn != hits("submit:500=0.1", times=5000, seed=1)
    assert 400 < len(drawn) < 600


def test_any_is_every_call_and_no_jobs_fate():
    assert hits("any:500=1", place="poll", times=1) == [1]
    assert hits("any:500=1", place="job", times=1) == []


@pytest.mark.parametrize(
    "text",
    [
        "submit",
        "submit:500",
        "nowhere:500=1",
        "submit:expired=1",
        "job:500=1",
        "submit:500=2",
        "submit:500=often:3",
        "submit:500=every:0",
        "submit:500=time:5",
        "submit:500@x=1",
        "submit:500=-1",
    ],
)
def test_a_rule_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="fault"):
        SandboxConfig(faults=(text,))


def test_every_fault_is_tried_here():
    tried = {*ANSWERS, *(f"{how}_{moment}" for how in BROKEN for moment in ("before", "after"))}
    assert tried | {"garbage", "truncated", "slow"} == BEFORE | AFTER


@pytest.mark.parametrize("rule", ["submit:hang_before=time:0-0.6", "submit:hang_after@0.6=first:1"])
def test_what_hangs_ends_with_the_outage_that_it_fell_into(sandbox_with, rule):
    """A call that was caught in a minute's outage hung for ever, which no server does that is started again."""
    client, began = sandbox_with(faults=(rule,)), time.monotonic()
    client.http.timeout = httpx.Timeout(10.0)
    with pytest.raises(httpx.RemoteProtocolError):
        client.submit()
    assert 0.2 <= time.monotonic() - began < 3.0
    time.sleep(0.4)
    assert client.submit().status_code == 200
