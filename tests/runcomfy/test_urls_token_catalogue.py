"""Where the token goes, where files may come from, which token it is, which models are known."""

from __future__ import annotations

from pathlib import Path

import httpx
import orjson
import pytest

from batchedit.core.errors import NotFoundError, TokenError, UsageError
from batchedit.core.model import Handle
from batchedit.files.allowlist import HostAllowlist
from batchedit.runcomfy import urls
from batchedit.runcomfy.catalogue import DEFAULT_MODEL, list_built_in, load_model
from batchedit.runcomfy.image_shape import ImageShapeProbe
from batchedit.runcomfy.submit_reply import ImageShape
from batchedit.runcomfy.token import MAC_FILE, VARIABLES, VENDOR_FILE, find_token
from batchedit.runcomfy.urls import DEFAULT_BASE_URL, Addresses, check_base_url, may_use

# --- the base URL ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (DEFAULT_BASE_URL, DEFAULT_BASE_URL),
        (f" {DEFAULT_BASE_URL}/ ", DEFAULT_BASE_URL),
        ("https://proxy.example.com:8443/runcomfy/", "https://proxy.example.com:8443/runcomfy"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        (f"{DEFAULT_BASE_URL}/v1", DEFAULT_BASE_URL),
        (f"{DEFAULT_BASE_URL}/v1/", DEFAULT_BASE_URL),
        ("HTTPS://Model-API.RunComfy.net:443/v1/", DEFAULT_BASE_URL),
        ("HTTP://LocalHost:80/Path/", "http://localhost/Path"),
    ],
)
def test_base_urls(given, kept):
    assert check_base_url(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        "",
        "model-api.runcomfy.net",
        "ftp://model-api.runcomfy.net",
        "http://model-api.runcomfy.net",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "https://user:secret@model-api.runcomfy.net",
        "https://model-api.runcomfy.net?x=1",
        "https://model-api.runcomfy.net#x",
        "https://",
        "https://a:99999",
        "https://a b",
        "https:/one-slash",
        "file:///etc/passwd",
    ],
)
def test_no_base_urls(given):
    with pytest.raises(UsageError) as caught:
        check_base_url(given)
    assert caught.value.hint
    assert "secret" not in str(caught.value)


BASE = "https://model-api.runcomfy.net"


@pytest.mark.parametrize(
    ("offered", "good"),
    [
        (f"{BASE}/v1/requests/r1/status", True),
        (f"{BASE}:443/v2/elsewhere/r1/status", True),
        ("HTTPS://Model-API.RunComfy.net/v1/requests/r1/status", True),
        (f"{BASE}/v1/requests/r1/status?region=eu", True),
        (f"{BASE}:8443/v1/requests/r1/status", False),
        ("http://model-api.runcomfy.net/v1/requests/r1/status", False),
        ("https://api.runcomfy.net/v1/requests/r1/status", False),
        ("https://model-api.runcomfy.net.evil.com/v1/requests/r1/status", False),
        ("https://model-api.runcomfy.net@evil.com/v1/requests/r1/status", False),
        ("https://evil.com@model-api.runcomfy.net/v1/requests/r1/status", False),
        ("https://evil.com\\@model-api.runcomfy.net/v1/requests/r1/status", False),
        ("https://model-api.runcomfy.net\\.evil.com/status", False),
        ("//model-api.runcomfy.net/v1/requests/r1/status", False),
        ("/v1/requests/r1/status", False),
        (f"{BASE}/v1/requests/r1/status#x", False),
        (f"{BASE}/v1/requests/r1/status\nHost: evil.com", False),
        (f"{BASE}/v1/requests/r1/cancel", False),
        (f"{BASE}/v1/models/openai/gpt-4o-image/status", False),
        ("", False),
        ("https://[::1", False),
    ],
)
def test_an_offered_link_is_used_for_the_same_origin_and_call_only(offered, good):
    assert may_use(offered, BASE, "status") is good


def test_urls_are_built_from_the_base_and_the_id():
    place = Addresses("https://h:1/base")
    odd = Handle("a/../b?c#d é")
    assert place.model("openai/gpt-4o-image/edit") == "https://h:1/base/v1/models/openai/gpt-4o-image/edit"
    assert place.status(odd) == "https://h:1/base/v1/requests/a%2F..%2Fb%3Fc%23d%20%C3%A9/status"
    assert place.result(Handle("r1")) == "https://h:1/base/v1/requests/r1/result?include_cost=true"
    assert place.cancel(Handle("r1")) == "https://h:1/base/v1/requests/r1/cancel"


def test_offered_links_of_the_same_origin_are_used_but_never_for_the_post():
    offered = Handle("r1", "https://h/x/status", "https://h/x/result?k=1", "https://h/x/cancel")
    place = Addresses("https://h")
    assert place.status(offered) == "https://h/x/status"
    assert place.result(offered) == "https://h/x/result?k=1&include_cost=true"
    assert place.cancel(offered) == "https://h/v1/requests/r1/cancel"
    assert Addresses("https://g").result(offered) == "https://g/v1/requests/r1/result?include_cost=true"


