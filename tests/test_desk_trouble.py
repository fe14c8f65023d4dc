"""A file that cannot be written or read: senders are put off, people are told why, and it recovers."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
from desk_calls import CallMaker, whole_call
from desk_sending import wait_until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from cxotel.desk import store as stores
from cxotel.desk import traces
from cxotel.desk.app import Desk
from cxotel.desk.settings import Timing
from cxotel.desk.store import DAMAGED, FULL, LOCKED, Store, StoreBusyError, StoreError
from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK = Timing(grace=0.1, settle=0.02)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is tried again at once."""
    monkeypatch.setattr(stores, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(stores, "CALM_SECONDS", 0.2)


def post(desk: Desk, call: CallMaker) -> httpx.Response:
    """A call over OTLP/HTTP."""
    return httpx.post(
        desk.http_endpoint + "/v1/traces",
        content=to_request(call.spans).SerializeToString(),
        headers={"content-type": "application/x-protobuf"},
        timeout=20,
    )


def counters(desk: Desk) -> dict[str, int]:
    """All counters."""
    return {name: value for name, value, _, _ in desk.store.rows("counters")}


def on_writer(desk: Desk, pragma: str) -> None:
    """A setting of the connection that writes."""
    desk.store.write(lambda connection: connection.execute(pragma).fetchall()).result(5)


def grpc_code(desk: Desk, call: CallMaker) -> grpc.StatusCode:
    """What OTLP/gRPC answers to a call."""
    with grpc.insecure_channel(desk.grpc_endpoint.removeprefix("http://")) as channel:
        try:
            TraceServiceStub(channel).Export(to_request(call.spans), timeout=20)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def fill(desk: Desk) -> list[CallMaker]:
    """Calls that were acknowledged until one was put off."""
    kept = []
    for number in range(5_000):
        call = whole_call(f"full {number}")
        answer = post(desk, call)
        if answer.status_code != 200:
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
            assert "full" in answer.text
            return kept
        kept.append(call)
    raise AssertionError("the disk has no end")


def assert_it_recovers(desk: Desk, kept: list[CallMaker], room: Callable[[], Any]) -> None:
    """While full: retryable answers. With room: all that was acknowledged, and more."""
    assert kept
    refused = whole_call("refused")
    # What fits no more may be anything: whatever comes now, no answer is a lie.
    answers = {grpc_code(desk, refused) for _ in range(2)}
    assert answers <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK}
    wait_until(lambda: desk.store.trouble is None or desk.store.trouble.kind == FULL)
    room()
    wait_until(lambda: post(desk, refused).status_code == 200)
    desk.wait_for_verdict(refused.trace_id)
    desk.wait_until_sorted()
    wait_until(lambda: desk.store.trouble is None)
    for call in kept:
        assert len(traces.spans_of(desk.store, bytes.fromhex(call.trace_id))) == len(call.spans)
    wait_until(lambda: counters(desk).get("trouble.full", 0) >= 1)
    wait_until(lambda: counters(desk).get("refused.busy", 0) >= 1)
    assert "Writes that failed: no room left" in httpx.get(desk.web_url + "/received").text


