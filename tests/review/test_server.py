"""The review server as a process of its own: who it talks to, and that a mark it has answered survives anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from batchedit.commands.review import review
from batchedit.core.errors import InterruptedRunError
from batchedit.core.review import PictureDecision, ReviewProgress, Verdict
from batchedit.ledger.decisions import FolderDecisions
from batchedit.ledger.lock import hold_run_lock
from batchedit.run_folder import RunFolder
from tests.support.finished_run import Showroom, picture
from tests.support.review_process import start_review

pytestmark = pytest.mark.process


@pytest.fixture
def room(tmp_path: Path) -> Showroom:
    room = Showroom(RunFolder(tmp_path / "run"))
    for sku in ("A", "B", "C"):
        room.row(sku)
    checkpoint = room.open()
    for record in checkpoint.records("id < 3 ORDER BY id"):
        room.done(checkpoint, record, picture(record.id, (300, 300)))
    checkpoint.close()
    return room


def batchedit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "batchedit", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def standing(room: Showroom) -> dict[int, tuple[Verdict, str, str]]:
    checkpoint = room.reopen()
    try:
        return {job: (m.verdict, m.note, m.who) for job, m in FolderDecisions(checkpoint).all().items()}
    finally:
        checkpoint.close()


def test_a_mark_that_was_answered_survives_kill_9(room: Showroom) -> None:
    with start_review(room) as review:
        answer = review.mark(1, "reject", note="too dark <b>")
        assert (answer.status_code, answer.json()["serial"]) == (200, 1)
        assert review.mark(2, "approve").status_code == 200
        review.process.kill()
        assert review.wait()[0] == -signal.SIGKILL
    assert standing(room) == {1: (Verdict.REJECT, "too dark <b>", "Dana"), 2: (Verdict.APPROVE, "", "Dana")}
    with start_review(room) as review:
        assert "too dark \\u003cb\\u003e" in review.http.get("").text


def test_ctrl_c_as_soon_as_the_address_is_read_still_tells_how_far_the_looking_is(room: Showroom) -> None:
    reported: list[ReviewProgress] = []

    def ready(_: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError):
        review(str(room.folder.path), {}, ready, lambda looked: reported.append(looked.progress))
    assert [progress.pictures for progress in reported] == [2]


def test_a_reviewed_picture_that_was_replaced_by_a_link_is_not_served(room: Showroom, tmp_path: Path) -> None:
    picture = room.folder.path / "files" / "A-1x1-1.png"
    with start_review(room) as review:
        assert review.http.get("files/A-1x1-1.png").status_code == 200
        picture.rename(tmp_path / "private.png")
        picture.symlink_to(tmp_path / "private.png")
        assert review.http.get("files/A-1x1-1.png").status_code == 404


def test_two_tabs_do_not_lose_each_others_marks(room: Showroom) -> None:
    with start_review(room) as review:
        first = review.mark(1, "approve")
        late = review.mark(1, "reject", serial=0)
        assert late.status_code == 409
        assert late.json() == first.json()
        assert review.mark(1, "reject", serial=1).json()["serial"] == 2
        news = review.http.get("api/marks", params={"since": "1"}).json()
        assert (news["seq"], [mark["verdict"] for mark in news["marks"]]) == (2, ["reject"])


def test_it_serves_the_page_its_pictures_and_nothing_else(room: Showroom) -> None:
    (room.folder.path / "files" / "secret.png").write_bytes(b"not in the gallery")
    with start_review(room) as review:
        page = review.http.get("")
        assert page.headers["content-type"].startswith("text/html")
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        picture_ = review.http.get("files/A-1x1-1.png")
        assert (picture_.status_code, picture_.headers["content-type"]) == (200, "image/png")
        assert picture_.headers["x-content-type-options"] == "nosniff"
        thumb = next((room.folder.path / "thumbs").glob("*.jpg")).name
        assert review.http.get(f"thumbs/{thumb}").status_code == 200
        for path in ("files/secret.png", "files/../checkpoint.sqlite", "files/%2e%2e/checkpoint.sqlite",
                     "thumbs/seen.jsonl", "thumbs/..%2fcheckpoint.sqlite", "checkpoint.sqlite", "results.csv"):  # fmt: skip
            assert review.http.get(path).status_code in {403, 404}, path


FOREIGN = (
    {"Origin": "https://evil.example.com"},
    {"Origin": "null"},
    {"Host": "evil.example.com"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)


def test_other_web_pages_are_refused(room: Showroom) -> None:
    with start_review(room) as review:
        for headers in FOREIGN:
            body = {"job": 1, "verdict": "approve", "note": "", "serial": 0}
            assert review.http.post("api/mark", json=body, headers=headers).status_code == 403
            assert review.http.get("", headers=headers).status_code == 403
    assert standing(room) == {}


def test_a_link_to_the_page_may_be_followed_from_anywhere(room: Showroom) -> None:
    """The file that opens the browser is another site to it."""
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    with start_review(room) as review, httpx.Client(base_url=review.url, headers=followed, trust_env=False) as browser:
        assert browser.get("").status_code == 200
        assert browser.get("api/marks").status_code == 403
        assert browser.get("files/A-1x1-1.png").status_code == 403
        assert browser.get("", headers={"Sec-Fetch-Dest": "iframe"}).status_code == 403


def test_without_the_token_there_is_nothing(room: Showroom) -> None:
    with start_review(room) as review:
        port = urlsplit(review.url).port
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as stranger:
            for path in ("/", "/x/", "/api/marks", f"/{'x' * 32}/api/marks", "/%00/"):
                assert stranger.get(path).status_code == 403
        bare = httpx.post(review.url + "api/mark", json={"job": 1, "verdict": "approve", "note": "", "serial": 0})
        assert bare.status_code == 403  # a POST without an Origin is no browser's


NONSENSE: tuple[object, ...] = (
    {"job": 3, "verdict": "approve", "note": "", "serial": 0},
    {"job": 99, "verdict": "approve", "note": "", "serial": 0},
    {"job": True, "verdict": "approve", "note": "", "serial": 0},
    {"job": 1, "verdict": "maybe", "note": "", "serial": 0},
    {"job": 1, "verdict": ["approve"], "note": "", "serial": 0},
    {"job": 1, "verdict": "approve", "note": "x" * 2001, "serial": 0},
    {"job": 1, "verdict": "approve", "note": 5, "serial": 0},
    {"job": 1, "verdict": "approve", "note": ""},
    [],
    {"note": "x" * 70_000},
)


def test_nonsense_is_refused(room: Showroom) -> None:
    with start_review(room) as review:
        for body in NONSENSE:
            assert review.http.post("api/mark", json=body).status_code == 400, body
        assert review.http.post("api/mark", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 400
        assert (
            review.http.post("api/mark", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
        )


def test_many_marks_in_one_request_are_each_answered_and_none_is_held_up_by_nonsense_beside_it(room: Showroom) -> None:
    def make_mark(job: int, serial: int = 0) -> dict[str, object]:
        return {"job": job, "verdict": "approve", "note": f"n{job}", "serial": serial}

    with start_review(room) as review:
        assert review.mark(2, "reject").status_code == 200
        answer = review.http.post(
            "api/mark", json=[make_mark(1), make_mark(2), make_mark(99), "approve", make_mark(1, 1)]
        )
        assert answer.status_code == 200
        marks = answer.json()["marks"]
        assert [mark["status"] for mark in marks] == [200, 409, 400, 400, 200]
        assert (marks[1]["verdict"], marks[2]["message"]) == ("reject", "there is no such picture")
        assert review.http.post("api/mark", json=[make_mark(1, 2)] * 201).status_code == 400
    assert standing(room) == {1: (Verdict.APPROVE, "n1", "Dana"), 2: (Verdict.REJECT, "", "Dana")}


def test_an_answer_is_not_held_back_for_forty_milliseconds(room: Showroom) -> None:
    """What Nagle's algorithm and delayed ACKs cost together is 40 ms at least, however fast the machine is."""

    def seconds() -> float:
        began = time.perf_counter()
        assert review.http.get("api/marks").status_code == 200
        return time.perf_counter() - began

    with start_review(room) as review:
        assert min(seconds() for _ in range(40)) < 0.035


