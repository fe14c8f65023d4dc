"""A CRM lookup over HTTP while a customer waits: the slow answer shows up in the call's verdict.

The CRM here is a small HTTP server in this process that takes 3.5 s; yours is somewhere else. The HTTP span
of OpenTelemetry's httpx instrumentation stands below the lookup by itself.
"""

from __future__ import annotations

import http.server
import json
import sys
import threading
import time
import uuid

import httpx
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

import cxotel


class Crm(http.server.BaseHTTPRequestHandler):
    """Answers every number with the same customer, slowly."""

    def do_GET(self) -> None:
        """One record."""
        time.sleep(3.5)
        body = json.dumps({"name": "known", "tier": "gold"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """No access log."""


def look_up(call: cxotel.Call, url: str) -> None:
    """The lookup, while the caller hears nothing."""
    with call.start_lookup("example-crm", "customer by number", waiting=True, owner="CRM team") as lookup:
        answer = httpx.get(f"{url}/customers/42", timeout=10)
        lookup.found(answer.status_code == httpx.codes.OK)


if __name__ == "__main__":
    cxotel.configure(service_name="example-crm-client")
    HTTPXClientInstrumentor().instrument()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Crm)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with cxotel.start_call(str(uuid.uuid4()), queue="sales") as current:
        with current.start_activity("ivr"):
            look_up(current, f"http://127.0.0.1:{server.server_port}")
        current.stop(outcome="contained", ended_by="customer")
    cxotel.shutdown()
    print(current.trace_id)
    sys.exit(1 if any(cxotel.counters().values()) else 0)
