"""Pictures in an object store: S3 by a real server, Google's by a stand-in at Google's own addresses, Azure's by one that
answers as its emulator does; real commands, and the bucket looked at behind their back.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import obstore
import pytest
from PIL import Image

from batchedit.core.errors import OutputError
from batchedit.files.objects import Objects
from batchedit.sandbox import RunningSandbox, SandboxConfig, serve
from tests.support import azure, google, seaweed
from tests.support.cli import batchedit, make_env, manifest, on, rows, run_cli
from tests.support.fork_server import Child, ForkServer
from tests.support.postgres import new_database
from tests.support.raw_server import RawServer
from tests.support.store_team import QUICK, Team

pytestmark = pytest.mark.timeout(300)  # the server takes its time to start on a busy machine


class S3:
    """SeaweedFS."""

    bucket = f"s3://{seaweed.BUCKET}"
    hint = "AWS_ACCESS_KEY_ID"

    def __init__(self) -> None:
        self._server = seaweed.shared()

    def environment(self, who: str = "owner") -> dict[str, str]:
        env = self._server.environment(seaweed.READER if who == "reader" else seaweed.OWNER)
        return env | ({"AWS_SECRET_ACCESS_KEY": "the-owner-s-secret-of-last-year"} if who == "another key" else {})

    def away(self) -> dict[str, str]:
        return self.environment() | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}

    @contextmanager
    def troubled(self, server: RawServer) -> Iterator[dict[str, str]]:
        """503 to everything."""
        server.script = [server.http(503, b"<Error><Code>SlowDown</Code></Error>")]
        yield self.environment() | {"AWS_ENDPOINT_URL": server.url}

    def secrets(self, env: dict[str, str]) -> list[str]:
        return [env["AWS_SECRET_ACCESS_KEY"], env["AWS_ACCESS_KEY_ID"]]

    def keys(self, prefix: str) -> dict[str, int]:
        return self._server.keys(prefix)

    def read(self, key: str) -> bytes:
        return bytes(obstore.get(self._server.client(), key).bytes())

    def put(self, key: str, content: bytes) -> None:
        obstore.put(self._server.client(), key, content)


class GoogleStorage:
    """A stand-in, see ``tests.support.google``. Its owner could overwrite what is there."""

    bucket = f"gs://{google.BUCKET}"
    hint = "GOOGLE_APPLICATION_CREDENTIALS"

    def __init__(self, server: google.Google) -> None:
        self.server = server

    def environment(self, who: str = google.OWNER) -> dict[str, str]:
        if who != "another key":
            return self.server.environment(who)
        path = self.server.service_account(google.OWNER, signed_by=google.READER)
        return self.server.environment() | {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}

    def away(self) -> dict[str, str]:
        return self.environment() | {"HTTPS_PROXY": "http://127.0.0.1:9"}

    @contextmanager
    def troubled(self, _server: RawServer) -> Iterator[dict[str, str]]:
        """503 to everything."""
        before, self.server.script = self.server.script, lambda _method, _key: google.Answer(503, b"<Error/>")
        yield self.environment()
        self.server.script = before

    def secrets(self, env: dict[str, str]) -> list[str]:
        credentials = json.loads(Path(env["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())
        return [credentials["private_key"].splitlines()[1], credentials["client_email"], credentials["private_key_id"]]

    def keys(self, prefix: str) -> dict[str, int]:
        return self.server.keys(prefix)

    def read(self, key: str) -> bytes:
        return self.server.objects[key].content

    def put(self, key: str, content: bytes) -> None:
        self.server.put(key, content)


class AzureStorage:
    """A stand-in, or Microsoft's emulator: see ``tests.support.azure``."""

    bucket = f"az://{azure.CONTAINER}"
    hint = "AZURE_STORAGE_ACCOUNT_KEY"

    def __init__(self, server: azure.Azure) -> None:
        self.server = server

    def environment(self, who: str = "owner") -> dict[str, str]:
        env = self.server.environment("rl" if who == "reader" else "")
        return env | ({"AZURE_STORAGE_ACCOUNT_KEY": f"aGFs{azure.KEY[4:]}"} if who == "another key" else {})

    def away(self) -> dict[str, str]:
        return self.environment() | {"AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:9/{azure.ACCOUNT}"}

    @contextmanager
    def troubled(self, server: RawServer) -> Iterator[dict[str, str]]:
        """503 to everything."""
        server.script = [server.http(503, b"<Error><Code>ServerBusy</Code></Error>")]
        yield self.environment() | {"AZURE_STORAGE_ENDPOINT": f"{server.url}/{azure.ACCOUNT}"}

    def secrets(self, env: dict[str, str]) -> list[str]:
        sas = env.get("AZURE_STORAGE_SAS_TOKEN", "")
        return [sas.partition("sig=")[2]] if sas else [env["AZURE_STORAGE_ACCOUNT_KEY"]]

    def keys(self, prefix: str) -> dict[str, int]:
        return self.server.keys(prefix)

    def read(self, key: str) -> bytes:
        return bytes(obstore.get(self.server.client(), key).bytes())

    def put(self, key: str, content: bytes) -> None:
        obstore.put(self.server.client(), key, content)