def test_finish_ends_it_with_0_and_what_to_type_next(room: Showroom) -> None:
    with start_review(room) as review:
        review.mark(1, "reject")
        assert review.http.post("api/finish", json={}).json() == {"finished": True}
        code, output = review.wait()
    assert code == 0
    assert "1 of 2 looked at: 1 rejected" in output
    assert f"batchedit redo {room.folder.path} --use-notes" in output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_is_told_as_one(room: Showroom, number: int, code: int) -> None:
    with start_review(room) as review:
        review.mark(1, "approve")
        exit_code, output = review.end(number)
    assert exit_code == code
    assert "1 of 2 looked at" in output


def test_a_person_marks_while_a_run_goes_on(room: Showroom) -> None:
    """The review held the run's lock, so that neither could begin while the other went on."""
    run = room.folder.path
    with hold_run_lock(run, "run"), start_review(room) as review:
        assert review.mark(1, "approve").status_code == 200
        assert review.end(signal.SIGINT)[0] == 130
        beside = batchedit("gallery", str(run))
        assert (beside.returncode, beside.stdout.strip()) == (0, f"{run}/gallery.html")
        assert "result_flags are not written" in beside.stderr
        assert not (run / "results.csv").exists()  # the run's own end writes them
    with start_review(room) as review, hold_run_lock(run, "run"):
        assert review.mark(2, "reject").status_code == 200
    assert standing(room) == {1: (Verdict.APPROVE, "", "Dana"), 2: (Verdict.REJECT, "", "Dana")}