def test_the_balance_is_asked_of_the_vendor_only_while_we_talk_to_the_vendor():
    assert Addresses(DEFAULT_BASE_URL).balance() == "https://api.runcomfy.net/prod/v2/balance"
    assert Addresses("http://127.0.0.1:8000").balance() == "http://127.0.0.1:8000/prod/v2/balance"
    assert urls.parse_origin(Addresses("http://[::1]:8000").balance()) == ("http", "::1", 8000)


# --- links to files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link",
    [
        "https://runcomfy.net/a.png",
        "https://files.runcomfy.com/a.png?sig=x",
        "https://A.B.RUNCOMFY.NET/a.png",
        "https://runcomfy.net:443/a.png",
        "https://cdn.example.com/a",
        "https://cdn.example.com:8443/a",
        "https://deep.wild.example.org/a",
        "http://127.0.0.1:5000/a",
        "http://localhost:1/a",
    ],
)
def test_links_that_are_fetched(link):
    gate = HostAllowlist(
        ["cdn.example.com", "cdn.example.com:8443", "*.wild.example.org", "127.0.0.1:5000", "localhost"]
    )
    assert gate.explain_refusal(httpx.URL(link)) is None


@pytest.mark.parametrize(
    "link",
    [
        "http://files.runcomfy.net/a.png",
        "https://runcomfy.net.evil.com/a",
        "https://evilruncomfy.net/a",
        "https://runcomfy.net@evil.com/a",
        "https://user@runcomfy.net/a",
        "https://user:pw@runcomfy.net/a",
        "https://files.runcomfy.net:8443/a",
        "https://127.0.0.1/a",
        "http://127.0.0.1:5000/a",
        "http://127.0.0.1.runcomfy.net/a",
        "http://[::1]:5000/a",
        "https://[::1]/a",
        "https://cdn.example.com:8443/a",
        "https://example.com/a",
        "http://cdn.example.com/a",
        "file:///etc/passwd",
        "ftp://runcomfy.net/a",
        "data:image/png;base64,AA",
        "/relative",
        "",
    ],
)
def test_links_that_are_not(link):
    assert HostAllowlist(["cdn.example.com", "127.0.0.1:6000"]).explain_refusal(httpx.URL(link))


@pytest.mark.parametrize("entry", ["", "a b", "https://a.com", "a.com/path", "user@a.com", "a.com:port", "*."])
def test_what_is_no_host(entry):
    with pytest.raises(UsageError):
        HostAllowlist([entry])


# --- the token ------------------------------------------------------------------------------------


def test_the_order_of_the_variables(tmp_path):
    environ = {name: f"value-of-{name}" for name in VARIABLES}
    for name in VARIABLES:
        token = find_token(environ, tmp_path)
        assert (token.value, token.source) == (f"value-of-{name}", name)
        assert bool(token.warning) is (name != VARIABLES[-1])
        assert "value-of" not in f"{token!r} {token} {token.warning}"
        del environ[name]
    with pytest.raises(TokenError) as caught:
        find_token({**environ, "RUNCOMFY_TOKEN": "  "}, tmp_path)
    assert "RUNCOMFY_API_TOKEN" in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        {"token": "abc"},
        {"api_token": "abc"},
        {"access_token": "abc", "expires": 3},
        {"token": {"access_token": "abc"}},
        {"default": {"api_key": "abc"}},
        "abc",
        b"abc\n",
    ],
    ids=repr,
)
def test_the_vendors_file(tmp_path, content):
    path = tmp_path / VENDOR_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else orjson.dumps(content))
    token = find_token({}, tmp_path)
    assert (token.value, token.source, token.warning) == ("abc", "~/.config/runcomfy/token.json", "")
    assert find_token({"RUNCOMFY_TOKEN": "abc"}, tmp_path).warning == ""
    assert "token.json" in find_token({"RUNCOMFY_TOKEN": "xyz"}, tmp_path).warning


