"""docs/how-to/second-operator.md, typed as it stands: two people, one account, one cap, one edits, one reviews."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.store.test_reviewers import state_of
from tests.support.cli import until
from tests.support.fork_server import Child
from tests.support.review_process import Review
from tests.support.store_team import Team

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "second-operator.md"
BUYERS = {"run", "work", "redo"}


class Evening:
    """Both people's terminals. Anna's folder is the team's, Ben's is on another machine."""

    def __init__(self, it: Team, tmp_path: Path) -> None:
        self.it, self.files = it, tmp_path / "shared"
        self.folders = {"anna": it.folder, "ben": tmp_path / "ben"}
        for folder in (self.files, self.folders["ben"]):
            folder.mkdir()
        self.background: dict[str, Child] = {}

    def types(self, who: str, command: str) -> str:
        words, folder = shlex.split(command.removesuffix(" &")), self.folders[who]
        if words[0] != "batchedit":
            return subprocess.run(
                ["bash", "-c", command], cwd=folder, check=True, capture_output=True, text=True
            ).stdout
        words = words[1:]
        if words[0] == "review":
            return self.reviews(folder)
        if words[:2] == ["store", "limits"]:
            return self.it.fork_server.run(*words, self.it.url, cwd=folder).stdout
        words += ["--store", self.it.url]
        if words[0] in BUYERS:
            words += ["--base-url", self.it.sandbox.url, "--files", str(self.files), "-j", "2"]
        child = self.it.fork_server.start(*words, cwd=folder, state=state_of(folder))
        if command.endswith(" &"):
            self.background[who] = child
            return ""
        assert child.wait() == 0, f"{who}$ {command}\n{child.stdout}\n{child.stderr}"
        return child.stdout

    def reviews(self, folder: Path) -> str:
        review = Review("spring", "--store", self.it.url, who="ben", cwd=folder, state=state_of(folder))
        try:
            assert review.mark(1, "approve").status_code == 200
            assert review.mark(2, "reject", note="on white").status_code == 200
            return review.end(signal.SIGINT)[1]
        finally:
            review.http.close()


def test_the_evening_of_two_people(team: Callable[..., Team], tmp_path: Path) -> None:
    it = team(8, latency="0.3")
    (it.folder / "m.csv").rename(it.folder / "spring.csv")
    evening = Evening(it, tmp_path)
    typed = re.findall(r"^(anna|ben)\$ (batchedit .*|printf .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    outputs: dict[str, str] = {}
    for who, command in typed:
        if command.startswith("printf") and "anna" in evening.background:
            until(lambda: it.sql("SELECT 1 FROM batchedit.worker OFFSET 1"))
            first = evening.background.pop("anna")
            os.kill(first.pid, signal.SIGTERM)
            assert first.wait() in {0, 143}
        outputs[command] = evening.types(who, command)
        if command.startswith("batchedit run") and command.endswith(" &"):
            until(lambda: it.sql("SELECT 1 FROM batchedit.job WHERE leave > 0 OR state != 'planned'"))
    os.kill(evening.background["ben"].pid, signal.SIGTERM)
    assert evening.background["ben"].wait() == 143
    ledger = it.sandbox.ledger()
    assert (ledger["accepted"], ledger["duplicates"]) == (11, 0), "eight, two that were added, one again"
    assert Counter(it.count_states()) == {"done": 11}
    assert ledger["charged_usd"] <= 0.48
    assert "10 done" in outputs["batchedit runs"], "what ten rows ask for; the rejected one stands beside them"
    assert len(list((it.folder / "spring-approved" / "files").iterdir())) == 1
    assert "everything adds up" in outputs["batchedit audit spring"]
