"""One contact-centre call as one OpenTelemetry trace, with a verdict."""

from cxotel._guard import counters
from cxotel._version import __version__
from cxotel.activity import Activity, Handoff, Lookup
from cxotel.call import Call, join_call, start_call
from cxotel.config import configure, flush, shutdown
from cxotel.customer import customer_ref, pii
from cxotel.ids import CallIds, call_ids
from cxotel.leg import Leg
from cxotel.media.windows import Figures, Hints, Window
from cxotel.media_session import MediaSession
from cxotel.propagation import extract, inject
from cxotel.stamping import CallContextProcessor

__all__ = [
    "Activity",
    "Call",
    "CallContextProcessor",
    "CallIds",
    "Figures",
    "Handoff",
    "Hints",
    "Leg",
    "Lookup",
    "MediaSession",
    "Window",
    "__version__",
    "call_ids",
    "configure",
    "counters",
    "customer_ref",
    "extract",
    "flush",
    "inject",
    "join_call",
    "pii",
    "shutdown",
    "start_call",
]
