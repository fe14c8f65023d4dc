"""`cxotel db`: check, export, import, vacuum, backup, erase, freeze, on a running desk and a stopped one."""

from __future__ import annotations

import gzip
import json
import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner, Result
from desk_calls import CallMaker, ids, whole_call
from desk_sending import judge, post
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from cxotel.cli import main
from cxotel.desk import erasing, outbox, wire
from cxotel.desk._sql import sql
from cxotel.desk.app import Desk
from cxotel.desk.dbfile import File
from cxotel.desk.settings import Keep, Timing
from cxotel.otlp.proto import to_request

if TYPE_CHECKING:
    from collections.abc import Iterator

QUICK = Timing(grace=0.05, settle=0.02, idle=3600)
KEPT = ("span", "log", "call", "verdict", "facet", "warning", "alias", "call_key", "inbox", "outbox")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the desk's file is."""
    return tmp_path / "d.sqlite"


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    """A desk that runs."""
    with Desk(path, timing=QUICK, keep=Keep(0, 0)) as running:
        yield running


def run(path: Path, *arguments: str, status: int | None = 0, **more: Any) -> Result:
    """`cxotel db ...` on a file, with its exit status, if that is known."""
    name, *rest = arguments
    done = CliRunner().invoke(main, ["db", name, "--db", str(path), *rest], **more)
    assert status in (None, done.exit_code), (done.output, done.exception)
    return done


