"""Pictures in an object store: a real one on this machine, real commands, and the bucket looked at behind their back."""

from __future__ import annotations

import csv
import hashlib
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import obstore
import pytest
from PIL import Image

from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support import seaweed
from tests.support.cli import batchedit, environment, manifest, on, rows
from tests.support.fork_server import Child, Nursery
from tests.support.postgres import new_database
from tests.support.store_team import QUICK, Team

pytestmark = pytest.mark.timeout(300)  # the server takes its time to start on a busy machine


class Shop:
    """A sheet, a sandbox and a bucket."""

    def __init__(self, folder: Path, nursery: Nursery, sandbox: RunningSandbox, place: str) -> None:
        self.folder, self.nursery, self.sandbox, self.place = folder, nursery, sandbox, place
        self.files = f"s3://{seaweed.BUCKET}/{place}"
        self.run_folder = folder / "outputs" / "m"

    def buy(self, *words: object, code: int | None = 0, **more: Any) -> Child:
        return self.nursery.run(
            "run", "m.csv", *on(self.sandbox), "--files", self.files, *words, cwd=self.folder, code=code, **more
        )

    def objects(self) -> dict[str, int]:
        return seaweed.shared().keys(f"{self.place}/m/files")

    def read(self, key: str) -> bytes:
        return bytes(obstore.get(seaweed.shared().client(), key).bytes())


@pytest.fixture(scope="module")
def server() -> seaweed.SeaweedServer:
    return seaweed.shared()


@pytest.fixture(scope="module")
def nursery(server: seaweed.SeaweedServer) -> Iterator[Nursery]:
    found = Nursery(**server.environment())
    yield found
    found.close()


@pytest.fixture
def shop(tmp_path: Path, nursery: Nursery, server: seaweed.SeaweedServer) -> Iterator[Shop]:
    manifest(tmp_path / "m.csv", 3)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        yield Shop(tmp_path, nursery, sandbox, seaweed.new_place())


def test_pictures_are_bought_into_a_bucket_looked_at_and_delivered(shop: Shop) -> None:
    """Everything after the purchase works on a machine that has none of the pictures."""
    shop.buy()
    told = {str(row["result_file"]): str(row["result_sha256"]) for row in rows(shop.run_folder)}
    assert sorted(told) == [f"{shop.files}/m/files/sku-{n}-1x1-1.png" for n in (1, 2, 3)]
    bucket = f"s3://{seaweed.BUCKET}/"
    for name, sha256 in told.items():
        assert hashlib.sha256(shop.read(name.removeprefix(bucket))).hexdigest() == sha256
    with (shop.run_folder / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {row["result_file"] for row in csv.DictReader(file)} == set(told)
    for folder in ("files", "thumbs"):
        shutil.rmtree(shop.run_folder / folder)
    audited = shop.nursery.run("audit", "m.csv", cwd=shop.folder).stdout
    assert "files      3 with their sha256" in audited
    assert "everything adds up" in audited
    shop.nursery.run("gallery", "m.csv", cwd=shop.folder)
    assert len(list((shop.run_folder / "files").iterdir())) == 3
    shutil.rmtree(shop.run_folder / "files")
    keys = [str(row["result_key"]) for row in rows(shop.run_folder)]
    lines = [f"approve,,2026-11-22T08:00:00Z,k{key}\n" for key in keys]
    (shop.folder / "decisions.csv").write_text("decision,note,when,job\n" + "".join(lines))
    shop.nursery.run("review", "m.csv", "--import", "decisions.csv", cwd=shop.folder)
    shop.nursery.run("deliver", "m.csv", "--to", "handed-on", cwd=shop.folder)
    delivered = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (shop.folder / "handed-on").rglob("*.png")}
    assert delivered == set(told.values())
    assert "nothing is left to buy" in shop.buy().stderr
    assert shop.sandbox.ledger()["accepted"] == 3


def test_the_second_command_need_not_name_the_bucket_and_must_not_name_another(shop: Shop) -> None:
    shop.buy("--limit", 2)
    shop.nursery.run("run", "m.csv", *on(shop.sandbox), cwd=shop.folder)
    assert len(shop.objects()) == 3
    other = shop.nursery.run(
        "run", "m.csv", *on(shop.sandbox), "--files", f"{shop.files}-other", cwd=shop.folder, code=64
    )
    assert f"the run m has its pictures in {shop.files}/m, and they stay together" in other.stderr


def test_a_run_that_bought_into_its_folder_stays_there(shop: Shop) -> None:
    shop.nursery.run("run", "m.csv", *on(shop.sandbox), cwd=shop.folder)
    assert "the run m has its pictures in its folder" in shop.buy(code=64).stderr


