"""Where the files of a finished job stand in its answer."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchedit.core.events import Completed
from batchedit.ports import NoAnswer, StillRunning
from batchedit.runcomfy import poll_reply as looks
from batchedit.runcomfy.outputs import read_embedded, read_outputs

LINK = "https://cdn.runcomfy.net/a.png"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PLAIN = b64encode(PNG).decode()
URI = f"data:image/png;base64,{PLAIN}"


@pytest.mark.parametrize(
    "answer",
    [
        {"output": {"image_url": LINK}},
        {"output": {"image_url": {"url": LINK}}},
        {"output": {"url": LINK}},
        {"output": {"audio": LINK}},
        {"output": {"audio": {"url": LINK, "content_type": "audio/mpeg"}}},
        {"output": {"result": {"images": [{"url": LINK}]}}},
        {"output": {"data": [{"url": LINK, "revised_prompt": "see https://example.com/x.png"}]}},
        {"output": [{"type": "image", "file": LINK}]},
        {"output": orjson.dumps({"images": [LINK]}).decode()},
        {"outputs": {"images": [LINK]}},
        {"data": [{"url": LINK}]},
        {"result": LINK},
        {"output": {"image": LINK, "image_url": "https://cdn.runcomfy.net/other.png"}},
    ],
    ids=repr,
)
def test_a_link_under_another_key_was_asked_for_an_hour(answer: dict[str, Any]) -> None:
    assert [output.url for output in read_outputs({"request_id": "r1", "status": "completed", **answer})] == [LINK]


@pytest.mark.parametrize(
    "output",
    [
        {"image": URI},
        {"images": [URI]},
        {"images": [{"url": URI}]},
        {"images": [{"b64_json": PLAIN}]},
        {"data": [{"b64_json": PLAIN}]},
        {"image_url": {"url": URI}},
        {"result": {"image_base64": PLAIN}},
        {"image": PLAIN},
        {"b64_json": PLAIN.rstrip("=").replace("+", "-").replace("/", "_")},
        {"b64_json": PLAIN[:76] + "\n" + PLAIN[76:]},
        URI,
        [URI],
    ],
)
def test_a_picture_inside_the_answer_was_kept_nowhere(output: Any) -> None:
    assert [read_embedded(picture.url) for picture in read_outputs({"output": output})] == [PNG]


@pytest.mark.parametrize(
    "answer",
    [
        {"input": {"image": LINK}},
        {"image": LINK},
        {"output": {"input": {"image": LINK}}},
        {"output": {"input_image": LINK, "original_url": LINK, "status_url": LINK, "preview": LINK}},
        {"output": {"prompt": LINK, "docs": LINK}},
        {"output": {"result_url": LINK}, "status_url": LINK, "result_url": LINK},
        {"output": {"image": "/f/a.png"}},
    ],
    ids=repr,
)
def test_what_was_sent_is_never_taken_for_what_came_out(answer: dict[str, Any]) -> None:
    assert read_outputs(answer) == ()


def test_a_damaged_data_uri_is_no_bytes() -> None:
    assert read_embedded("data:image/png;base64,*") == b""
    assert read_embedded("data:,a%20b") == b"a b"
    assert read_embedded(LINK) is None


def _look(answer: dict[str, Any]) -> Any:
    return looks.read_result(200, {}, orjson.dumps({"request_id": "r1", **answer}), 0.0)


def test_a_row_without_a_file_did_not_say_what_was_there() -> None:
    reply = _look({"status": "succeeded", "output": {"seed": 7, "nsfw": []}, "message": "upload pending"})
    assert isinstance(reply, NoAnswer)
    for word in ("succeeded", "request_id", "seed", "nsfw", "upload pending"):
        assert word in reply.problem.message


@pytest.mark.parametrize("word", ["ERROR", "expired", "timeout"])
def test_the_reason_beside_an_unlisted_word_was_lost(word: str) -> None:
    reply = _look({"status": word, "error": "boom"})
    assert isinstance(reply, StillRunning)
    assert reply.problem is not None
    assert word.lower() in reply.problem.message
    assert "boom" in reply.problem.message


JSON = st.recursive(
    st.none() | st.integers(0, 9) | st.text() | st.sampled_from([LINK, URI, PLAIN, "data:", "data:;base64,"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["image", "url", "output", "b64_json", "input"]) | st.text(), inner, max_size=3
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_no_output_makes_the_reader_raise(output: Any) -> None:
    reply = _look({"status": "completed", "output": output})
    assert isinstance(reply, Completed | NoAnswer)
    for one in reply.outputs if isinstance(reply, Completed) else ():
        read_embedded(one.url)