def log_of(text: str, trace_id: str = "", **attributes: str) -> ExportLogsServiceRequest:
    """A log record."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(trace_id=bytes.fromhex(trace_id))
    record.body.string_value = text
    for name, value in attributes.items():
        record.attributes.add(key=name.replace("_", ".")).value.string_value = value
    return request


def someone(key: str, customer: str, **more: Any) -> CallMaker:
    """A call of a customer."""
    call = whole_call(key, **more)
    for span in call.spans:
        if "cx.customer.ref" in span.attributes:
            span.attributes["cx.customer.ref"] = customer
    return call


def rows(path: Path) -> dict[str, int]:
    """Rows of each table."""
    connection = sqlite3.connect(path)
    found = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in KEPT}
    connection.close()
    return found


def bytes_of(path: Path) -> bytes:
    """All that is in the file and its log."""
    log = path.with_name(path.name + "-wal")
    return path.read_bytes() + (log.read_bytes() if log.exists() else b"")


def test_a_file_that_is_well_is_said_to_be_while_the_desk_runs(desk: Desk, path: Path) -> None:
    """With status 0, as text and as JSON."""
    judge(desk, whole_call("well"))
    assert run(path, "check").output == f"{path} is well.\n"
    assert json.loads(run(path, "check", "--json").output) == {"db": str(path), "ok": True, "problems": []}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE word SET calls = 7 WHERE kind = 'queue'",
            "queue 'billing': 7 calls are said to have it, 1 do",
        ),
        ("DELETE FROM facet WHERE word IN (SELECT id FROM word WHERE kind = 'site')", "by what it has: site"),
        ("DELETE FROM span", "has received spans and keeps none"),
        ("DELETE FROM call", "a verdict of call"),
        ("DELETE FROM call", "spans of trace"),
        ("DELETE FROM origin", "what it refers to is not in origin"),
    ],
)
def test_what_does_not_fit_together_is_named(path: Path, statement: str, said: str) -> None:
    """With status 1 and what to do."""
    with Desk(path, timing=QUICK) as desk:
        judge(desk, whole_call("wrong"))
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()
    text = run(path, "check", status=1).output
    assert said in text
    assert "put a backup in its place" in text


def test_a_damaged_file_a_foreign_one_and_none_are_said(path: Path, tmp_path: Path) -> None:
    """In one sentence each, with status 1."""
    assert "no such file" in run(path, "check", status=1).output
    path.write_text("dear diary " * 1000)
    assert "is damaged" in run(path, "check", status=1).output
    connection = sqlite3.connect(tmp_path / "other.sqlite")
    connection.execute("CREATE TABLE mine (a)")
    connection.close()
    assert "not a desk's" in run(tmp_path / "other.sqlite", "check", status=1).output
    connection = sqlite3.connect(tmp_path / "old.sqlite")
    connection.executescript(sql("schema_1"))
    connection.close()
    for command in ("check", "export"):
        said = run(tmp_path / "old.sqlite", command, status=1).output
        assert said.endswith("has schema 1, this cxotel reads 2: start `cxotel serve` with it once\n")
    path.unlink()
    with Desk(path, timing=QUICK) as desk:
        judge(desk, *(whole_call(f"{number}") for number in range(30)))
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * (path.stat().st_size - 8192))
    assert "damaged" in run(path, "check", status=1).output


def test_of_a_damaged_file_the_calls_that_can_be_read_are_exported(path: Path, tmp_path: Path) -> None:
    """Each that cannot is named, the others can be imported into a new file; the status is 1."""
    calls = [whole_call(f"{number}") for number in range(60)]
    with Desk(path, timing=QUICK) as desk:
        judge(desk, *calls)
    size = path.stat().st_size // 4096
    out, told = tmp_path / "calls.jsonl", ""
    with path.open("r+b") as file:
        whole = file.read()
        for page in range(size // 3, size):  # until one of them is a page of spans
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)
            file.flush()
            told = run(path, "export", "--out", str(out), status=None).stderr
            if "cannot be read" in told:
                break
            file.seek(0)
            file.write(whole)
    assert "cannot be read: database disk image is malformed" in told
    assert "could not be read" in told
    lines = len(out.read_text().splitlines())
    assert 0 < lines < len(calls)
    assert f"{lines} calls exported" in told
    new = tmp_path / "new" / "desk.sqlite"
    run(new, "import", str(out))
    with Desk(new, timing=QUICK) as desk:
        desk.wait_until_sorted()
        assert len(desk.store.rows("traces_since", 0)) == lines


def test_what_is_exported_is_imported_and_judged_alike(desk: Desk, path: Path, tmp_path: Path) -> None:
    """Out of a desk that runs into another that runs; once more counts nothing twice."""
    calls = [whole_call("one", queue=74), whole_call("two", lookup=11.5)]
    judge(desk, *calls)
    post(desk, log_of("said", calls[0].trace_id), "logs")
    desk.wait_until_sorted()
    out = tmp_path / "calls.jsonl"
    assert "2 calls exported" in run(path, "export", "--out", str(out)).stderr
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    trees = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(key for tree in trees for key in tree) == ["resourceLogs", "resourceSpans", "resourceSpans"]
    assert CliRunner().invoke(main, ["judge", "--json", str(out)]).output.count("lost_seconds") >= 2
    packed = tmp_path / "calls.jsonl.gz"
    packed.write_bytes(gzip.compress(out.read_bytes()))
    with Desk(tmp_path / "other.sqlite", timing=QUICK) as other:
        for name in (out, packed):
            done = run(tmp_path / "other.sqlite", "import", str(name))
            assert "the desk judges them now" in done.output
            other._worker.wake()
            for call in calls:
                found = other.wait_for_verdict(call.trace_id)
                assert found["attributes"] == desk.wait_for_verdict(call.trace_id)["attributes"]
        other.wait_until_sorted()
    assert rows(tmp_path / "other.sqlite") | {"inbox": 0} == rows(path)


def test_some_calls_are_exported_by_id_key_and_time(desk: Desk, path: Path) -> None:
    """And what is not there is said, with status 1."""
    old = whole_call("old")
    new = whole_call("new", start=time.time_ns() - 400 * 10**9)
    judge(desk, old, new)

    def keys(*arguments: str) -> list[str]:
        lines = run(path, "export", *arguments).stdout.splitlines()
        return [next(key for key in ("old", "new") if f'"{key}"' in line) for line in lines]

    assert keys() == ["old", "new"]
    assert keys("--call", new.trace_id) == ["new"]
    assert keys("--key", "old", "--key", "new") == ["old", "new"]
    assert keys("--key", "old", "--namespace", "default") == ["old"]
    assert keys("--since", "1h") == ["new"]
    for since in ("2020-01-01", "0001-01-01", "999999w"):
        assert keys("--since", since) == ["old", "new"]
    assert keys("--since", "9999-01-01") == []
    for arguments in (["--key", "none"], ["--key", "old", "--namespace", "tenant"], ["--call", "ab" * 16]):
        assert "no such call" in run(path, "export", *arguments, status=1).output
    for arguments in (["--call", "12"], ["--since", "yesterday"]):
        assert run(path, "export", *arguments, status=2).output


def test_a_bad_line_is_named_and_the_rest_is_loaded(path: Path, tmp_path: Path) -> None:
    """Into a file whose desk is stopped: judged when it is started."""
    Desk(path, timing=QUICK).start().stop()
    call = whole_call("rest")
    line = json.dumps(wire.to_json(to_request(call.spans)))
    bad = json.loads(line)
    bad["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["startTimeUnixNano"] = "soon"
    out = tmp_path / "in.jsonl"
    out.write_text(
        '{"resourceSpans": 7}\nno json\n' + line + "\n" + json.dumps(bad) + '\n{"error": "none"}\n'
    )
    done = run(path, "import", str(out))
    assert "judges them when it is started" in done.stdout
    for number in (1, 2, 4, 5):
        assert f"in.jsonl, line {number}: " in done.stderr
    with Desk(path, timing=QUICK) as desk:
        assert desk.wait_for_verdict(call.trace_id)["state"] == "final"
    out.write_text("nothing\n")
    assert json.loads(run(path, "import", "--json", str(out), status=1).stdout)["read"] == 0


def test_what_jaeger_answers_is_imported(path: Path, tmp_path: Path) -> None:
    """As `cxotel judge` reads it."""
    Desk(path, timing=QUICK).start().stop()
    call = whole_call("wrapped")
    tree = {"result": wire.to_json(to_request(call.spans))}
    done = run(path, "import", "-", input=json.dumps(tree, indent=1))
    assert f"{len(call.spans)} span" in done.stdout
    with Desk(path, timing=QUICK) as desk:
        assert desk.wait_for_verdict(call.trace_id)["state"] == "final"


def test_vacuum_is_for_a_stopped_desk(path: Path) -> None:
    """Refused with the reason while it runs; afterwards the file is smaller, and gives pages back."""
    with Desk(path, timing=QUICK) as desk:
        judge(desk, *(whole_call(f"{number}") for number in range(20)))
        assert "in use by another desk" in run(path, "vacuum", status=1).output
    size = path.stat().st_size
    run(path, "erase", "--customer", "c:7f3a90", "--yes")
    run(path, "vacuum")
    assert path.stat().st_size < size / 2
    assert run(path, "check").exit_code == 0


def test_a_backup_is_whole_while_calls_come_in(desk: Desk, path: Path, tmp_path: Path) -> None:
    """Of one instant, checked, for its owner alone; not over another file unless told to."""
    judge(desk, whole_call("before"))
    stop = threading.Event()

    def load() -> None:
        for number in range(100_000):
            if stop.is_set():
                return
            post(desk, to_request(whole_call(f"load {number}").spans))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        copy = tmp_path / "copy.sqlite"
        assert f"copied to {copy}" in run(path, "backup", str(copy)).output
        assert "is there already" in run(path, "backup", str(copy), status=1).output
        assert json.loads(run(path, "backup", "--force", "--json", str(copy)).output)["bytes"] > 0
        link = tmp_path / "link.sqlite"
        link.symlink_to(path)
        for own in (path, link, path.with_name(path.name + "-wal"), path.with_name(path.name + ".lock")):
            for command in (("backup", "--force"), ("export", "--out")):
                assert "the desk's own file" in run(path, *command, str(own), status=1).output
        assert "is there already" in run(path, "backup", "--force", "/dev/null", status=1).output
    finally:
        stop.set()
        thread.join()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert not copy.with_name("copy.sqlite.part").exists()
    assert run(copy, "check").exit_code == 0
    with Desk(copy, timing=QUICK) as restored:
        assert restored.wait_for_verdict(ids("before")[0])["state"] == "final"


def test_an_erased_call_is_gone_for_good(desk: Desk, path: Path) -> None:
    """While the desk runs: no row, page or byte of it is left, and late spans do not bring it back."""
    secret, other = whole_call("a-very-special-key"), whole_call("another")
    judge(desk, secret, other)
    post(desk, log_of("a-very-special-record", secret.trace_id), "logs")
    desk.wait_until_sorted()
    run(path, "freeze", "--call", secret.trace_id)
    assert b"a-very-special-" in bytes_of(path)
    asked = run(path, "erase", "--key", "a-very-special-key", input="n\n", status=1)
    assert "frozen" in asked.output
    assert secret.trace_id in asked.output
    assert httpx.get(desk.call_url(secret.trace_id)).status_code == 200
    done = json.loads(run(path, "erase", "--key", "a-very-special-key", "--yes", "--json").stdout)
    assert done == {
        "calls": 1,
        "spans": len(secret.spans),
        "logs": 1,
        "requests": 0,
        "wiped": True,
        "traces": [secret.trace_id],
    }
    assert b"a-very-special-" not in bytes_of(path)
    assert bytes.fromhex(secret.spans[3].span_id) not in bytes_of(path)
    assert httpx.get(desk.call_url(secret.trace_id)).status_code == 404
    post(desk, to_request(secret.spans))
    desk.wait_until_sorted()
    assert httpx.get(desk.call_url(secret.trace_id)).status_code == 404
    assert desk.wait_for_verdict(other.trace_id)["state"] == "final"
    text = httpx.get(desk.web_url + "/received").text
    assert "Calls erased" in text
    assert "Spans refused: of a call that was erased" in text
    assert run(path, "check").exit_code == 0
    judge(desk, whole_call("after"))  # of an origin that another process may have changed


def test_neither_its_origin_nor_a_message_about_it_outlives_an_erased_call(desk: Desk, path: Path) -> None:
    """Resource and scope that nothing else has, and what was odd in it, also when it is sent again."""
    call = whole_call("odd one")
    call.spans[2].name = "a-telling-name"
    call.spans[2].attributes |= {"x": "y" * 70_000}
    call.spans[3].service = "a-telling-service"
    judge(desk, call)
    assert "a-telling-name" in httpx.get(desk.web_url + "/received.json").text
    run(path, "erase", "--call", call.trace_id, "--yes")
    for _ in range(2):
        desk.wait_until_sorted()
        assert "a-telling-name" not in httpx.get(desk.web_url + "/received.json").text
        with desk.store.reading() as file:
            origins = b"".join(row[0] for row in file.execute("SELECT resource FROM origin"))
        assert b"a-telling-service" not in origins
        post(desk, to_request(call.spans))


def test_all_calls_of_a_customer_are_erased(desk: Desk, path: Path) -> None:
    """Those that are listed by another customer, still run, or only have a log record of theirs as well."""
    hers = [someone(f"hers {number}", "cust-17") for number in range(2)]
    shared, running, logged = someone("shared", "cust-5"), someone("running", "cust-17"), whole_call("logged")
    shared.spans[4].attributes["cx.customer.ref"] = "cust-17"
    running.spans[2].attributes["cx.customer.ref"] = "cust-17"
    running.spans.pop()
    alike = someone("alike", "cust-171")
    judge(desk, *hers, shared, logged, alike)
    post(desk, to_request(running.spans))
    post(desk, log_of("hers", logged.trace_id, cx_customer_ref="cust-17"), "logs")
    post(desk, log_of("hers too", cx_customer_ref="cust-17"), "logs")
    desk.wait_until_sorted()
    done = json.loads(run(path, "erase", "--customer", "cust-17", "--yes", "--json").stdout)
    assert (done["calls"], done["logs"], len(done["traces"])) == (5, 2, 5)
    assert (rows(path)["call"], rows(path)["log"]) == (1, 0)
    assert b"cust-17" not in bytes_of(path).replace(b"cust-171", b"")
    assert "nothing of that" in run(path, "erase", "--customer", "cust-17", "--yes", status=1).output


def test_other_trace_ids_of_a_call_are_erased_with_it(desk: Desk, path: Path) -> None:
    """Whichever of them is named."""
    call, part = whole_call("main"), whole_call("part")
    part.spans = part.spans[:3]
    part.spans[1].attributes["cx.call.alias"] = ["main"]
    judge(desk, call)
    post(desk, to_request(part.spans))
    post(desk, log_of("of the part", part.trace_id), "logs")
    desk.wait_until_sorted()
    run(path, "erase", "--call", call.trace_id, "--yes")
    for one in (call, part):
        post(desk, to_request(one.spans))
    desk.wait_until_sorted()
    assert {name: number for name, number in rows(path).items() if number} == {}


def test_import_says_what_of_erased_calls_is_not_kept(desk: Desk, path: Path, tmp_path: Path) -> None:
    """One that was erased, beside one that was not."""
    gone, new = whole_call("gone"), whole_call("new")
    judge(desk, gone)
    run(path, "erase", "--call", gone.trace_id, "--yes")
    out = tmp_path / "in.jsonl"
    out.write_text("\n".join(json.dumps(wire.to_json(to_request(one.spans))) for one in (gone, new)))
    assert "What is of 1 erased trace among them is not kept." in run(path, "import", str(out)).stdout
    assert json.loads(run(path, "import", "--json", str(out)).stdout)["erased"] == 1


def test_what_says_later_that_it_is_of_an_erased_call_is_refused(desk: Desk, path: Path) -> None:
    """By an alias, with all that comes of that trace from then on."""
    call, part = whole_call("main"), whole_call("part")
    for span in part.spans:
        span.attributes["cx.call.alias"] = ["main"]
    judge(desk, call)
    run(path, "erase", "--key", "main", "--yes")
    post(desk, to_request(part.spans))
    post(desk, to_request(whole_call("part").spans))
    desk.wait_until_sorted()
    assert {name: number for name, number in rows(path).items() if number} == {}


def test_a_frozen_part_freezes_the_call(desk: Desk, path: Path) -> None:
    """When an alias makes it one with another."""
    part, call = whole_call("part"), whole_call("whole")
    judge(desk, part)
    run(path, "freeze", "--key", "part")
    call.spans[1].attributes["cx.call.alias"] = ["part"]
    judge(desk, call)
    with desk.store.reading() as connection:
        found = connection.execute("SELECT trace_id, frozen FROM call").fetchall()
    assert found == [(bytes.fromhex(call.trace_id), 1)]


def test_what_waits_to_be_sorted_or_handed_on_is_erased_too(path: Path) -> None:
    """Requests with others' spans keep those; what is known only from there is found by key and customer."""
    Desk(path, timing=QUICK).start().stop()
    first, second, third = someone("first", "cust-1"), someone("second", "cust-2"), someone("third", "cust-3")
    both = to_request(first.spans + second.spans)
    log = log_of("first", first.trace_id)
    with File(path) as file:
        for request, signal in ((both, "traces"), (log, "logs"), (to_request(third.spans), "traces")):
            data = request.SerializeToString()
            spoiled = json.dumps({first.trace_id: 2}) if request is both else ""
            file.transaction(
                lambda to, s=signal, d=data, p=spoiled: to.execute(sql("insert_inbox"), (1, s, d, p))
            )
            items = sum(1 for _ in outbox.items_in(signal, request))
            file.transaction(lambda to, s=signal, d=data, n=items: outbox.put(to, s, n, d, 1))
    done = json.loads(run(path, "erase", "--customer", "cust-1", "--yes", "--json").stdout)
    assert done["requests"] == 4
    done = run(path, "erase", "--key", "third", "--yes")
    assert f"{len(third.spans)} spans" in done.stdout
    with File(path) as file:
        ((_, _, data, spoiled),) = file.rows("inbox_after", 0, 9)
        assert spoiled == ""
        expected = [span.SerializeToString() for span in outbox.items_in("traces", to_request(second.spans))]
        assert [
            s.SerializeToString() for s in outbox.items_in("traces", wire.decode(wire.TRACES, data))
        ] == expected
        with file.reading() as connection:
            assert connection.execute("SELECT items, data FROM outbox").fetchall() == [
                (len(second.spans), data)
            ]
    assert bytes.fromhex(first.spans[3].span_id) not in bytes_of(path)
    with Desk(path, timing=QUICK) as desk:
        assert desk.wait_for_verdict(second.trace_id)["state"] == "final"
        assert rows(path)["call"] == 1