Cloud = S3 | GoogleStorage | AzureStorage


class Shop:
    """A sheet, a sandbox and a bucket."""

    def __init__(
        self, folder: Path, fork_server: ForkServer, sandbox: RunningSandbox, cloud: Cloud, place: str
    ) -> None:
        self.folder, self.fork_server, self.sandbox, self.cloud, self.place = folder, fork_server, sandbox, cloud, place
        self.files = f"{cloud.bucket}/{place}"
        self.run_folder = folder / "outputs" / "m"

    def buy(self, *words: object, code: int | None = 0, **more: Any) -> Child:
        return self.fork_server.run(
            "run", "m.csv", *on(self.sandbox), "--files", self.files, *words, cwd=self.folder, code=code, **more
        )

    def objects(self) -> dict[str, int]:
        return self.cloud.keys(f"{self.place}/m/files")


@pytest.fixture(scope="module")
def gs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleStorage]:
    with google.google(tmp_path_factory.mktemp("google")) as server:
        yield GoogleStorage(server)


@pytest.fixture(scope="module")
def az() -> Iterator[AzureStorage]:
    with azure.azure() as server:
        yield AzureStorage(server)


@pytest.fixture(scope="module", params=["s3", "gs", "az"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    return S3() if request.param == "s3" else request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def fork_server(cloud: Cloud) -> Iterator[ForkServer]:
    server = ForkServer(**cloud.environment())
    yield server
    server.close()


@pytest.fixture
def shop(tmp_path: Path, fork_server: ForkServer, cloud: Cloud) -> Iterator[Shop]:
    manifest(tmp_path / "m.csv", 3)
    with serve(SandboxConfig(**QUICK)) as sandbox:
        yield Shop(tmp_path, fork_server, sandbox, cloud, seaweed.new_place())


def test_pictures_are_bought_into_a_bucket_looked_at_and_delivered(shop: Shop) -> None:
    """Everything after the purchase works on a machine that has none of the pictures."""
    shop.buy()
    digests = {str(row["result_file"]): str(row["result_sha256"]) for row in rows(shop.run_folder)}
    assert sorted(digests) == [f"{shop.files}/m/files/sku-{n}-1x1-1.png" for n in (1, 2, 3)]
    for name, sha256 in digests.items():
        assert hashlib.sha256(shop.cloud.read(name.removeprefix(f"{shop.cloud.bucket}/"))).hexdigest() == sha256
    with (shop.run_folder / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {row["result_file"] for row in csv.DictReader(file)} == set(digests)
    for folder in ("files", "thumbs"):
        shutil.rmtree(shop.run_folder / folder)
    audited = shop.fork_server.run("audit", "m.csv", cwd=shop.folder).stdout
    assert "files      3 with their sha256" in audited
    assert "everything adds up" in audited
    shop.fork_server.run("gallery", "m.csv", cwd=shop.folder)
    assert len(list((shop.run_folder / "files").iterdir())) == 3
    shutil.rmtree(shop.run_folder / "files")
    keys = [str(row["result_key"]) for row in rows(shop.run_folder)]
    lines = [f"approve,,2026-11-22T08:00:00Z,k{key}\n" for key in keys]
    (shop.folder / "decisions.csv").write_text("decision,note,when,job\n" + "".join(lines))
    shop.fork_server.run("review", "m.csv", "--import", "decisions.csv", cwd=shop.folder)
    shop.fork_server.run("deliver", "m.csv", "--to", "handed-on", cwd=shop.folder)
    delivered = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (shop.folder / "handed-on").rglob("*.png")}
    assert delivered == set(digests.values())
    assert "nothing is left to buy" in shop.buy().stderr
    assert shop.sandbox.ledger()["accepted"] == 3


def test_the_second_command_need_not_name_the_bucket_and_must_not_name_another(shop: Shop) -> None:
    shop.buy("--limit", 2)
    shop.fork_server.run("run", "m.csv", *on(shop.sandbox), cwd=shop.folder)
    assert len(shop.objects()) == 3
    other = shop.fork_server.run(
        "run", "m.csv", *on(shop.sandbox), "--files", f"{shop.files}-other", cwd=shop.folder, code=64
    )
    assert f"the run m has its pictures in {shop.files}/m, and they stay together" in other.stderr


def test_a_run_that_bought_into_its_folder_stays_there(shop: Shop) -> None:
    shop.fork_server.run("run", "m.csv", *on(shop.sandbox), cwd=shop.folder)
    assert "the run m has its pictures in its folder" in shop.buy(code=64).stderr


def test_a_picture_that_somebody_else_put_there_is_never_overwritten(shop: Shop) -> None:
    """A bucket of many runs and people: the name was taken, and by something else."""
    taken = f"{shop.place}/m/files/sku-2-1x1-1.png"
    shop.cloud.put(taken, b"somebody else's")
    shop.buy()
    assert shop.cloud.read(taken) == b"somebody else's"
    second = next(row for row in rows(shop.run_folder) if row["sku"] == "sku-2")
    key = str(second["result_key"])
    assert second["result_file"] == f"{shop.files}/m/files/sku-2-1x1-1-{key[:8]}.png"
    assert (shop.run_folder / "files" / f"sku-2-1x1-1-{key[:8]}.png").is_file()
    assert "everything adds up" in shop.fork_server.run("audit", "m.csv", cwd=shop.folder).stdout


def test_a_process_that_dies_between_the_bucket_and_its_ledger_finds_the_picture_there(shop: Shop) -> None:
    died = shop.buy("--limit", 2, "-j", 1, code=None, doom=("put", 2))  # no third POST that may be on its way then
    assert died.returncode == -signal.SIGKILL
    shop.buy()
    assert len(shop.objects()) == 3
    assert {row["result_status"] for row in rows(shop.run_folder)} == {"done"}
    assert (shop.sandbox.ledger()["accepted"], shop.sandbox.ledger()["duplicates"]) == (3, 0)


@pytest.mark.parametrize(
    ("what", "code", "sentence"),
    [
        ("missing", 73, "there is no {scheme}://nowhere-at-all/ads/m"),
        ("reader", 77, "may not be used with the rights that are set here"),
        ("another key", 77, "may not be used with the rights that are set here"),
        ("away", 69, "can't be reached"),
        ("503", 69, "answers HTTP 503"),
        ("keys in it", 64, "--files takes no keys"),
        ("nonsense", 64, "--files is no place for files"),
    ],
)
def test_a_store_that_can_t_keep_files_is_known_before_anything_is_bought(
    shop: Shop, cloud: Cloud, other_server: RawServer, what: str, code: int, sentence: str
) -> None:
    scheme, _, bucket = cloud.bucket.partition("://")
    files = {
        "missing": f"{scheme}://nowhere-at-all/ads",
        "keys in it": f"{scheme}://id:hush-hush@{bucket}/ads",
        "nonsense": "ftp://somewhere/ads",
    }.get(what, shop.files)
    env = {
        "reader": partial(cloud.environment, "reader"),
        "another key": partial(cloud.environment, "another key"),
        "away": cloud.away,
    }.get(what, cloud.environment)()
    with cloud.troubled(other_server) if what == "503" else nullcontext({}) as more:
        done = batchedit(
            "run",
            "m.csv",
            *on(shop.sandbox),
            "--files",
            files,
            cwd=shop.folder,
            env=make_env(**env | more),
            code=code,
        )
    assert sentence.format(scheme=scheme) in done.stderr, done.stderr
    assert code != 77 or cloud.hint in done.stderr, done.stderr
    assert shop.sandbox.ledger()["accepted"] == 0
    kept = b"".join(path.read_bytes() for path in shop.folder.rglob("*") if path.is_file()) + done.stderr.encode()
    for secret in (*cloud.secrets(env), "hush-hush"):
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
        command = ("run", "m.csv", *on(sandbox), "--files", files)
        done = batchedit(*command, cwd=tmp_path, env=make_env(**env), code=77)
        assert "are missing or can't be read" in done.stderr
        assert ("GOOGLE_APPLICATION_CREDENTIALS" if files[0] == "g" else "AZURE_STORAGE_ACCOUNT_NAME") in done.stderr
        assert "hush" not in done.stderr
        assert sandbox.ledger()["submits_seen"] == 0


def test_a_picture_that_no_store_took_is_collected_by_the_next_command(shop: Shop) -> None:
    """The right to write went away in the middle of a run."""
    shop.buy("--limit", 1)
    database = shop.run_folder / "checkpoint.sqlite"
    env = make_env(**shop.cloud.environment("reader"))
    refused = batchedit("run", "m.csv", *on(shop.sandbox), cwd=shop.folder, env=env, code=77)
    assert "may not be used" in refused.stderr
    with closing(sqlite3.connect(database)) as connection:
        (url,) = connection.execute("SELECT value FROM meta WHERE name = 'files_url'").fetchone()
    assert url == f"{shop.files}/m"
    shop.buy()
    assert len(shop.objects()) == 3
    assert shop.sandbox.ledger()["accepted"] == 3


def test_who_may_not_delete_at_google_types_the_same_command_again(tmp_path: Path, gs: GoogleStorage) -> None:
    """A command was refused with 77: its second look at the bucket wrote over the small object of the first, and at Google
    that takes the right to delete, which the how-to says to give to nobody.
    """
    fork_server = ForkServer(**gs.environment(google.WRITER))
    for gs.server.exists_first in (False, True):
        folder, place = tmp_path / str(gs.server.exists_first), seaweed.new_place()
        folder.mkdir()
        manifest(folder / "m.csv", 2)
        with serve(SandboxConfig(**QUICK)) as sandbox:
            command = ("run", "m.csv", *on(sandbox), "--files", f"{gs.bucket}/{place}")
            died = fork_server.run(*command, cwd=folder, code=None, doom=("put", 1))
            assert died.returncode == -signal.SIGKILL
            first = next(iter(gs.keys(f"{place}/m/files")))
            other = first.replace("sku-1", "sku-3").replace("sku-2", "sku-1").replace("sku-3", "sku-2")
            gs.put(other, b"somebody else's")
            fork_server.run(*command, cwd=folder)
            refused = run_cli(*command, cwd=folder, env=make_env(**gs.environment(google.READER)), code=77)
            assert "may not be used with the rights that are set here" in refused.stderr
            assert {row["result_status"] for row in rows(folder / "outputs" / "m")} == {"done"}
            assert gs.read(other) == b"somebody else's"
            assert len(gs.keys(f"{place}/m/files")) == 3
            assert sandbox.ledger()["accepted"] == 2
    fork_server.close()


@pytest.mark.parametrize(
    ("way", "grant", "code", "sentence"),
    [
        ("signed in", None, 0, ""),
        ("signed in", 400, 77, "may not be used with the rights that are set here"),
        ("signed in", 503, 69, "answers HTTP 503"),
        ("machine", None, 0, ""),
        ("nothing", None, 77, "may not be used with the rights that are set here"),
    ],
)
def test_a_person_and_a_machine_have_googles_keys_as_its_own_tools_take_them(
    tmp_path: Path, gs: GoogleStorage, way: str, grant: int | None, code: int, sentence: str
) -> None:
    """A sign-in that had ended was told as a disk that fails, 74, with nothing about what to type."""
    manifest(tmp_path / "m.csv", 1)
    env = {"signed in": gs.server.signed_in, "machine": gs.server.machine, "nothing": lambda: gs.server.way_here}[way]()
    body = b'{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}'
    gs.server.grant = google.Answer(grant, body) if grant else None
    place = seaweed.new_place()
    with serve(SandboxConfig(**QUICK)) as sandbox:
        command = ("run", "m.csv", *on(sandbox), "--files", f"{gs.bucket}/{place}")
        done = run_cli(*command, cwd=tmp_path, env=make_env(**env), code=code)
        assert sentence in done.stderr
        assert code != 77 or "gcloud auth application-default login" in done.stderr
        assert sandbox.ledger()["accepted"] == len(gs.keys(f"{place}/m/files")) == (0 if code else 1)
        assert "hush" not in done.stderr + done.stdout
    gs.server.grant = None


@pytest.mark.parametrize("rights", ["rlc", "rlcw"])
def test_who_may_only_create_at_azure_types_the_same_command_again(
    tmp_path: Path, az: AzureStorage, rights: str
) -> None:
    """The second command was refused with 77: it wrote over the small object of the first, and the right to create is not
    enough for that.
    """
    manifest(tmp_path / "m.csv", 2)
    place, env = seaweed.new_place(), make_env(**az.server.environment(rights))
    with serve(SandboxConfig(**QUICK)) as sandbox:
        command = ("run", "m.csv", *on(sandbox), "--files", f"{az.bucket}/{place}")
        run_cli(*command, "--limit", "1", cwd=tmp_path, env=env)
        other = next(iter(az.keys(f"{place}/m/files"))).replace("sku-1", "sku-2")
        az.put(other, b"somebody else's")
        run_cli(*command, cwd=tmp_path, env=env)
        assert az.read(other) == b"somebody else's"
        assert len(az.keys(f"{place}/m/files")) == 3
        assert sandbox.ledger()["accepted"] == 2
        refused = run_cli(*command, cwd=tmp_path, env=make_env(**az.environment("reader")), code=77)
        assert "may not be used with the rights that are set here" in refused.stderr


@pytest.mark.parametrize(
    "keys",
    [
        {"AZURE_STORAGE_ACCOUNT": azure.ACCOUNT, "AZURE_STORAGE_KEY": azure.KEY, "AZURE_STORAGE_ENDPOINT": "{url}"},
        {
            "AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;AccountName={azure.ACCOUNT};"
            f"AccountKey={azure.KEY};BlobEndpoint={{url}};"
        },
        {
            "AZURE_STORAGE_CONNECTION_STRING": f"BlobEndpoint={{url}};AccountName={azure.ACCOUNT};"
            f"SharedAccessSignature={azure.access_signature('rlc')}"
        },
        {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": "{host}"},
    ],
)
def test_azures_keys_are_read_as_its_own_tools_take_them(
    tmp_path: Path, az: AzureStorage, keys: dict[str, str]
) -> None:
    """A connection string, which the portal gives out, was not read: the keys were told to be missing."""
    manifest(tmp_path / "m.csv", 1)
    url, place = az.server.url, seaweed.new_place()
    env = {name: text.format(url=url, host=url.rpartition("/")[0]) for name, text in keys.items()}
    with serve(SandboxConfig(**QUICK)) as sandbox:
        command = ("run", "m.csv", *on(sandbox), "--files", f"{az.bucket}/{place}")
        run_cli(*command, cwd=tmp_path, env=make_env(**env))
    assert len(az.keys(f"{place}/m/files")) == 1


def test_a_bucket_that_is_gone_is_not_told_as_a_picture_that_is(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """At Azure an audit took each picture of a container that somebody had removed for lost."""
    env = cloud.environment()
    for name, text in env.items():
        monkeypatch.setenv(name, text)
    there = Objects(f"{cloud.bucket}/{seaweed.new_place()}", env)
    assert there.read("files/mug.png") is None
    gone = Objects(f"{cloud.bucket.partition('://')[0]}://nowhere-at-all/ads", env)
    for ask in (
        lambda: gone.read("files/mug.png"),
        lambda: gone.digest("files/mug.png"),
        lambda: gone.list_sizes("blobs"),
    ):
        with pytest.raises(OutputError, match="there is no"):
            ask()


def test_a_folder_that_machines_share_is_a_store_too(shop: Shop, tmp_path: Path) -> None:
    shared = tmp_path / "mount" / "ads"
    shop.fork_server.run("run", "m.csv", *on(shop.sandbox), "--files", shared, cwd=shop.folder)
    names = {path.relative_to(shared).as_posix() for path in shared.rglob("*.png")}
    assert names == {f"m/files/sku-{n}-1x1-1.png" for n in (1, 2, 3)}
    assert {row["result_file"] for row in rows(shop.run_folder)} == {f"{shared}/{name}" for name in names}
    shutil.rmtree(shop.run_folder / "files")
    assert "everything adds up" in shop.fork_server.run("audit", "m.csv", cwd=shop.folder).stdout


# --- with a shared ledger -------------------------------------------------------------------------


@pytest.fixture
def team(tmp_path: Path, fork_server: ForkServer) -> Iterator[Callable[..., Team]]:
    opened: list[Any] = []

    def make(**config: Any) -> Team:
        server = serve(SandboxConfig(**{**QUICK, **config}))
        opened.append(server)
        return Team(tmp_path, fork_server, server.__enter__(), new_database())

    yield make
    for server in opened:
        server.__exit__(None, None, None)


def test_a_worker_elsewhere_sends_local_pictures_that_it_never_had(team: Callable[..., Team], cloud: Cloud) -> None:
    """The machine that took the sheet in died; its pictures lay on its disk."""
    it, place = team(), seaweed.new_place()
    pictures = it.folder / "pictures"
    pictures.mkdir()
    for n in range(4):
        Image.new("RGB", (60, 40), (40 * n, 90, 120)).save(pictures / f"{n}.png")
    lines = [f"sku-{n},pictures/{n}.png,make an ad number {n}\n" for n in range(4)]
    (it.folder / "m.csv").write_text("sku,image,prompt\n" + "".join(lines))
    files = f"{cloud.bucket}/{place}"
    first = it.start("run", "m.csv", "--yes", "-j", 1, "--files", files, doom=("Accepted", 1))
    assert first.wait() == -signal.SIGKILL, first.stderr
    blobs = cloud.keys(f"{place}/m/blobs")
    assert {name.rpartition("/")[2] for name in blobs} == {
        hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures.iterdir()
    }
    shutil.move(pictures, it.folder / "away")
    elsewhere = it.folder / "elsewhere"
    elsewhere.mkdir()
    options = ("--store", it.url, "--base-url", it.sandbox.url)
    helper = it.fork_server.start("work", "--until-idle", *options, cwd=elsewhere)
    it.expire_lease(1)
    assert helper.wait() == 0, helper.stderr
    assert it.count_states() == {"done": 4}
    assert len(cloud.keys(f"{place}/m/files")) == 4
    assert not list((elsewhere / "outputs").rglob("*.png")), "a worker keeps no copies"
    shutil.move(it.folder / "away", pictures)
    it.run("run", "m.csv", "--yes")
    assert (it.sandbox.ledger()["accepted"], it.sandbox.ledger()["duplicates"]) == (4, 0)
    assert "everything adds up" in it.fork_server.run("audit", "outputs/m", cwd=it.folder).stdout


def test_a_worker_with_another_bucket_is_refused(team: Callable[..., Team], cloud: Cloud) -> None:
    it, place = team(), seaweed.new_place()
    manifest(it.folder / "m.csv", 2)
    first = it.start("run", "m.csv", "--yes", "-j", 1, "--files", f"{cloud.bucket}/{place}", doom=("Accepted", 1))
    assert first.wait() == -signal.SIGKILL, first.stderr
    refused = it.run("work", "--until-idle", "--files", f"{cloud.bucket}/{place}-other", code=64)
    assert "and they stay together" in refused.stderr