def test_a_picture_that_somebody_else_put_there_is_never_overwritten(shop: Shop, server: seaweed.SeaweedServer) -> None:
    """A bucket of many runs and people: the name was taken, and by something else."""
    taken = f"{shop.place}/m/files/sku-2-1x1-1.png"
    obstore.put(server.client(), taken, b"somebody else's")
    shop.buy()
    assert shop.read(taken) == b"somebody else's"
    second = next(row for row in rows(shop.run_folder) if row["sku"] == "sku-2")
    key = str(second["result_key"])
    assert second["result_file"] == f"{shop.files}/m/files/sku-2-1x1-1-{key[:8]}.png"
    assert (shop.run_folder / "files" / f"sku-2-1x1-1-{key[:8]}.png").is_file()
    assert "everything adds up" in shop.nursery.run("audit", "m.csv", cwd=shop.folder).stdout


def test_a_process_that_dies_between_the_bucket_and_its_ledger_finds_the_picture_there(shop: Shop) -> None:
    died = shop.buy("-j", 1, code=None, doom=("put", 2))
    assert died.returncode == -signal.SIGKILL
    shop.buy()
    assert len(shop.objects()) == 3
    assert {row["result_status"] for row in rows(shop.run_folder)} == {"done"}
    assert (shop.sandbox.ledger()["accepted"], shop.sandbox.ledger()["duplicates"]) == (3, 0)