def test_a_judgement_under_way_does_not_bring_an_erased_call_back(desk: Desk, path: Path) -> None:
    """It finds no call to write to."""
    call = whole_call("under way")
    judge(desk, call)
    with File(path) as file:
        columns = file.rows("due_calls", 0) or None
    assert columns is None
    from cxotel.desk.judging import _due, _Judgement

    with desk.store.reading() as connection:
        row = connection.execute(
            "SELECT trace_id, state, life, first_received, corrections, summary FROM call"
        ).fetchone()
    judgement = _Judgement(desk.store, desk._worker._rules, _due(*row), time.time_ns())
    run(path, "erase", "--call", call.trace_id, "--yes")
    desk.store.write(judgement.save).result(5)
    assert {name: number for name, number in rows(path).items() if number} == {}


def test_erasing_asks_for_something(desk: Desk, path: Path) -> None:
    """Wrong usage without; a trace that is not there is said and gets no tombstone."""
    assert "say what to erase" in run(path, "erase", "--yes", status=2).output
    assert "nothing of that" in run(path, "erase", "--call", "ab" * 16, "--yes", status=1).output
    assert desk.store.rows("is_erased", bytes.fromhex("ab" * 16)) == []


def test_freezing_and_back(desk: Desk, path: Path) -> None:
    """By id or key; what is not there is said."""
    call = whole_call("ice")
    judge(desk, call)
    assert run(path, "freeze", "--key", "ice").output == "1 call frozen: kept whatever their age.\n"
    with desk.store.reading() as connection:
        assert connection.execute("SELECT frozen FROM call").fetchall() == [(1,)]
    assert run(path, "unfreeze", "--call", call.trace_id).output == "1 call unfrozen.\n"
    assert "no such call" in run(path, "freeze", "--key", "fire", status=1).output
    assert run(path, "freeze", status=2).output


