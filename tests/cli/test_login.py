"""``batchedit login`` keeps a token where every later command finds it."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest
from click.testing import CliRunner

from batchedit.cli.app import batchedit
from batchedit.commands.token import keep_token
from batchedit.runcomfy.keyring_token import KEYRING_NAME
from batchedit.runcomfy.token import CONFIG_VARIABLE, VARIABLES, VENDOR_FILE, find_token


class Memory(keyring.backend.KeyringBackend):
    """A keyring that ends with the test. ``locked`` refuses, ``null`` takes and keeps nothing."""

    priority = 1.0  # type: ignore[assignment]  # the library's way to say which keyring goes first

    def __init__(self, kind: str = "") -> None:
        super().__init__()
        self.kind, self.kept = kind, dict[tuple[str, str], str]()

    def get_password(self, service: str, username: str) -> str | None:
        if self.kind == "locked":
            raise keyring.errors.KeyringLocked
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.kind == "locked":
            raise keyring.errors.KeyringLocked
        if self.kind != "null":
            self.kept[service, username] = password


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in (*VARIABLES, CONFIG_VARIABLE, "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    before = keyring.get_keyring()
    yield tmp_path
    keyring.set_keyring(before)


def test_a_token_goes_into_the_keyring_and_is_found_there(home: Path) -> None:
    keyring.set_keyring(Memory())
    result = CliRunner().invoke(batchedit, ["login"], input="Bearer abc-123\n")
    assert (result.exit_code, result.stdout) == (0, f"the token is kept in {KEYRING_NAME}\n")
    assert "abc-123" not in result.output
    assert not (home / VENDOR_FILE).exists()
    token = find_token({}, home)
    assert (token.value, token.source) == ("abc-123", KEYRING_NAME)


def test_the_environment_goes_before_the_keyring_and_login_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring.set_keyring(Memory())
    monkeypatch.setenv("RUNCOMFY_TOKEN", "of-the-terminal")
    result = CliRunner().invoke(batchedit, ["login"], input="abc-123\n")
    assert "RUNCOMFY_TOKEN is set and goes before it: unset RUNCOMFY_TOKEN" in result.stderr
    assert find_token({"RUNCOMFY_TOKEN": "of-the-terminal"}, home).value == "of-the-terminal"


@pytest.mark.parametrize("kind", ["locked", "null"])
def test_where_no_keyring_takes_it_the_token_is_in_a_file_of_this_person_alone(home: Path, kind: str) -> None:
    keyring.set_keyring(Memory(kind))
    result = CliRunner().invoke(batchedit, ["login"], input="abc-123\n")
    assert "which only you can read" in result.stdout
    file = home / VENDOR_FILE
    assert json.loads(file.read_bytes()) == {"token": "abc-123"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert find_token({}, home).value == "abc-123"


def test_a_person_who_names_the_folder_of_tokens_means_the_one_in_it(home: Path) -> None:
    keyring.set_keyring(Memory())
    keep_token("of-the-keyring", {})
    environ = {CONFIG_VARIABLE: str(home / "named")}
    keep_token("of-the-folder", environ)
    assert find_token(environ, home).value == "of-the-folder"
    assert find_token({}, home).value == "of-the-keyring"


def test_what_is_no_token_is_refused(home: Path) -> None:
    for text, why in (("\n", "no token was given"), ("two words\n", "holds a space"), ("<token>\n", "placeholder")):
        result = CliRunner().invoke(batchedit, ["login"], input=text)
        assert why in str(result.exception), text
    assert not (home / VENDOR_FILE).exists()