def test_a_file_without_room_puts_senders_off_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own "database or disk is full", by a limit on its pages; the banner stands while it lasts."""
    with Desk(tmp_path / "d.sqlite", timing=QUICK) as desk:
        pages = desk.store.write(lambda c: c.execute("PRAGMA page_count").fetchone()[0]).result(5)
        on_writer(desk, f"PRAGMA max_page_count = {pages + 40}")
        monkeypatch.setattr(stores, "CALM_SECONDS", 3600)
        kept = fill(desk)
        assert desk.store.trouble is not None
        for path in ("/", "/received", "/nothing"):
            assert "No room: nothing new is kept" in httpx.get(desk.web_url + path).text
            assert "--keep-size" in httpx.get(desk.web_url + path).text
        monkeypatch.setattr(stores, "CALM_SECONDS", 0.2)
        assert_it_recovers(desk, kept, lambda: on_writer(desk, "PRAGMA max_page_count = 1000000"))
        assert "No room" not in httpx.get(desk.web_url).text


def on_small_disk(disk: str) -> None:
    """Runs in a process of its own, which alone sees this disk."""
    path = Path(disk)
    stores.PROBE_SECONDS, stores.CALM_SECONDS = 0.05, 0.2
    ballast = path / "ballast"
    ballast.write_bytes(bytes(1_200_000))
    with Desk(path / "d.sqlite", timing=QUICK) as desk:
        assert_it_recovers(desk, fill(desk), ballast.unlink)
    print("all is well")  # noqa: T201 - to the test that runs it


def test_a_disk_without_room_puts_senders_off_and_recovers(tmp_path: Path) -> None:
    """A real disk of 3 MB, filled by another file and by calls; where none can be mounted see above."""
    mount = f"mount -t tmpfs -o size=3m tmpfs {tmp_path}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here (unshare -rm); the limit on pages stands for it")
    code = f"from test_desk_trouble import on_small_disk; on_small_disk({str(tmp_path)!r})"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$0" -c "$1"', sys.executable, code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "all is well\n"), done.stderr


def test_a_locked_file_puts_senders_off_and_recovers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another program's write transaction: all that wait are put off, it is logged once, and it ends."""
    caplog.set_level(logging.INFO, "cxotel.desk")
    with Desk(tmp_path / "d.sqlite", timing=QUICK) as desk:
        on_writer(desk, "PRAGMA busy_timeout = 20")
        other = sqlite3.connect(tmp_path / "d.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        call = whole_call("locked")
        assert [post(desk, call).status_code for _ in range(3)] == [503] * 3
        assert grpc_code(desk, call) == grpc.StatusCode.UNAVAILABLE
        assert "File locked" in httpx.get(desk.web_url).text
        other.execute("ROLLBACK")
        other.close()
        wait_until(lambda: desk.store.trouble is None)
        assert "File locked" not in httpx.get(desk.web_url).text
        assert post(desk, call).status_code == 200
        desk.wait_for_verdict(call.trace_id)
        assert wait_until(lambda: counters(desk).get("trouble.locked", 0)) >= 4
        assert wait_until(lambda: counters(desk).get("refused.busy", 0)) == 4
    said = [record.getMessage() for record in caplog.records]
    assert [text.split(": ")[0].partition(" (")[0] for text in said] == [
        f"{tmp_path / 'd.sqlite'} cannot be used",
        f"{tmp_path / 'd.sqlite'} is written again",
    ]


def test_an_open_page_is_told_of_trouble_and_of_its_end(tmp_path: Path) -> None:
    """Without any verdict; also the page of one call."""
    with Desk(tmp_path / "d.sqlite", timing=QUICK) as desk:
        call = whole_call("open")
        assert post(desk, call).status_code == 200
        desk.wait_for_verdict(call.trace_id)
        on_writer(desk, "PRAGMA busy_timeout = 20")
        address = f"{desk.web_url}/events?call={call.trace_id}"
        with httpx.Client(timeout=10) as client, client.stream("GET", address) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 2000"
            other = sqlite3.connect(tmp_path / "d.sqlite", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            assert post(desk, call).status_code == 503
            assert next(line for line in lines if line) == "event: change"
            assert "File locked" in httpx.get(desk.call_url(call.trace_id)).text
            other.close()
            assert next(line for line in lines if line.startswith("event")) == "event: change"
            assert "File locked" not in httpx.get(desk.call_url(call.trace_id)).text


def test_writes_that_wait_for_a_locked_file_wait_once_for_all(tmp_path: Path) -> None:
    """A group of writes is given up together: each by itself would wait 5 s."""
    store = Store(tmp_path / "d.sqlite")
    store.write(lambda c: c.execute("PRAGMA busy_timeout = 300").fetchall()).result(5)
    tries = []
    other = sqlite3.connect(tmp_path / "d.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    futures = [store.write(tries.append) for _ in range(40)]
    for future in futures:
        with pytest.raises(StoreBusyError, match="locked"):
            future.result(10)
    assert store.trouble.kind == LOCKED
    assert tries == []
    other.close()
    store.close()


def spoil(path: Path, start: int, size: int) -> None:
    """Overwrite bytes of a file."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * size)


def damaged(path: Path, *, schema: bool) -> None:
    """A desk's file with calls in it, its schema or all else overwritten."""
    with Desk(path, timing=QUICK) as desk:
        for number in range(40):
            assert post(desk, whole_call(f"damaged {number}")).status_code == 200
        desk.wait_until_sorted()
    pages = path.stat().st_size // 4096
    # Page 1 holds the root of the schema behind its first 100 bytes.
    spoil(path, 100 if schema else 4096, 3_996 if schema else (pages - 1) * 4096)


def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """At the start: one sentence, with the command to see more."""
    damaged(tmp_path / "d.sqlite", schema=True)
    with pytest.raises(StoreError, match=r"malformed. It is damaged: see `cxotel db check --db .*backup"):
        Store(tmp_path / "d.sqlite")


def test_a_file_damaged_in_its_tables_does_not_start(tmp_path: Path) -> None:
    """What is found only when calls are taken up says the same."""
    damaged(tmp_path / "d.sqlite", schema=False)
    with pytest.raises(StoreError, match="cxotel db check"):
        Desk(tmp_path / "d.sqlite", timing=QUICK).start()


def test_a_file_damaged_while_running_is_said_on_every_page(tmp_path: Path) -> None:
    """Senders are told to come back, pages say why with 503, nothing spins; a backup puts it right."""
    path = tmp_path / "d.sqlite"
    with Desk(path, timing=QUICK) as desk:
        call = whole_call("before")
        assert post(desk, call).status_code == 200
        desk.wait_for_verdict(call.trace_id)
        on_writer(desk, "SELECT 1")
        shutil.copy(path, tmp_path / "copy")
    shutil.copy(path, tmp_path / "backup")
    with Desk(path, timing=QUICK) as desk:
        spoil(path, 4096, path.stat().st_size - 4096)
        answers = [post(desk, whole_call(f"after {number}")).status_code for number in range(3)]
        assert set(answers) <= {200, 503}
        answer = httpx.get(f"{desk.web_url}/call/{call.trace_id}")
        assert answer.status_code == 503
        assert desk.store.trouble.kind == DAMAGED
        assert "File damaged" in answer.text
        assert "cxotel db check" in answer.text
        # Known to be damaged, it takes nothing more: that would go with the file.
        assert [post(desk, whole_call(f"late {number}")).status_code for number in range(5)] == [503] * 5
    for name in ("d.sqlite", "d.sqlite-wal", "d.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "backup").rename(path)
    with Desk(path, timing=QUICK) as desk:
        assert desk.wait_for_verdict(call.trace_id)["state"] == "final"


def test_serve_says_in_one_line_that_its_file_is_damaged(tmp_path: Path) -> None:
    """Exit status 1, no trace of Python."""
    damaged(tmp_path / "d.sqlite", schema=True)
    command = [sys.executable, "-m", "cxotel", "serve", "--db", str(tmp_path / "d.sqlite")]
    ports = ["--grpc-port", "0", "--http-port", "0", "--web-port", "0"]
    done = subprocess.run([*command, *ports], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
