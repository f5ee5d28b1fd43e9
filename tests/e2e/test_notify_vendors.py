"""What ``--notify`` sends to Slack, Teams and Telegram: the run's words as they were written, in each vendor's form."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from PIL import Image

from batchedit.sandbox import SandboxConfig, serve
from tests.support.cli import batchedit, make_env, manifest, on, run_cli
from tests.support.vendors import SLACK_FILES, SLACK_HOOKS, TEAMS, TELEGRAM, VendorRequest, Vendors, run_vendors

QUICK = SandboxConfig(latency="0", plain_files=2_000)
RUN = "outputs/spring_sale_*1*  & <b>"
"""Marks of Markdown and of HTML, and two blanks in a row, which HTML makes one of."""
HOOK = "slack://T0SECRET0/B0SECRET0/SECRETsecretSECRETsecret/#ads"
BOT = "slack://xoxb-1234-5678-SECRETsecret/#ads"
WORKFLOW = f"workflows://{TEAMS}:443/SECRETworkflow/SECRETsignature"
CHAT = "tgram://123456789:SECRETsecret_SECRETsecret/987654321"


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendors]:
    # between two requests of a bot Apprise waits for 1.2 s
    monkeypatch.setattr("apprise.plugins.slack.NotifySlack.request_rate_per_sec", 0.0)
    with run_vendors(tmp_path) as running:
        yield running


def buy(folder: Path, away: Vendors, channel: str, process: bool = False) -> str:
    """A run with all its messages; what it said on stderr. The channel's secrets stand nowhere."""
    manifest(folder / "m.csv", 2)
    with serve(QUICK) as sandbox:
        arguments = ["run", "m.csv", *on(sandbox, "--out", RUN, "--notify", channel)]
        completed = (batchedit if process else run_cli)(*arguments, cwd=folder, env=make_env(**away.environment))
    kept_files = [path.read_bytes() for path in (folder / RUN).rglob("*") if path.is_file()]
    assert len(kept_files) > 5
    assert not [
        text
        for text in (completed.stdout.encode(), completed.stderr.encode(), *kept_files)
        if b"SECRET" in text.upper()
    ]
    assert not [request.path for request in away.received if b"pprise" in request.body], (
        "a message is ours, not a library's"
    )
    return completed.stderr


def check_messages(texts: list[str]) -> None:
    """The first and the last message, line for line."""
    start_lines, end_lines = (text.splitlines() for text in texts)
    name, quoted_run = "spring_sale_*1*  & <b>", f"'{RUN}'"
    assert start_lines == [
        f"{name} has started: 2 pictures for about $0.08",
        f"→ to see how it goes: batchedit status {quoted_run} --watch",
    ]
    assert end_lines == [
        f"{name} is finished: 2 of 2 pictures, $0.08 spent",
        f"→ the pictures: '{RUN}/files', the enriched manifest: '{RUN}/results.csv'",
        f"→ to look at them: batchedit review {quoted_run}",
    ]


def read_as_slack(payload: dict[str, Any]) -> str:
    """What Slack shows of a message whose formatting is switched off: it reads the three entities alone."""
    assert payload["mrkdwn"] is False
    text = payload["attachments"][0]["text"] if "attachments" in payload else payload["text"]
    assert not re.search(r"[<>]|&(?!(amp|lt|gt);)", text)
    return unescape(text)


def read_as_teams(request: VendorRequest) -> list[str]:
    """The blocks of a card as Teams shows them: CommonMark, in which one line end is a blank and two begin a new line. Blanks
    are left as they are; a browser shows several as one.
    """
    (card,) = request.json()["attachments"]
    blocks = [block["text"] for block in card["content"]["body"] if block["type"] == "TextBlock"]
    return [_commonmark(block) for block in blocks]