@pytest.mark.parametrize(
    ("what", "code", "sentence"),
    [
        ("missing", 73, "there is no s3://nowhere-at-all/ads/m"),
        ("forbidden", 77, "may not be used with the rights that are set here"),
        ("wrong key", 77, "may not be used with the rights that are set here"),
        ("away", 69, "can't be reached"),
        ("503", 69, "answers HTTP 503"),
        ("keys in it", 64, "--files takes no keys"),
        ("nonsense", 64, "--files is no place for files"),
    ],
)
def test_a_store_that_can_t_keep_files_is_known_before_anything_is_bought(
    shop: Shop, server: seaweed.SeaweedServer, other_server: Any, what: str, code: int, sentence: str
) -> None:
    env, files = server.environment(), shop.files
    match what:
        case "missing":
            files = "s3://nowhere-at-all/ads"
        case "forbidden":
            env = server.environment(seaweed.READER)
        case "wrong key":
            env["AWS_SECRET_ACCESS_KEY"] = "the-owner-s-secret-of-last-year"
        case "away":
            env["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
        case "503":
            other_server.script = [other_server.http(503, b"<Error><Code>SlowDown</Code></Error>")]
            env["AWS_ENDPOINT_URL"] = other_server.url
        case "keys in it":
            files = f"s3://id:hush-hush@{seaweed.BUCKET}/ads"
        case "nonsense":
            files = "ftp://somewhere/ads"
    done = batchedit(
        "run", "m.csv", *on(shop.sandbox), "--files", files, cwd=shop.folder, env=environment(**env), code=code
    )
    assert sentence in done.stderr, done.stderr
    assert shop.sandbox.ledger()["accepted"] == 0
    kept = b"".join(path.read_bytes() for path in shop.folder.rglob("*") if path.is_file()) + done.stderr.encode()
    for secret in (env["AWS_SECRET_ACCESS_KEY"], env["AWS_ACCESS_KEY_ID"], "hush-hush"):
        assert secret.encode() not in kept, "a key stands where others can read it"


@pytest.mark.parametrize(
    ("files", "env"),
    [
        ("gs://ads/x", {"GOOGLE_APPLICATION_CREDENTIALS": "nowhere.json"}),
        ("gs://ads/x", {"GOOGLE_APPLICATION_CREDENTIALS": "half.json"}),
        ("az://ads/x", {}),
        ("az://ads/x", {"AZURE_STORAGE_ACCOUNT_NAME": "anna", "AZURE_STORAGE_ACCOUNT_KEY": "hush-hush !"}),
    ],
)
def test_keys_of_another_cloud_that_cant_be_read_are_no_store_that_is_away(
    tmp_path: Path, files: str, env: dict[str, str]
) -> None:
    """Missing and broken keys were told as a store that can't be reached: wait until it is back."""
    (tmp_path / "half.json").write_text('{"private_key": "hush-hush"}')
    manifest(tmp_path / "m.csv", 1)
    env = {name: str(tmp_path / value) if value.endswith(".json") else value for name, value in env.items()}
    with serve(SandboxConfig(**QUICK)) as sandbox:
        told = ("run", "m.csv", *on(sandbox), "--files", files)
        done = batchedit(*told, cwd=tmp_path, env=environment(**env), code=77)
        assert "are missing or can't be read" in done.stderr
        assert ("GOOGLE_APPLICATION_CREDENTIALS" if files[0] == "g" else "AZURE_STORAGE_ACCOUNT_NAME") in done.stderr
        assert "hush" not in done.stderr
        assert sandbox.ledger()["submits_seen"] == 0


def test_a_picture_that_no_store_took_is_collected_by_the_next_command(
    shop: Shop, server: seaweed.SeaweedServer
) -> None:
    """The right to write went away in the middle of a run."""
    shop.buy("--limit", 1)
    database = shop.run_folder / "checkpoint.sqlite"
    env = environment(**server.environment(seaweed.READER))
    refused = batchedit("run", "m.csv", *on(shop.sandbox), cwd=shop.folder, env=env, code=77)
    assert "may not be used" in refused.stderr
    with closing(sqlite3.connect(database)) as connection:
        (url,) = connection.execute("SELECT value FROM meta WHERE name = 'files_url'").fetchone()
    assert url == f"{shop.files}/m"
    shop.buy()
    assert len(shop.objects()) == 3
    assert shop.sandbox.ledger()["accepted"] == 3


def test_a_folder_that_machines_share_is_a_store_too(shop: Shop, tmp_path: Path) -> None:
    shared = tmp_path / "mount" / "ads"
    shop.nursery.run("run", "m.csv", *on(shop.sandbox), "--files", shared, cwd=shop.folder)
    found = {path.relative_to(shared).as_posix() for path in shared.rglob("*.png")}
    assert found == {f"m/files/sku-{n}-1x1-1.png" for n in (1, 2, 3)}
    assert {row["result_file"] for row in rows(shop.run_folder)} == {f"{shared}/{name}" for name in found}
    shutil.rmtree(shop.run_folder / "files")
    assert "everything adds up" in shop.nursery.run("audit", "m.csv", cwd=shop.folder).stdout


# --- with a shared ledger -------------------------------------------------------------------------


@pytest.fixture
def team(tmp_path: Path, nursery: Nursery) -> Iterator[Callable[..., Team]]:
    opened: list[Any] = []

    def make(**config: Any) -> Team:
        server = serve(SandboxConfig(**{**QUICK, **config}))
        opened.append(server)
        return Team(tmp_path, nursery, server.__enter__(), new_database())

    yield make
    for server in opened:
        server.__exit__(None, None, None)


def test_a_worker_elsewhere_sends_local_pictures_that_it_never_had(
    team: Callable[..., Team], server: seaweed.SeaweedServer
) -> None:
    """The machine that took the sheet in died; its pictures lay on its disk."""
    it, place = team(), seaweed.new_place()
    pictures = it.folder / "pictures"
    pictures.mkdir()
    for n in range(4):
        Image.new("RGB", (60, 40), (40 * n, 90, 120)).save(pictures / f"{n}.png")
    lines = [f"sku-{n},pictures/{n}.png,make an ad number {n}\n" for n in range(4)]
    (it.folder / "m.csv").write_text("sku,image,prompt\n" + "".join(lines))
    files = f"s3://{seaweed.BUCKET}/{place}"
    first = it.start("run", "m.csv", "--yes", "-j", 1, "--files", files, doom=("Accepted", 1))
    assert first.wait() == -signal.SIGKILL, first.stderr
    blobs = server.keys(f"{place}/m/blobs")
    assert {name.rpartition("/")[2] for name in blobs} == {
        hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures.iterdir()
    }
    shutil.move(pictures, it.folder / "away")
    elsewhere = it.folder / "elsewhere"
    elsewhere.mkdir()
    told = ("--store", it.url, "--base-url", it.sandbox.url)
    helper = it.nursery.start("work", "--until-idle", *told, cwd=elsewhere)
    it.taken_for_dead(1)
    assert helper.wait() == 0, helper.stderr
    assert it.states() == {"done": 4}
    assert len(server.keys(f"{place}/m/files")) == 4
    assert not list((elsewhere / "outputs").rglob("*.png")), "a worker keeps no copies"
    shutil.move(it.folder / "away", pictures)
    it.run("run", "m.csv", "--yes")
    assert (it.sandbox.ledger()["accepted"], it.sandbox.ledger()["duplicates"]) == (4, 0)
    assert "everything adds up" in it.nursery.run("audit", "outputs/m", cwd=it.folder).stdout


def test_a_worker_with_another_bucket_is_refused(team: Callable[..., Team]) -> None:
    it, place = team(), seaweed.new_place()
    manifest(it.folder / "m.csv", 2)
    first = it.start(
        "run", "m.csv", "--yes", "-j", 1, "--files", f"s3://{seaweed.BUCKET}/{place}", doom=("Accepted", 1)
    )
    assert first.wait() == -signal.SIGKILL, first.stderr
    refused = it.run("work", "--until-idle", "--files", f"s3://{seaweed.BUCKET}/{place}-other", code=64)
    assert "and they stay together" in refused.stderr