def test_a_port_that_is_taken(room: Showroom) -> None:
    with start_review(room) as review:
        other = Showroom(RunFolder(room.folder.path.parent / "other"))
        other.row("A")
        other.open().close()
        taken = batchedit("review", str(other.folder.path), "--no-open", "--port", str(urlsplit(review.url).port))
    assert taken.returncode == 64
    assert "--port" in taken.stderr


def test_decisions_are_taken_in_and_delivered_from_the_command_line(room: Showroom, tmp_path: Path) -> None:
    checkpoint = room.reopen()
    one, two = (record.job.key.hex() for record in checkpoint.records("id < 3 ORDER BY id"))
    FolderDecisions(checkpoint).put(PictureDecision(2, Verdict.APPROVE, "", 0, "Dana", 2_000_000_000.0))
    checkpoint.close()
    table = tmp_path / "decisions.csv"
    head = "\ufeffrow;id;file;decision;note;when;job\r\n"  # as a German Excel saves it
    table.write_text(head + f"1;A;a.png;approve;;2026-11-22T08:00:00.000Z;k{one}\r\n", encoding="utf-8", newline="")
    run = str(room.folder.path)
    taken = batchedit("review", run, "--import", str(table), "--as", "Robin")
    assert (taken.returncode, taken.stdout) == (0, "1 decision taken in\n")
    assert standing(room)[1] == (Verdict.APPROVE, "", "Robin")

    table.write_text(head + f"1;A;;maybe;;;k{one}\r\n2;B;;reject;;;k{two[:-2]}\r\n", encoding="utf-8", newline="")
    wrong = batchedit("review", run, "--import", str(table))
    assert wrong.returncode == 65
    assert "row 2:" in wrong.stderr
    assert "row 3:" in wrong.stderr

    done = batchedit("deliver", run, "--to", str(tmp_path / "out.zip"))
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "out.zip"))
    assert batchedit("deliver", run, "--to", str(tmp_path / "out.zip")).returncode == 64
    assert os.listdir(tmp_path).count("out.zip") == 1  # noqa: PTH208 - nothing hidden left beside it either
