"""The codec, row by row: what each reply does to money, and what is read of a job that was bought."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchedit.core.events import Accepted, CancelConfirmed, CancelDenied, Completed, Declined, Errored, Lost, Refused
from batchedit.core.model import Handle, Kind, Output, Problem
from batchedit.ports import NoAnswer, StillRunning
from batchedit.runcomfy import poll_reply as looks
from batchedit.runcomfy import submit_reply as wire
from batchedit.runcomfy.catalogue import load_model
from batchedit.runcomfy.reply_body import LONGEST, LONGEST_WAIT, clean, parse_reply, read_retry_after
from batchedit.runcomfy.submit_reply import ImageShape
from batchedit.runcomfy.urls import Addresses

NOW = 1_000_000.0
SCHEMA = load_model("openai/gpt-4o-image/edit").schema
PICTURES = frozenset({"image"})


def body(payload: Any) -> bytes:
    return payload if isinstance(payload, bytes) else orjson.dumps(payload)


def submit(status: int, payload: Any = b"", **headers: str) -> Accepted | Declined | Refused | Lost:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return wire.read_submit(status, named, body(payload), NOW)


def result(status: int, payload: Any = b"", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return looks.read_result(status, named, body(payload), NOW)


def coded(code: Any, **more: Any) -> dict[str, Any]:
    return {"error_code": code, "error_message": "its own words"} | more


# --- the body -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "shape", "sent"),
    [
        (["a"], ImageShape.STRING, "a"),
        (["a"], ImageShape.ARRAY, ["a"]),
        (["a", "b"], ImageShape.STRING, ["a", "b"]),
        (["a", "b"], ImageShape.ARRAY, ["a", "b"]),
        ([], ImageShape.STRING, []),
    ],
)
def test_the_pages_model_in_both_shapes(image, shape, sent):
    inputs = {"image": image, "prompt": "an ad", "size": "1:1"}
    assert orjson.loads(wire.submit_body(inputs, shape, SCHEMA)) == inputs | {"image": sent}
    assert wire.has_choice(inputs, SCHEMA) is (len(image) == 1)


ARRAY = {"type": "array", "items": {"type": "string"}}


@pytest.mark.parametrize(
    ("rule", "sent"),
    [(ARRAY, ["a"]), (ARRAY | {"default": ["x"]}, ["a"]), ({"type": "string"}, "a"), ({}, ["a"])],
    ids=["array", "array by its default too", "string", "unknown"],
)
@pytest.mark.parametrize("shape", ImageShape)
def test_another_model_gets_what_its_schema_says(rule, sent, shape):
    schema = {"properties": {"image": rule}}
    assert orjson.loads(wire.submit_body({"image": ["a"]}, shape, schema)) == {"image": sent}
    assert not wire.has_choice({"image": ["a"]}, schema)


@pytest.mark.parametrize(
    ("rule", "ambiguous"),
    [
        (ARRAY | {"default": "x"}, True),
        (ARRAY | {"default": None}, False),
        ({"type": "array", "default": "x"}, False),
        ({"type": "array", "items": {"type": "object"}, "default": "x"}, False),
        ({"type": "array", "items": "string", "default": "x"}, False),
        ({"type": "string", "items": {"type": "string"}, "default": "x"}, False),
        ("array", False),
    ],
    ids=repr,
)
def test_a_field_is_ambiguous_where_its_default_contradicts_its_type(rule, ambiguous):
    schema = {"properties": {"image": rule, "size": {"type": "string"}}}
    assert wire.find_ambiguous_fields(schema) == (frozenset({"image"}) if ambiguous else frozenset())


@pytest.mark.parametrize("schema", [{}, {"properties": None}, {"properties": ["image"]}])
def test_a_schema_without_properties_changes_no_input(schema):
    assert wire.find_ambiguous_fields(schema) == frozenset()
    assert orjson.loads(wire.submit_body({"image": ["a"], "n": 1}, ImageShape.STRING, schema)) == {
        "image": ["a"],
        "n": 1,
    }


def test_the_other_shape_of_a_picture_is_the_other_one():
    assert (ImageShape.STRING.other, ImageShape.ARRAY.other) == (ImageShape.ARRAY, ImageShape.STRING)
    assert ImageShape("string") is ImageShape.STRING, "the shape is kept on disk under this word"
    assert ImageShape("array") is ImageShape.ARRAY


def test_a_number_that_no_machine_word_holds_is_sent_whole():
    assert json.loads(wire.submit_body({"seed": 2**70}, ImageShape.ARRAY, {})) == {"seed": 2**70}


@pytest.mark.parametrize(
    ("inputs", "waits"),
    [
        ({"image": {"$file": "a.png", "$sha256": "ab"}}, True),
        ({"image": ["https://h/a.png", {"$file": "a.png", "$sha256": "ab"}]}, True),
        ({"prompt": "$file", "image": ["$file"]}, False),
        ({"prompt": {"file": "a.png"}, "n": None}, False),
        ({}, False),
    ],
    ids=repr,
)
def test_a_picture_of_this_machine_is_seen_before_a_path_is_sent_in_its_place(inputs, waits):
    assert wire.has_local_file(inputs) is waits


# --- the table of money ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_id_is_a_purchase(status):
    links = {f"{call}_url": f"https://h/v1/requests/r1/{call}" for call in ("status", "result", "cancel")}
    assert submit(status, {"request_id": "r1", **links}) == Accepted(NOW, Handle("r1", **links))
    assert submit(status, {"request_id": 17, "status_url": 5}) == Accepted(NOW, Handle("17"))


@pytest.mark.parametrize("status", [200, 400, 401, 402, 404, 422, 429, 500, 502, 503])
@pytest.mark.parametrize("code", [None, 400002, 401001, 422001, 500001])
def test_an_id_is_a_purchase_whatever_stands_beside_it(status, code):
    payload = {"request_id": "r1"} | (coded(code) if code else {})
    assert submit(status, payload, retry_after="3") == Accepted(NOW, Handle("r1"))


@pytest.mark.parametrize(
    "payload",
    [
        b'\xef\xbb\xbf{"request_id":"r1"}',
        b'{"request_id":"r1","cost":NaN}',
        b'{"request_id":"r1","note":"caf\xe9"}',
        b'{"request_id":"r1","note":"\\ud800"}',
        b'{"request_id":" r1\\n"}',
    ],
    ids=["BOM", "NaN", "latin-1", "lone surrogate", "spaces"],
)
def test_an_id_is_not_lost_to_a_comma(payload):
    assert submit(200, payload) == Accepted(NOW, Handle("r1"))


@pytest.mark.parametrize(
    ("payload", "request_id"),
    [
        (b'{"request_id":"r1"', "r1"),
        (b'{"status_url":"x","request_id" : "r1","sta', "r1"),
        (b'{"request_id":"r1"}' + b" " * 5000, "r1"),
        (b'{"data":{"request_id":"r1"}}', "r1"),
        (b'{"data":[{"job":{"requestId":"r1"}}]}', "r1"),
        (b'{"request":{"id":"r1"}}', "r1"),
        (b'{"Request-ID":"r1"}', "r1"),
        (b'{"body":"{\\"request_id\\":\\"r1\\"}"}', "r1"),
        (b'[{"request_id":"r1"}]', "r1"),
        (b'data: {"request_id":"r1"}\n\n', "r1"),
        (b"4f\r\n" + b'{"request_id":"r1"', "r1"),
        ('{"request_id":"r1"}'.encode("utf-16"), "r1"),
        ('{"request_id":"r1","sta'.encode("utf-16-le"), "r1"),
        ('{"request_id":"r1"}'.encode("utf-32"), "r1"),
        (b'{"request_id":"r1","request_id":""}', "r1"),
        (b'{"request_id":123456789012345678901234567890}', "123456789012345678901234567890"),
        (b'{"status_url":"https://h/v1/requests/r%2F1/status"', "r/1"),
        (b'{"request_id":"' + b"x" * 513 + b'"}', "x" * 513),
        (b'{"request_id":"a\\nb/\\u202e?#"}', "a\nb/\u202e?#"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("status", [200, 202, 500, 502])
def test_an_id_that_was_in_hand_is_not_thrown_away(status, payload, request_id):
    event = submit(status, payload)
    assert isinstance(event, Accepted), event
    assert event.handle.request_id == request_id


@pytest.mark.parametrize("status", [400, 403])
def test_no_remaining_balance_in_words_is_an_empty_account(status):
    event = submit(status, {"message": "No remaining balance"})
    assert isinstance(event, Declined)
    assert event.problem.kind is Kind.BALANCE


def test_an_id_in_the_location_header_is_one():
    assert submit(303, b"", location="/v1/requests/r1/status") == Accepted(NOW, Handle("r1"))


@pytest.mark.parametrize(
    "payload", [b'{"request_id":"r1', b'{"request_id":12', b'{"request_', b'{"id":"trace-7"}', b"\xff\xfe\x00"]
)
def test_half_an_id_is_none(payload):
    assert isinstance(submit(200, payload), Lost)


def test_an_id_deeper_than_anybody_nests_one_is_found_as_text():
    deep = b'{"a":' * 14 + b'{"request_id":"r1"}' + b"}" * 14
    assert submit(200, deep) == Accepted(NOW, Handle("r1"))


def test_an_id_whose_escapes_make_no_sense_is_taken_as_it_stands():
    assert submit(200, rb'{"request_id":"r\q1"') == Accepted(NOW, Handle("r\\q1"))


def test_a_trace_id_beside_a_refusal_buys_nothing():
    assert isinstance(submit(422, {"error": {"request_id": "trace-7"}, "error_code": 422001}), Refused)


def test_an_odd_id_is_quoted_in_every_url():
    handle = Handle("a\nb/../\u202e?#")
    for url in (Addresses("https://h").result(handle), Addresses("https://h").cancel(handle)):
        assert url.isascii()
        assert url.startswith("https://h/v1/requests/a%0Ab%2F..%2F%E2%80%AE%3F%23/")


def test_what_is_lost_keeps_what_came_without_the_token():
    raw = b'{"error_code":500001,"echo":"tok-0123456789"}' + b"x" * 9000
    event = wire.read_submit(500, {"server": "nginx"}, raw, NOW, secret="tok-0123456789")
    assert isinstance(event, Lost)
    assert event.reply.startswith('HTTP 500\nserver: nginx\n\n{"error_code":500001,"echo":"[token]"}xxx')
    assert 4000 < len(event.reply.encode()) <= 4096


UNUSABLE = [None, "", "  ", ".", "..", True, [], {}, "\ud800", "x" * 5000]


@pytest.mark.parametrize("value", UNUSABLE, ids=repr)
def test_a_200_with_an_unusable_id_is_lost(value):
    assert isinstance(submit(200, as_bytes({"request_id": value})), Lost)


DECLINED = {
    "401": (401, b"", Kind.AUTH),
    "403": (403, b"", Kind.AUTH),
    "403 html": (403, b"<html><title>Forbidden</title></html>", Kind.AUTH),
    "401001": (401, coded(401001), Kind.AUTH),
    "400004 with 400": (400, coded(400004), Kind.AUTH),
    "403001": (403, coded(403001), Kind.AUTH),
    "403003 with 200": (200, coded(403003), Kind.AUTH),
    "401001 with 200": (200, coded(401001), Kind.AUTH),
    "400004 with 200": (200, coded(400004), Kind.AUTH),
    "402": (402, b"", Kind.BALANCE),
    "400002 with 402": (402, coded(400002), Kind.BALANCE),
    "400002 with 400": (400, coded(400002), Kind.BALANCE),
    "400002 with 200": (200, coded(400002), Kind.BALANCE),
    "400002 with 429": (429, coded(400002), Kind.BALANCE),
    "a code in words": (400, coded("400002"), Kind.BALANCE),
    "no code, plain words": (400, {"message": "Insufficient balance, please top up"}, Kind.BALANCE),
    "429": (429, b"", Kind.THROTTLED),
    "429 html": (429, b"<html>", Kind.THROTTLED),
    "429 about moderation": (429, {"message": "moderated rate"}, Kind.THROTTLED),
    "429001 with 200": (200, coded(429001), Kind.THROTTLED),
    "425": (425, b"", Kind.THROTTLED),
    "429 about money": (429, {"message": "not enough credits"}, Kind.THROTTLED),
    "401 about moderation": (401, {"message": "blocked by content policy"}, Kind.AUTH),
    "401 about money": (401, {"message": "insufficient balance"}, Kind.BALANCE),
    "422 about money": (422, {"message": "insufficient balance"}, Kind.BALANCE),
    "an unlisted code about money with 200": (200, coded(400005, error_message="out of credits"), Kind.BALANCE),
    "301": (301, b"", Kind.UNREACHABLE),
    "307": (307, b"", Kind.UNREACHABLE),
    "308": (308, b"", Kind.UNREACHABLE),
}


@pytest.mark.parametrize("name", DECLINED)
def test_surely_not_taken(name):
    status, payload, kind = DECLINED[name]
    event = submit(status, payload)
    assert isinstance(event, Declined)
    assert (event.problem.kind, event.problem.http, event.due_at) == (kind, status, 0.0)
    assert not event.counts


REFUSED = {
    "400001": (400, coded(400001), Kind.REFUSED),
    "400": (400, b"", Kind.REFUSED),
    "404": (404, b"", Kind.REFUSED),
    "404001": (404, coded(404001), Kind.REFUSED),
    "405": (405, b"", Kind.REFUSED),
    "413": (413, b"", Kind.REFUSED),
    "422": (422, b"", Kind.REFUSED),
    "422001": (422, coded(422001), Kind.REFUSED),
    "422001 with 200": (200, coded(422001), Kind.REFUSED),
    "an unlisted 4xxxxx with 200 is the refusal that it says": (200, coded(400005), Kind.REFUSED),
    "413001 with 200": (200, coded(413001), Kind.REFUSED),
    "the first code of the family 400 with 200": (200, coded(400000), Kind.REFUSED),
    "the last code of the family 498 with 299": (299, coded(498999), Kind.REFUSED),
    "498": (498, b"", Kind.REFUSED),
    "a code above all families with 400": (400, coded(600000), Kind.REFUSED),
    "a code far above all families with 400": (400, coded(601001), Kind.REFUSED),
    "a code just below the family 500 with 400": (400, coded(499999), Kind.REFUSED),
    "a listed refusal with 499": (499, coded(422001), Kind.REFUSED),
    "404 about money": (404, {"message": "insufficient balance"}, Kind.REFUSED),
    "moderated 400": (400, {"error": "Your request was rejected by our safety system."}, Kind.MODERATED),
    "moderated 403": (403, {"error": {"message": "blocked by content policy"}}, Kind.MODERATED),
    "moderated 422": (422, coded(422001, detail=[{"loc": ["body"], "msg": "prompt was flagged"}]), Kind.MODERATED),
}


@pytest.mark.parametrize("name", REFUSED)
def test_not_taken_and_no_use_to_repeat(name):
    status, payload, kind = REFUSED[name]
    event = submit(status, payload)
    assert isinstance(event, Refused)
    assert (event.problem.kind, event.problem.http) == (kind, status)


LOST = {
    "200 without id": (200, {"status": "in_queue"}),
    "200 garbage": (200, b"{]"),
    "200 list": (200, []),
    "200 empty": (200, b""),
    "200 html": (200, b"<html><title>Welcome</title></html>"),
    "200 unlisted code": (200, coded(503001)),
    "200 words alone": (200, {"error": "something"}),
    "204": (204, b""),
    "101": (101, b""),
    "302": (302, b""),
    "303": (303, b""),
    "304": (304, b""),
    "408": (408, b""),
    "409": (409, {"message": "already exists"}),
    "460": (460, b""),
    "499": (499, b""),
    "500 html": (500, b"<html>"),
    "500 json without code": (500, {"message": "Internal Server Error"}),
    "500 unlisted code": (500, coded(500999)),
    "500 about moderation": (500, {"message": "moderation failed"}),
    "502 html": (502, b"<html><title>502 Bad Gateway</title></html>"),
    "503 bare": (503, b""),
    "503 unlisted code": (503, coded(503001)),
    "504": (504, b"upstream request timeout"),
    "599": (599, b""),
    "500001 may have made the job": (500, coded(500001)),
    "500001 with 503": (503, coded(500001)),
    "500001 with 200 may have made the job": (200, coded(500001)),
    "500001 with 400": (400, coded(500001)),
    "500001 in error": (500, {"error": coded(500001)}),
    "500001 in detail": (500, {"detail": coded(500001)}),
    "a 502 that repeats a refusal": (502, coded(422001)),
    "a 500 that repeats a refusal": (500, coded(422001)),
    "a 500 that speaks of an empty account": (500, coded(400002)),
    "409 about moderation": (409, {"message": "flagged"}),
    "an unlisted refusal beside another redirect": (302, coded(413001)),
    "a code above all families with 200": (200, coded(601001)),
    "409 about money": (409, {"message": "insufficient balance"}),
    "a 500 about money": (500, {"message": "insufficient balance"}),
    "the first code of the family 500 with 400": (400, coded(500000)),
    "the last code of the family 599 with 400": (400, coded(599999)),
    "a code below all families with 200": (200, coded(399999)),
    "a code of the family 499 with 200": (200, coded(499999)),
    "a code of the family 408 with 200": (200, coded(408001)),
    "a code that looks like a redirect with 200 may have made the job": (200, coded(301001)),
    "a code that looks like another redirect with 200": (200, coded(308001)),
    "an unlisted refusal beside a redirect": (300, coded(413001)),
    "an unlisted refusal before the answer": (199, coded(413001)),
    "399": (399, b""),
    "200 with a code of another product": (200, coded(10001)),
}


@pytest.mark.parametrize("name", LOST)
def test_perhaps_taken(name):
    status, payload = LOST[name]
    event = submit(status, payload)
    assert isinstance(event, Lost)
    assert (event.problem.kind, event.problem.http) == (Kind.LOST, status)


@pytest.mark.parametrize(
    ("status", "payload", "sentence"),
    [
        (401, b"", "the service does not accept the API token"),
        (402, b"", "the account's balance is used up"),
        (429, b"", "the service asks to slow down"),
        (307, b"", "this address sends us on to another one; is --base-url right?"),
        (404, b"", "the service knows no such model"),
        (405, b"", "the service knows no such model"),
        (406, b"", "the service does not accept this row"),
        (400, coded(400001), "the service knows no such model: “its own words”"),
        (410, coded(404001), "the service knows no such model: “its own words”"),
        (422, coded(422001), "the service does not accept this row: “its own words”"),
        (413, b"", "the service does not accept this row"),
        (422, {"message": "nsfw"}, "the service refuses this content: “nsfw”"),
        (404, {"message": "nsfw"}, "the service refuses this content: “nsfw”"),
        (504, b"", "HTTP 504 and no request id: it may have been bought, or not"),
    ],
)
def test_each_answer_has_a_sentence_of_its_own(status, payload, sentence):
    problem = submit(status, payload).problem
    assert problem.message == sentence
    assert problem.code == (payload.get("error_code") if isinstance(payload, dict) else None)


@pytest.mark.parametrize(
    ("link", "kept"),
    [
        ("https://h/" + "x" * 2038, True),
        ("https://h/" + "x" * 2039, False),
        ("https://h/\u202e", False),
        (None, False),
    ],
    ids=["2048", "2049", "unprintable", "none"],
)
def test_a_link_that_nobody_could_follow_is_left_out_and_the_id_is_kept(link, kept):
    names = ("status_url", "result_url", "cancel_url")
    event = submit(200, {"request_id": "r1"} | dict.fromkeys(names, link))
    assert event == Accepted(NOW, Handle("r1", **(dict.fromkeys(names, link) if kept else {})))


def test_what_came_in_another_encoding_is_kept_as_text_and_nothing_as_nothing():
    utf16 = wire.read_submit(500, {}, '{"said":"né"}'.encode("utf-16"), NOW)
    assert isinstance(utf16, Lost)
    assert utf16.reply.endswith('{"said":"né"}')
    empty = wire.read_submit(500, {"server": "nginx", "via": "1.1 x"}, b"", NOW)
    assert isinstance(empty, Lost)
    assert empty.reply == "HTTP 500\nserver: nginx\nvia: 1.1 x"


def test_what_is_kept_is_cut_by_bytes_and_never_in_the_middle_of_a_letter():
    event = wire.read_submit(500, {}, b"x" + "é".encode() * 9000, NOW)
    assert isinstance(event, Lost)
    assert event.reply == "HTTP 500\n\nx" + "é" * 2042


def test_an_answer_in_two_bytes_a_letter_is_kept_to_the_same_length():
    event = wire.read_submit(500, {}, ("{" + "x" * 9000).encode("utf-16-le"), NOW)
    assert isinstance(event, Lost)
    assert event.reply == "HTTP 500\n\n{" + "x" * 4085


def test_half_a_letter_in_a_header_does_not_lose_the_doubt_that_it_came_with():
    assert wire.keep_reply("HTTP 500", {"via": "\ud800"}, b"", "") == "HTTP 500\nvia: ?"


def test_503_is_known_by_its_retry_after_only():
    event = submit(503, b"<html>", retry_after="30")
    assert isinstance(event, Declined)
    assert (event.problem.kind, event.due_at) == (Kind.THROTTLED, NOW + 30)
    assert isinstance(submit(503, b"<html>", retry_after="soon"), Lost)
    assert isinstance(submit(502, b"<html>", retry_after="30"), Lost)
    assert isinstance(submit(504, b"<html>", retry_after="30"), Lost), "a job that is being made, bought a second time"
    assert isinstance(submit(503, coded(500001), retry_after="30"), Lost)


@pytest.mark.parametrize("off", [-7200, 0, 7200])
def test_a_date_to_wait_for_is_read_by_the_clock_that_wrote_it(off):
    """With our clock two hours behind, "in 30 seconds" was a wait of an hour; two hours ahead, it was none."""
    headers = {"retry-after": formatdate(NOW + off + 30, usegmt=True), "date": formatdate(NOW + off, usegmt=True)}
    assert read_retry_after(headers, NOW) == 30.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("999999", LONGEST_WAIT),
        ("inf", LONGEST_WAIT),
        (formatdate(NOW + 12, usegmt=True), 12.0),
        (formatdate(NOW - 12, usegmt=True), 0.0),
        ("Mon, 12 Jan 1970 13:46:50", 10.0),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Mon, 99 Foo 20000 99:99:99 GMT", None),
    ],
)
def test_retry_after(header, seconds):
    assert read_retry_after({"retry-after": header}, NOW) == seconds
    event = submit(429, b"", retry_after=header)
    assert isinstance(event, Declined)
    assert event.due_at == (0.0 if seconds is None else NOW + seconds)


# --- words for a marketer -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"error_message": "a"}, "a"),
        ({"message": "a"}, "a"),
        ({"error": "a"}, "a"),
        ({"detail": "a"}, "a"),
        ({"error": {"message": "a", "code": "x"}}, "a"),
        ({"detail": [{"loc": ["body", "image", 0], "msg": "no URL"}]}, "image: no URL"),
        ({"detail": {"image": ["no URL", "too big"]}}, "image: no URL, too big"),
        ({"errors": [{"field": "input.image", "message": "no URL"}]}, "image: no URL"),
        ({"error_message": "a", "detail": [{"loc": "body.size", "msg": "b"}, "c"]}, "a - size: b; c"),
        (b"<html><head><title>502 Bad\nGateway</title>", "502 Bad Gateway"),
        (b"upstream timeout", "upstream timeout"),
        (b"\xff\xfe\x00", ""),
        (b"<p>no title</p>", ""),
        ([1, 2], "[1,2]"),
    ],
)
def test_the_services_own_words(payload, words):
    assert parse_reply(body(payload)).message == words


def test_a_message_is_one_bounded_clean_line():
    event = submit(422, coded(422001, detail=[{"loc": ["body", "image"], "msg": "x\x1b[31m\r\n\u202e" * 400}]))
    assert isinstance(event, Refused)
    assert event.problem.message.startswith(
        "the service does not accept this row: “its own words - image: x\\x1b[31m \\u202ex"
    )
    assert len(event.problem.message) <= LONGEST
    assert event.problem.message.isprintable()


@pytest.mark.parametrize(
    ("secret", "text", "cleaned"),
    [
        ("t", "Insufficient account balance, don't retry", "Insufficient account balance, don't retry"),
        ("t", "Authorization: Bearer t", "Authorization: Bearer [token]"),
        ("t", '{"token":"t","x":"at"}', '{"token":"[token]","x":"at"}'),
        ("sandbox", "https://h/?key=sandbox&a=1, sandboxes", "https://h/?key=[token]&a=1, sandboxes"),
        ("a.b", "b'a.b' x_a.b axb a.bc", "b'[token]' x_[token] axb a.bc"),
        ("longer-8", "xlonger-8x", "x[token]x"),
    ],
)
def test_a_short_token_was_taken_out_of_every_word(secret: str, text: str, cleaned: str) -> None:
    assert clean(text, secret) == cleaned


def test_the_token_is_blotted_out_even_where_the_text_is_cut():
    token = "tok-" + "s" * 400
    event = wire.read_submit(401, {}, body({"message": "x" * 250 + token}), NOW, secret=token)
    assert isinstance(event, Declined)
    assert "tok-" not in event.problem.message
    assert clean("header was 'Authorization: Bearer abcdefgh12345'") == "header was 'Authorization: [token]'"


@pytest.mark.parametrize(
    ("payload", "blamed"),
    [
        ({"detail": [{"loc": ["body", "image"], "msg": "m"}]}, True),
        ({"detail": [{"loc": ["body", "image", 0], "msg": "m"}]}, True),
        ({"detail": [{"loc": ["body", "size"], "msg": "m"}, {"loc": ["image"], "msg": "m"}]}, True),
        ({"detail": [{"loc": ["body", "size"], "msg": "m"}]}, False),
        ({"detail": {"prompt": ["too long"]}}, False),
        ({"detail": "invalid input"}, True),
        (b"", True),
        ({"detail": "blocked by moderation"}, False),
    ],
)
def test_who_is_blamed_for_a_422(payload, blamed):
    assert wire.may_be_about(body(payload), PICTURES) is blamed


# --- looking --------------------------------------------------------------------------------------

IMAGE = "https://f.runcomfy.net/a.png"


@pytest.mark.parametrize("word", [*sorted(looks.QUEUED), *sorted(looks.RUNNING), "IN_QUEUE", " In_Progress "])
def test_listed_words_of_unfinished_jobs(word):
    plain = word.strip().lower()
    running = plain in {"in_progress", "processing", "starting"}
    assert result(200, {"status": word, "queue_position": 3}) == StillRunning(plain, running, queue_position=3)


def test_an_unlisted_word_is_neither_an_end_nor_a_success():
    payload = {"status": "Done?", "output": {"image": IMAGE}}
    problem = Problem(Kind.UNREADABLE, "the service says “done?”, which nobody has listed", http=200)
    assert result(200, payload) == StillRunning("done?", running=False, known=False, problem=problem)


@pytest.mark.parametrize("position", [-1, 1.5, True, "3", None])
def test_an_odd_queue_position_is_none(position):
    assert result(200, {"status": "in_queue", "queue_position": position}).queue_position is None


OUTPUTS = {
    "image": ({"image": IMAGE}, [("image", IMAGE)]),
    "images": ({"images": [IMAGE, "https://h/b.png"]}, [("image", IMAGE), ("image", "https://h/b.png")]),
    "video": ({"video": "https://h/v.mp4"}, [("video", "https://h/v.mp4")]),
    "videos": ({"videos": ["https://h/v.mp4"]}, [("video", "https://h/v.mp4")]),
    "all, each once": (
        {
            "videos": ["https://h/v", "https://h/w"],
            "video": "https://h/v",
            "images": ["https://h/b", IMAGE],
            "image": IMAGE,
        },
        [("image", IMAGE), ("image", "https://h/b"), ("video", "https://h/v"), ("video", "https://h/w")],
    ),
    "objects": ({"images": [{"url": IMAGE, "width": 3}, {"path": "x"}]}, [("image", IMAGE)]),
    "an image that is a list": ({"image": [IMAGE]}, [("image", IMAGE)]),
    "null beside": ({"image": None, "images": [IMAGE, None, 3, ""]}, [("image", IMAGE)]),
    "bare": (IMAGE, [("image", IMAGE)]),
    "bare list": ([IMAGE], [("image", IMAGE)]),
    "no link": ({"image": "file:///etc/passwd", "images": ["javascript:x", "ftp://cdn.runcomfy.net/a.png"]}, []),
    "empty": ({}, []),
    "absent": (None, []),
}


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("word", ["completed", "succeeded", "COMPLETED"])
def test_outputs(name, word):
    output, links = OUTPUTS[name]
    api_links = {"status_url": "https://h/s", "result_url": "https://h/r", "cancel_url": "https://h/c"}
    reply = result(200, {"status": word, "output": output, **api_links})
    if links:
        assert reply == Completed(NOW, tuple(Output(url, kind) for kind, url in links))
    else:  # paid for: asked again, never failed
        assert isinstance(reply, NoAnswer)
        assert reply.problem.kind is Kind.UNREADABLE


@pytest.mark.parametrize(
    ("cost", "micros"),
    [
        (0.04, 40_000),
        ("0.04", 40_000),
        ("$0.04", 40_000),
        (0, 0),
        (1, 1_000_000),
        (0.1 + 0.2, 300_000),
        ("1e-6", 1),
        (1e-9, 0),
        (None, None),
        (True, None),
        (-0.04, None),
        ("", None),
        ("4 cents", None),
        ("NaN", None),
        ("1e999999", None),
        (1e300, None),
        ({"usd": 1}, None),
    ],
    ids=repr,
)
def test_cost(cost, micros):
    reply = result(200, {"status": "completed", "output": {"image": IMAGE}, "cost": cost})
    assert reply == Completed(NOW, (Output(IMAGE),), micros)


def test_a_failed_job():
    failed = result(200, {"status": "failed", "error": "model crashed", "cost": "0.01"})
    message = "the service could not make this picture: “model crashed”"
    assert failed == Errored(NOW, Problem(Kind.FAILED, message), 10_000)
    coded_too = result(200, {"status": "failed", **coded(500001)})
    assert isinstance(coded_too, Errored)  # the job's own error, not the call's
    moderated = result(200, {"status": "FAILED", "error": {"message": "flagged as nsfw"}})
    assert moderated.problem.kind is Kind.MODERATED


@pytest.mark.parametrize("word", ["cancelled", "canceled"])
def test_a_cancelled_job(word):
    assert result(200, {"status": word}) == CancelConfirmed(NOW)


LOOKS = {
    "401": (401, b"", looks.TokenRefused, Kind.AUTH),
    "403": (403, b"", looks.TokenRefused, Kind.AUTH),
    "403001": (403, coded(403001), looks.TokenRefused, Kind.AUTH),
    "400004": (400, coded(400004), looks.TokenRefused, Kind.AUTH),
    "401001 with 200": (200, coded(401001), looks.TokenRefused, Kind.AUTH),
    "404": (404, b"", NoAnswer, Kind.NOT_FOUND),
    "404001 with 200": (200, coded(404001), NoAnswer, Kind.NOT_FOUND),
    "410": (410, b"", NoAnswer, Kind.NOT_FOUND),
    "429": (429, b"", NoAnswer, Kind.THROTTLED),
    "500": (500, b"", NoAnswer, Kind.SERVICE),
    "502": (502, b"<html>", NoAnswer, Kind.SERVICE),
    "500001 with 200": (200, coded(500001), NoAnswer, Kind.SERVICE),
    "408": (408, b"", NoAnswer, Kind.SERVICE),
    "302": (302, b"", NoAnswer, Kind.UNREADABLE),
    "200 garbage": (200, b"{]", NoAnswer, Kind.UNREADABLE),
    "200 without a word": (200, {"request_id": "r1"}, NoAnswer, Kind.UNREADABLE),
    "200 unlisted code": (200, coded(999), NoAnswer, Kind.UNREADABLE),
    "400": (400, b"", looks.AskStatus, Kind.UNREADABLE),
    "400001": (400, coded(400001), looks.AskStatus, Kind.UNREADABLE),
    "409": (409, {"status": "in_progress"}, looks.AskStatus, Kind.UNREADABLE),
    "425": (425, b"", looks.AskStatus, Kind.UNREADABLE),
}


@pytest.mark.parametrize("name", LOOKS)
def test_replies_that_hold_no_state(name):
    status, payload, kind_of_reply, kind = LOOKS[name]
    reply = result(status, payload, retry_after="9")
    assert type(reply) is kind_of_reply
    assert (reply.problem.kind, reply.problem.http) == (kind, status)
    if isinstance(reply, NoAnswer):
        assert reply.absent is (kind is Kind.NOT_FOUND)
        assert reply.retry_after == (None if status == 200 and kind is Kind.UNREADABLE else 9.0)


@pytest.mark.parametrize("payload", [{"status": "completed"}, {"status": "succeeded", "output": {"image": IMAGE}}])
def test_status_is_not_believed_about_an_end(payload):
    assert isinstance(looks.read_status(200, {}, body(payload), NOW), looks.SeeResult)
    assert isinstance(looks.read_status(200, {}, body({"status": "failed"}), NOW), looks.SeeResult)


def test_status_has_no_further_place_to_ask():
    assert isinstance(looks.read_status(409, {}, b"", NOW), NoAnswer)
    assert looks.read_status(200, {}, body({"status": "starting"}), NOW) == StillRunning("starting", running=True)


CANCELS = {
    "cancelled": (200, {"status": "in_queue", "outcome": "cancelled"}, CancelConfirmed),
    "canceled": (200, {"outcome": "Canceled"}, CancelConfirmed),
    "by status": (200, {"status": "cancelled"}, CancelConfirmed),
    "not cancellable": (200, {"status": "in_progress", "outcome": "not_cancellable"}, CancelDenied),
    "status alone": (200, {"status": "completed"}, CancelDenied),
    "409": (409, b"", CancelDenied),
    "400": (400, {"message": "already running"}, CancelDenied),
    "nothing said": (200, {}, NoAnswer),
    "an unlisted outcome": (200, {"status": "cancelled", "outcome": "perhaps"}, NoAnswer),
    "404": (404, b"", NoAnswer),
    "502": (502, b"", NoAnswer),
    "500001 with 200": (200, coded(500001), NoAnswer),
    "401": (401, b"", looks.TokenRefused),
}


@pytest.mark.parametrize("name", CANCELS)
def test_cancel(name):
    status, payload, kind_of_reply = CANCELS[name]
    reply = looks.read_cancel(status, {}, body(payload), NOW)
    assert type(reply) is kind_of_reply
    if isinstance(reply, NoAnswer):
        assert reply.absent is (status == 404)


# --- the catalogue and the balance ----------------------------------------------------------------


def test_the_catalogues_entry():
    payload = {
        "model_id": "a/b",
        "display_name": "A",
        "base_price_usd": 0.04,
        "price_unit": "image",
        "pricing_note": None,
    }
    entry = wire.ModelEntry("a/b", "A", 40_000, "image")
    assert wire.read_model(200, body(payload)) == entry
    assert wire.read_model(200, body(payload | {"base_price_usd": "?"})) == wire.ModelEntry("a/b", "A", None, "image")
    noted = wire.read_model(200, body(payload | {"pricing_note": "twice as much at night"}))
    assert noted is not None
    assert noted.pricing_note == "twice as much at night"


@pytest.mark.parametrize("name", ["input_schema", "schema", "inputs", "input"])
def test_a_schema_is_found_under_whatever_name_it_comes(name):
    entry = wire.read_model(200, body({"model_id": "a/b", name: dict(SCHEMA)}))
    assert entry is not None
    assert entry.schema == SCHEMA


def test_what_names_no_inputs_is_not_taken_for_the_schema():
    entry = wire.read_model(200, body({"model_id": "a/b", "schema": {"title": "an example"}, "inputs": dict(SCHEMA)}))
    assert entry is not None
    assert entry.schema == SCHEMA


def test_a_model_of_which_the_catalogue_tells_nothing_has_no_price_and_no_note():
    entry = wire.ModelEntry(model_id="a/b")
    assert (entry.display_name, entry.price, entry.pricing_note, entry.schema) == ("", None, "", None)
    assert (entry.picture_price, entry.other_price) == (None, "")


def test_a_price_without_a_unit_is_one_of_a_picture():
    assert wire.ModelEntry("a/b", price=40_000).picture_price == 40_000


@pytest.mark.parametrize(
    ("status", "payload"), [(404, {"model_id": "a"}), (200, b"<html>"), (200, []), (200, coded(401001))]
)
def test_no_entry(status, payload):
    assert wire.read_model(status, body(payload)) is None


def test_a_page_of_the_catalogue_leaves_out_what_it_cannot_read():
    models = [{"model_id": "a/b"}, "odd", {"model_id": ""}, {"display_name": "no id"}, {}, {"model_id": "c/d"}]
    page = wire.read_models(200, body({"models": models, "total": 700}))
    assert page is not None
    assert ([entry.model_id for entry in page.entries], page.total) == (["a/b", "c/d"], 700)
    for total in (None, -1, "7"):
        odd = wire.read_models(200, body({"models": models, "total": total}))
        assert odd is not None
        assert odd.total == 6


@pytest.mark.parametrize(("status", "payload"), [(500, {"models": []}), (200, {}), (200, {"models": {}}), (200, b"<")])
def test_no_page_of_the_catalogue(status, payload):
    assert wire.read_models(status, body(payload)) is None


@pytest.mark.parametrize(
    ("payload", "micros"),
    [
        ({"balance_microdollars": 1_250_000, "balance_usd": 9}, 1_250_000),
        ({"balance_microdollars": True, "balance_usd": 9}, 9_000_000),
        ({"balance_microdollars": 10**12, "balance_usd": 9}, 10**12),
        ({"balance_microdollars": 10**12 + 1, "balance_usd": 9}, 9_000_000),
        ({"balance_usd": 12.5, "currency": "USD"}, 12_500_000),
        ({"balance_usd": "-0.5"}, -500_000),
        ({"balance_usd": 3, "currency": "EUR"}, None),
        ({}, None),
    ],
)
def test_balance(payload, micros):
    assert wire.read_balance(200, body(payload)) == micros
    assert wire.read_balance(404, body(payload)) is None


# --- any reply at all -----------------------------------------------------------------------------

KEYS = [
    "request_id",
    "error_code",
    "error_message",
    "message",
    "error",
    "detail",
    "errors",
    "status",
    "outcome",
    "output",
    "image",
    "images",
    "video",
    "cost",
    "queue_position",
    "model_id",
    "loc",
    "msg",
    "url",
    "base_price_usd",
    "balance_usd",
    "currency",
    "status_url",
]
WORDS = st.sampled_from([*sorted(looks.LISTED), "not_cancellable", "..", "r1", IMAGE, "0.04", "422001"])
CODES = st.sampled_from([400001, 400002, 400004, 401001, 403001, 404001, 422001, 429001, 500001, 0, -1, 2**70])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | CODES | st.floats() | WORDS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


def as_bytes(value: Any) -> bytes:
    """By the standard library: what orjson refuses to write (NaN, lone surrogates) is wanted here."""
    return json.dumps(value).encode()


BODIES = st.binary(max_size=60) | ANY_JSON.map(as_bytes) | ANY_JSON.map(as_bytes).map(lambda raw: raw[: len(raw) // 2])
HEADERS = st.fixed_dictionaries({}, optional={"retry-after": st.text(max_size=30) | st.floats().map(str)})
STATUSES = st.sampled_from([200, 201, 204, 301, 302, 400, 401, 402, 403, 404, 408, 409, 422, 429, 500, 502, 503])


@given(STATUSES | st.integers(100, 599), HEADERS, BODIES)
def test_no_reply_makes_a_reader_raise(status, headers, raw):
    submitted = wire.read_submit(status, headers, raw, NOW)
    assert isinstance(submitted, Accepted | Declined | Refused | Lost)
    if isinstance(submitted, Declined):
        assert submitted.due_at == 0.0 or NOW <= submitted.due_at <= NOW + LONGEST_WAIT
    replies = [read(status, headers, raw, NOW) for read in (looks.read_result, looks.read_status, looks.read_cancel)]
    for reply in (submitted, *replies, looks.read_identity(status, headers, raw, NOW)):
        problem = reply if isinstance(reply, Problem) else getattr(reply, "problem", None)
        if problem is not None:
            assert len(problem.message) <= LONGEST
            assert problem.message.isprintable()
    wire.read_model(status, raw)
    wire.read_balance(status, raw)
    wire.may_be_about(raw, PICTURES)
    looks.read_missed(status, headers, raw, NOW)
    looks.read_probe(status, headers, raw, NOW)


@given(
    STATUSES,
    HEADERS,
    st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=40).filter(lambda t: t not in {".", ".."}),
    st.dictionaries(st.sampled_from(KEYS[1:]), ANY_JSON, max_size=6),
)
def test_what_has_an_id_is_never_bought_again_by_itself(status, headers, request_id, rest):
    event = wire.read_submit(status, headers, as_bytes(rest | {"request_id": request_id}), NOW)
    assert isinstance(event, Accepted)
    assert event.handle.request_id == request_id


@given(st.integers(500, 599), st.binary(max_size=80))
def test_a_gateways_word_never_frees_a_job(status, raw):
    assert isinstance(wire.read_submit(status, {}, raw, NOW), Lost | Accepted)


@pytest.mark.parametrize(
    "unit",
    [
        *("output", "image", "Images", "per request", "per image", "a picture", "", None, "/ image"),
        *("photo", "job", "generation", "run", "call", "prediction", "unit"),
        *("each image", "an image", "one image", "per 1 image", "USD per image", "usd/image", "$ / image"),
    ],
)
def test_a_price_of_a_picture_is_one(unit: str | None) -> None:
    entry = wire.read_model(200, orjson.dumps({"model_id": "a/b", "base_price_usd": 0.04, "price_unit": unit}))
    assert entry is not None
    assert (entry.picture_price, entry.other_price) == (40_000, "")


@pytest.mark.parametrize(
    "unit", ["second", "per second", "1M tokens", "megapixel", "minute", "1000 images", "100 images"]
)
def test_a_price_of_something_else_was_multiplied_by_pictures(unit: str) -> None:
    entry = wire.read_model(200, orjson.dumps({"model_id": "a/b", "base_price_usd": 0.04, "price_unit": unit}))
    assert entry is not None
    assert entry.picture_price is None
    assert entry.other_price == f"$0.04 per {unit.removeprefix('per ').casefold()}"


def test_no_price_is_none_of_anything() -> None:
    entry = wire.read_model(200, orjson.dumps({"model_id": "a/b", "price_unit": "second"}))
    assert entry is not None
    assert (entry.picture_price, entry.other_price) == (None, "")