def _put(path: Path, token: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(orjson.dumps({"access_token": token}))


def test_the_token_in_a_moved_folder_of_configuration_was_not_found(tmp_path: Path) -> None:
    """Only the home folder was looked at."""
    _put(tmp_path / VENDOR_FILE, "of-home")
    _put(tmp_path / "xdg" / "runcomfy" / "token.json", "of-xdg")
    _put(tmp_path / "named" / "token.json", "of-named")
    xdg = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    token = find_token(xdg, tmp_path)
    assert (token.value, "XDG_CONFIG_HOME" in token.source) == ("of-xdg", True)
    assert "~/.config/runcomfy/token.json has another one" in token.warning
    assert find_token({**xdg, "RUNCOMFY_CONFIG_DIR": str(tmp_path / "named")}, tmp_path).value == "of-named"
    assert find_token({"RUNCOMFY_CONFIG_DIR": "~/named"}, tmp_path).value == "of-named"
    assert find_token({"XDG_CONFIG_HOME": "xdg"}, tmp_path).value == "of-home"
    assert (
        find_token({"XDG_CONFIG_HOME": str(tmp_path / "empty"), "RUNCOMFY_CONFIG_DIR": " "}, tmp_path).value
        == "of-home"
    )


def test_a_named_folder_without_a_token_never_buys_with_the_account_of_another(tmp_path: Path) -> None:
    _put(tmp_path / VENDOR_FILE, "of-home")
    with pytest.raises(TokenError) as caught:
        find_token({"RUNCOMFY_CONFIG_DIR": "/nowhere"}, tmp_path)
    assert "RUNCOMFY_CONFIG_DIR=/nowhere" in str(caught.value)


def test_a_token_saved_on_a_mac_is_found(tmp_path: Path) -> None:
    _put(tmp_path / MAC_FILE, "of-mac")
    assert find_token({}, tmp_path).value == "of-mac"


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"token": 5}', b"\xff\xfe", b'{"tok', b"two words", b"null"])
def test_a_file_without_a_token(tmp_path, raw):
    path = tmp_path / VENDOR_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(raw)
    with pytest.raises(TokenError):
        find_token({}, tmp_path)


@pytest.mark.parametrize("pasted", [" abc\n", "Bearer abc", "bearer  abc", '"abc"', "'Bearer abc' "])
def test_a_token_as_people_paste_it(tmp_path, pasted):
    assert find_token({"RUNCOMFY_TOKEN": pasted}, tmp_path).value == "abc"


@pytest.mark.parametrize("bad", ["a b", "a\nb", "gehe\u00efm", "a\x00b", "<token>", "YOUR_API_TOKEN", "ab\u200b"])
def test_a_token_that_cannot_be_sent(tmp_path, bad):
    with pytest.raises(TokenError) as caught:
        find_token({"RUNCOMFY_TOKEN": bad}, tmp_path)
    assert "RUNCOMFY_TOKEN" in str(caught.value)


# --- the models -----------------------------------------------------------------------------------


def test_the_pages_own_schema():
    schema = load_model(DEFAULT_MODEL).schema
    assert DEFAULT_MODEL in list_built_in()
    assert schema["required"] == ["image", "prompt"]
    assert schema["properties"]["size"]["enum"] == ["3:2", "1:1", "2:3"]
    assert schema["properties"]["image"]["validations"][0]["validation_value"] == 25


def test_an_unknown_model_names_the_next_step():
    with pytest.raises(UsageError) as caught:
        load_model("openai/gpt-4o-image/edti")
    assert DEFAULT_MODEL in str(caught.value)
    assert "--schema" in caught.value.hint


@pytest.mark.parametrize("model_id", ["", "/a", "a/", "a//b", "../x", "a/../b", "a b", "a?b", "a#b", "a\n"])
def test_what_is_no_models_id(model_id):
    with pytest.raises(UsageError):
        load_model(model_id)


def test_a_schema_from_a_file(tmp_path):
    path = tmp_path / "schema.json"
    schema = {"type": "object", "properties": {"prompt": {"type": "string"}}}
    for content in (schema, {"input_schema": schema}, {"schema": schema}):
        path.write_bytes(orjson.dumps(content))
        assert load_model("other/model", path).schema == schema
    for bad in (b"{", b"[]", b'{"properties": []}'):
        path.write_bytes(bad)
        with pytest.raises(UsageError):
            load_model("other/model", path)
    with pytest.raises(NotFoundError):
        load_model("other/model", tmp_path / "absent.json")


# --- the two shapes -------------------------------------------------------------------------------

STRING, ARRAY = ImageShape.STRING, ImageShape.ARRAY


def test_each_job_gets_one_second_try_at_most():
    shapes = ImageShapeProbe()
    assert shapes.note_refusal("a", STRING)
    assert shapes.now is ARRAY
    assert shapes.note_refusal("b", STRING)  # it was in flight at the flip: no flip back
    assert shapes.now is ARRAY
    assert not shapes.note_refusal("a", ARRAY)
    assert shapes.note_refusal("c", ARRAY)
    assert shapes.now is STRING


def test_the_first_acceptance_decides_for_the_run():
    shapes = ImageShapeProbe()
    shapes.note_refusal("a", STRING)
    shapes.note_acceptance(STRING)  # of one that was in flight: strings are taken after all
    assert shapes.now is STRING
    shapes.note_acceptance(ARRAY)
    assert shapes.now is STRING
    assert not shapes.note_refusal("a", STRING)
    assert shapes.note_refusal("b", ARRAY)
    assert shapes.now is STRING
