"""Where a person's own folders are: nowhere else than a release before, for what the register forgets is bought again."""

from __future__ import annotations

import pwd
import sys
from pathlib import Path

import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from batchedit.commands.trust import locate_trusted_file
from batchedit.core.errors import OutputError
from batchedit.disk import find_own_folder
from batchedit.ledger.register import Register

PLATFORMS = {"linux": Unix, "darwin": MacOS}
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "usual": {"HOME": "/home/anna"},
    "moved": {"HOME": "/home/anna", "XDG_STATE_HOME": "/srv/state", "XDG_CONFIG_HOME": "/srv/config"},
    "moved to a relative place": {"HOME": "/home/anna", "XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "~/config"},
    "moved to nowhere": {"HOME": "/home/anna", "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": ""},
    "a home with blanks": {"HOME": "/Users/Anna Ö"},
    "a relative home": {"HOME": "anna"},
    "no home": {},
}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_they_are_where_platformdirs_had_them(monkeypatch: pytest.MonkeyPatch, platform: str, environment: str) -> None:
    environ = ENVIRONMENTS[environment]
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    known = PLATFORMS[platform]("batchedit", appauthor=False)
    assert find_own_folder("state", environ) == known.user_state_path
    assert find_own_folder("config", environ) == known.user_config_path
    assert Register.from_environ(environ).folder == known.user_state_path
    assert locate_trusted_file(environ).parent == known.user_config_path


def test_who_has_no_home_is_told_what_to_export(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(number: int) -> pwd.struct_passwd:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(OutputError, match="home folder is not known") as refused:
        find_own_folder("state", {})
    assert refused.value.hint == "export XDG_STATE_HOME=DIR"
    assert Register.from_environ({"BATCHEDIT_STATE": "/srv/state"}).folder == Path("/srv/state"), "nobody asks"
