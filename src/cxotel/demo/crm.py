"""The CRM of the demo: a small HTTP service in a process of its own, as slow as the fault wants it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry import propagate, trace

from cxotel.demo.party import configured, flush, reporting
from cxotel.demo.wire import LOOPBACK, Message, serve_child

DELAY_HEADER = "X-Demo-Seconds"


class Handler(BaseHTTPRequestHandler):
    """Answers GET /customers/<ref>, with spans as any instrumented web service would make them."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Look a customer up."""
        tracer = trace.get_tracer("demo.crm")
        context = propagate.extract(dict(self.headers.items()))
        with tracer.start_as_current_span(
            "GET /customers/{ref}", context=context, kind=trace.SpanKind.SERVER
        ) as span:
            span.set_attribute("http.request.method", "GET")
            span.set_attribute("http.route", "/customers/{ref}")
            with tracer.start_as_current_span("SELECT customers", kind=trace.SpanKind.CLIENT) as query:
                query.set_attribute("db.system.name", "demo")
                time.sleep(float(self.headers.get(DELAY_HEADER) or 0))
            ref = urllib.parse.urlsplit(self.path).path.rpartition("/")[2]
            body = json.dumps({"ref": ref, "contract": "flat 30", "open_invoices": 1}).encode()
            span.set_attribute("http.response.status_code", 200)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing per request."""


async def _serve() -> None:
    configured("crm")
    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()

    async def handle(_message: Message) -> Message:
        return {"port": server.server_address[1]}

    async def closing() -> None:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        await flush()

    await serve_child(reporting(handle), closing=closing)


if __name__ == "__main__":
    asyncio.run(_serve())