def test_an_empty_key_and_a_file_that_cannot_be_made_are_said(path: Path, tmp_path: Path) -> None:
    """In a sentence each."""
    Desk(path, timing=QUICK).start().stop()
    for name in ("export", "freeze", "erase"):
        assert "'' is no call key" in run(path, name, "--key", "", status=2).output
    (tmp_path / "in.jsonl").write_text("{}\n")
    for nowhere in (Path("/proc/x.sqlite"), tmp_path / "in.jsonl" / "x.sqlite"):
        done = run(nowhere, "import", str(tmp_path / "in.jsonl"), status=1)
        assert done.output.startswith("Error: ")


def test_a_file_that_another_program_holds_is_said(
    desk: Desk, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After waiting for it."""
    from cxotel.desk import dbfile

    monkeypatch.setattr(dbfile, "BUSY_SECONDS", 0.05)
    judge(desk, whole_call("held"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert "database is locked" in run(path, "freeze", "--key", "held", status=1).output
    other.close()


def test_many_free_pages_are_wiped_in_steps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the file shrinks."""
    monkeypatch.setattr(erasing, "MOST_PAGES", 7)
    with Desk(path, timing=QUICK) as desk:
        judge(desk, *(whole_call(f"{number}") for number in range(12)))
    size = path.stat().st_size
    done = json.loads(run(path, "erase", "--customer", "c:7f3a90", "--yes", "--json").stdout)
    assert (done["calls"], done["wiped"]) == (12, True)
    assert path.stat().st_size < size * 0.6


def test_help_names_each_subcommand() -> None:
    """With its option for the file and the variable."""
    for name in ("check", "export", "import", "vacuum", "backup", "erase", "freeze", "unfreeze"):
        assert name in CliRunner().invoke(main, ["db", "--help"]).output
        assert "CXOTEL_DESK_DB" in CliRunner().invoke(main, ["db", name, "--help"]).output