def _commonmark(text: str) -> str:
    assert not re.search(r"(?<!\\)(?:\\\\)*[*_`\[\]#]", text), f"a mark of Markdown: {text}"
    lines = [" ".join(paragraph.split("\n")) for paragraph in re.split(r"\n{2,}", text)]
    return "\n".join(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", line) for line in lines)


def read_as_telegram(text: str) -> str:
    """What Telegram shows of its HTML, without the title, a line of its own in bold."""
    title, rest = text.split("\r\n", 1)
    assert title == "<b>batchedit: spring_sale_*1*  &amp; &lt;b&gt;</b>"
    assert not re.search(r"[<>]|&(?!(amp|lt|gt|quot);)", rest)
    return unescape(rest)


def check_picture(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()


def test_a_slack_channel_was_told_by_its_web_hook(tmp_path: Path, away: Vendors) -> None:
    """The words came as they were written, formatted by nobody."""
    assert "did not arrive" not in buy(tmp_path, away, HOOK, process=True)
    assert {(request.host, request.path) for request in away.received} == {
        (SLACK_HOOKS, "/services/T0SECRET0/B0SECRET0/SECRETsecretSECRETsecret")
    }
    check_messages([read_as_slack(request.json()) for request in away.received])
    assert {request.json()["channel"] for request in away.received} == {"#ads"}


def test_a_slack_hook_that_was_named_by_its_https_address_showed_the_words_as_written(
    tmp_path: Path, away: Vendors
) -> None:
    """Slack formats the text of a hook unless it is told not to: the stars of a run's name were eaten."""
    assert "did not arrive" not in buy(tmp_path, away, f"https://{SLACK_HOOKS}/services/T0/B0/SECRET")
    check_messages([read_as_slack(request.json()) for request in away.received])


def test_a_slack_bot_was_given_the_pictures_behind_the_words(tmp_path: Path, away: Vendors) -> None:
    """Each picture was announced, put where Slack said, and shown in the channel that Slack named."""
    assert "did not arrive" not in buy(tmp_path, away, BOT)
    messages = [request for request in away.received if request.path == "/api/chat.postMessage"]
    check_messages([read_as_slack(request.json()) for request in messages])
    upload = ["/api/files.getUploadURLExternal", "/upload/v1/", "/api/files.completeUploadExternal"]
    steps = [re.sub(r"\d+$", "", request.path) for request in away.received]
    assert steps == ["/api/chat.postMessage", "/api/chat.postMessage", *upload, *upload]
    for announce, put, complete in (away.received[2:5], away.received[5:8]):
        announced = parse_qs(announce.query)
        name, data = put.parts()["file"]
        check_picture(data)
        assert (put.host, [name], [str(len(data))]) == (SLACK_FILES, announced["filename"], announced["length"])
        assert complete.json()["files"] == [{"id": f"F{put.path.rpartition('/')[2]}", "title": name}]
        assert complete.json()["channel_id"] == "C0123456789"


def test_a_slack_bot_that_may_not_send_files_said_the_words_once(tmp_path: Path, away: Vendors) -> None:
    """The words stood in the channel twice: the second try, which is without pictures, said them anew."""
    refusal = {"ok": False, "error": "missing_scope", "needed": "files:write", "provided": "chat:write"}
    away.refuses["getUploadURLExternal"] = (200, refusal)
    stderr = buy(tmp_path, away, BOT)
    check_messages(
        [read_as_slack(request.json()) for request in away.received if request.path == "/api/chat.postMessage"]
    )
    (complaint,) = [line for line in stderr.splitlines() if "slack" in line]
    assert complaint.endswith(": the channel slack:// took it in part: without all its pictures, or not everywhere")


def test_a_teams_channel_was_told_by_its_workflow(tmp_path: Path, away: Vendors) -> None:
    """All the lines of a message stood in one, and the stars in the card's title were eaten."""
    assert "did not arrive" not in buy(tmp_path, away, WORKFLOW)
    assert {(request.host, request.path) for request in away.received} == {
        (TEAMS, "/workflows/SECRETworkflow/triggers/manual/paths/invoke")
    }
    assert {parse_qs(request.query)["sig"][0] for request in away.received} == {"SECRETsignature"}
    blocks = [read_as_teams(request) for request in away.received]
    assert [title for title, _ in blocks] == ["batchedit: spring_sale_*1*  & <b>"] * 2
    check_messages([text for _, text in blocks])


def test_a_telegram_chat_was_given_the_pictures_with_the_words_on_the_first(tmp_path: Path, away: Vendors) -> None:
    """The words of the end came as the first picture's caption, the second picture behind it."""
    assert "did not arrive" not in buy(tmp_path, away, CHAT)
    assert {request.host for request in away.received} == {TELEGRAM}
    start_request, first, second = away.received
    bot = "/bot123456789:SECRETsecret_SECRETsecret"
    assert [request.path for request in away.received] == [f"{bot}/sendMessage", f"{bot}/sendPhoto", f"{bot}/sendPhoto"]
    assert start_request.json()["parse_mode"] == "HTML"
    caption = {name: content.decode() for name, (file, content) in first.parts().items() if file is None}
    assert (caption["chat_id"], caption["parse_mode"]) == ("987654321", "HTML")
    check_messages([read_as_telegram(start_request.json()["text"]), read_as_telegram(caption["caption"])])
    for request in (first, second):
        check_picture(request.parts()["photo"][1])
    assert "caption" not in second.parts()


def test_a_telegram_chat_that_takes_no_photos_was_told_the_words(tmp_path: Path, away: Vendors) -> None:
    """A group's rights may keep photos out, and with the first photo its caption."""
    refusal = {
        "ok": False,
        "error_code": 400,
        "description": "Bad Request: not enough rights to send photos to the chat",
    }
    away.refuses["sendPhoto"] = (400, refusal)
    assert "did not arrive" not in buy(tmp_path, away, CHAT)
    check_messages(
        [read_as_telegram(request.json()["text"]) for request in away.received if request.path.endswith("sendMessage")]
    )


@pytest.mark.parametrize(
    ("channel", "end", "status", "answer"),
    [
        (HOOK, "", 403, b"invalid_token"),
        (BOT, "chat.postMessage", 200, {"ok": False, "error": "channel_not_found"}),
        (WORKFLOW, "invoke", 400, {"error": {"code": "TriggerInputSchemaMismatch", "message": "SECRETsignature"}}),
        (CHAT, "", 400, {"ok": False, "error_code": 400, "description": "Bad Request: chat not found"}),
    ],
    ids=["slack hook", "slack bot", "teams", "telegram"],
)
def test_a_vendor_that_refused_was_a_sentence_and_the_run_went_on(
    channel: str, end: str, status: int, answer: Any, tmp_path: Path, away: Vendors
) -> None:
    """The sentence came once for all messages, and without the address."""
    away.refuses[end] = (status, answer)
    stderr = buy(tmp_path, away, channel)
    assert len(away.received) >= 2
    scheme = channel.partition(":")[0]
    complaints = [line for line in stderr.splitlines() if "message" in line or scheme in line]
    assert complaints == [f"batchedit: a message did not arrive: the channel {scheme}:// did not take the message"]
