"""Fuzzes what the desk does with a request's body: unpack, decode, sort, keep, judge, draw.

    python tests/fuzz/bodies.py [--runs 1000000] [--seed 1] [--workers 2]

Behind `make fuzz`. Inputs come from atheris (libFuzzer), led by the lines of the desk's code that they reach,
from a corpus of real calls in both encodings. An input's first byte says what it is: protobuf or JSON, which
signal, zipped or not. A body may be refused by the errors that the servers answer with; anything else that is
raised is a crash, and so are memory beyond RSS_MB and an input that takes longer than SLOW_SECONDS. Inputs
that crash are kept and printed.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

with atheris.instrument_imports(include=["cxotel.desk", "cxotel.otlp"]):
    from cxotel.desk import intake, onecall, wire
    from cxotel.desk.judging import Worker
    from cxotel.desk.lives import Rules
    from cxotel.desk.receiver import Receiver
    from cxotel.desk.settings import MAX_BODY
    from cxotel.desk.store import Store

from desk_calls import whole_call

from cxotel.impact.lifecycle import Times
from cxotel.otlp.proto import to_request

VECTORS = Path(__file__).resolve().parents[2] / "spec" / "vectors"
RSS_MB = 1024
SLOW_SECONDS = 20
KEPT = 1_000_000_000
# Writing and judging cost a hundred times what reading does: every so many inputs that can be read.
JUDGED_EVERY = 20
# A file that grows for ever would be what is measured in the end.
FILE_OF = 2_000
GZIP, JSON_BIT, SIGNAL_BITS = 8, 4, 3


class Desk:
    """A desk without ports, whose clock jumps past the grace with every input."""

    def __init__(self) -> None:
        self.now, self.inputs = time.time_ns(), 0
        self.store: Store | None = None

    def take(self, signal: wire.Signal, request: Any, spoiled: list[wire.Spoiled]) -> None:
        """Keep a request, judge its calls, and draw them."""
        if self.store is None or self.inputs % FILE_OF == 0:
            if self.store is not None:
                self.store.close()
            self.store = Store(":memory:")
            rules = Rules(Times(0, KEPT, 10 * KEPT), 0, forwards=True)
            self.worker = Worker(self.store, rules, lambda _: None, lambda: self.now)
            self.receiver = Receiver(self.store, lambda: None, lambda: self.now)
        self.inputs += 1
        self.receiver.accept(signal, request, spoiled)
        for _ in range(2):
            while not self.worker.round():
                pass
            self.now += 20 * KEPT
        for (trace_id,) in self.store.rows("calls_given_up"):
            raise AssertionError(f"a call was given up: {trace_id.hex()}")
        with self.store.reading() as file:
            latest = file.execute(
                "SELECT trace_id FROM call WHERE is_call ORDER BY started DESC LIMIT 3"
            ).fetchall()
        for (trace_id,) in latest:
            onecall.load(self.store, trace_id)


desk = Desk()
# Inputs that were bodies, and those of them that were kept and judged; shared with the process that waits.
counts: Any = None


def one(data: bytes) -> None:
    """One input."""
    if not data:
        return
    how, body = data[0], data[1:]
    signal = wire.SIGNALS[(how & SIGNAL_BITS) % 3]
    try:
        if how & GZIP:
            body = wire.gunzip(body, MAX_BODY)
        request, spoiled = (
            wire.decode_json(signal, body) if how & JSON_BIT else (wire.decode(signal, body), [])
        )
    except (wire.BadBodyError, wire.TooLargeError):
        return
    counts[0] += 1
    batch = intake.sort(signal.name, request, desk.now)
    wire.response_body(wire.answer(signal, batch.refused, batch.message), as_json=bool(how & JSON_BIT))
    if counts[0] % JUDGED_EVERY == 0:
        counts[1] += 1
        desk.take(signal, request, spoiled)


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """Half of the inputs are changed as bytes, the others as what they mean: most of those can be read."""
    rng = random.Random(seed)
    try:
        changed = _mutate_tree(data, rng) if data and rng.random() < 0.5 else b""
    except (ValueError, wire.BadBodyError, wire.TooLargeError):
        changed = b""
    return changed if 0 < len(changed) <= most else bytes(atheris.Mutate(data, most))


def _mutate_tree(data: bytes, rng: random.Random) -> bytes:
    """The input with one to three things in its JSON changed; in the encoding it had, or the other."""
    how, body = data[0] & ~GZIP, data[1:]
    if data[0] & GZIP:
        body = wire.gunzip(body, MAX_BODY)
    signal = wire.SIGNALS[(how & SIGNAL_BITS) % 3]
    tree = json.loads(body) if how & JSON_BIT else wire.to_json(wire.decode(signal, body))
    for _ in range(rng.randint(1, 3)):
        _change(tree, rng)
    text = json.dumps(tree).encode(errors="surrogatepass")
    if rng.random() < 0.5:
        return bytes([how | JSON_BIT]) + text
    request, _ = wire.decode_json(signal, text)
    return bytes([how & ~JSON_BIT]) + request.SerializeToString()


def _change(tree: Any, rng: random.Random) -> None:
    places: list[tuple[Any, Any]] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, (dict, list)):
            for key in node if isinstance(node, dict) else range(len(node)):
                places.append((node, key))
                stack.append(node[key])
    if not places:
        return
    node, key = rng.choice(places)
    what = rng.random()
    if what < 0.2:
        del node[key]
    elif what < 0.4 and isinstance(node, list):
        node.insert(key, json.loads(json.dumps(node[key])))
    elif what < 0.6:
        other, place = rng.choice(places)
        try:
            node[key] = json.loads(json.dumps(other[place]))
        except (LookupError, ValueError):  # the list has become shorter
            return
    else:
        node[key] = copy.deepcopy(rng.choice(ODD))  # the next change may be inside of it


# What spans carry that should not be: wrong kinds, edges of numbers, names of ours, series, ids.
ODD: list[Any] = [
    *(None, True, False, 0, -1, 2**63 - 1, 2**64, -(2**63) - 1, 1.5, 1e308, "", [], {}),
    *(float("nan"), float("inf"), "0", "1", str(2**64 - 1), str(2**64), "NaN", "Infinity"),
    *("\x00", "\ud800", "é" * 50, "x" * 5000, "0" * 32, "0" * 16, "5b" * 16),
    *("cx.layer", "cx.call.alias", "cx.call.namespace", "cx.impact.model", "cx.media.to_agent.loss_pct"),
    *("call", "carrier", "call inbound", "call started", "media episode"),
    *("0*1000", "99*3 -1 NaN 1e9 - -*99999999"),
    *({"stringValue": "x"}, {"arrayValue": {"values": [{"stringValue": "k"}]}}),
    *({"kvlistValue": {"values": []}}, {"intValue": str(2**63 - 1)}, {"doubleValue": "NaN"}),
    *({"boolValue": True}, {"bytesValue": "eA=="}),
]


def corpus(folder: Path) -> None:
    """Real calls as inputs: both encodings, some zipped, logs and metrics too."""
    bodies: list[tuple[int, bytes]] = []
    for path in sorted(VECTORS.glob("*/input.json")):
        text = path.read_bytes()
        if len(text) < 20_000:
            request, _ = wire.decode_json(wire.TRACES, text)
            bodies += [(JSON_BIT, text), (0, request.SerializeToString())]
    whole = to_request(whole_call("fuzz").spans[:6])
    bodies.append((0, whole.SerializeToString()))
    bodies.append((GZIP, gzip.compress(whole.SerializeToString())))
    value = {"key": "k", "value": {"arrayValue": {"values": [{"doubleValue": 1.5}, {"bytesValue": "eA=="}]}}}
    record = {"timeUnixNano": "1", "traceId": "5b" * 16, "body": {"kvlistValue": {"values": [value]}}}
    point = {"timeUnixNano": "1", "asDouble": 2.0, "attributes": [value]}
    metric = {"name": "m", "gauge": {"dataPoints": [point]}}
    for signal, tree in (
        (wire.LOGS, {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}),
        (wire.METRICS, {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}),
    ):
        number, text = wire.SIGNALS.index(signal), json.dumps(tree).encode()
        request, _ = wire.decode_json(signal, text)
        bodies += [(JSON_BIT | number, text), (number, request.SerializeToString())]
    for number, (how, body) in enumerate(bodies):
        (folder / f"seed-{number}").write_bytes(bytes([how]) + body)


def work(folder: Path, runs: int, seed: int, shared: Any) -> None:
    """One process; atheris ends it."""
    global counts  # noqa: PLW0603 - a fuzzer calls a function of one argument
    counts = shared
    status = Path("/proc/self/status").read_text()
    most = int(status.partition("VmSize:")[2].split()[0]) * 1024 + RSS_MB * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))  # a MemoryError says where
    inputs = folder / "corpus"
    inputs.mkdir(parents=True)
    corpus(inputs)
    flags = [f"-runs={runs}", f"-seed={seed}", f"-rss_limit_mb={2 * RSS_MB}", f"-timeout={SLOW_SECONDS}"]
    flags += ["-max_len=16384", "-print_final_stats=1", f"-artifact_prefix={folder}/", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *flags, str(inputs)], one, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    """Runs the processes; 1 if one of them found something."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs in all")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 2**31))
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args()
    print(f"{options.runs:,} bodies, seed {options.seed}", flush=True)  # noqa: T201
    folder = Path(tempfile.mkdtemp(prefix="cxotel-fuzz-"))
    share = -(-options.runs // options.workers)
    context = multiprocessing.get_context("spawn")
    shared = [context.Array("q", 2, lock=False) for _ in range(options.workers)]
    processes = [
        context.Process(target=work, args=(folder / str(n), share, options.seed + n, shared[n]))
        for n in range(options.workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = [path for path in folder.glob("*/*") if path.is_file()]
    if any(process.exitcode for process in processes) or found:
        print(f"found: {[str(path) for path in found]} (and what is printed above)")  # noqa: T201
        return 1
    shutil.rmtree(folder)
    could, judged = (sum(one[place] for one in shared) for place in (0, 1))
    print(f"{share * options.workers:,} bodies, {could:,} could be read, {judged:,} judged: nothing found")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
