"""Plain words and formats for the pages: no reader needs to know an attribute's name."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from typing import Any

from markupsafe import Markup

from cxotel.desk._labels import LABELS, TEMPLATES
from cxotel.impact import DEFAULT

# In path order, as the model has it.
LAYERS = {
    "carrier": "Carrier",
    "ccaas": "Contact-centre platform",
    "agent_network": "Agent's network",
    "endpoint": "Headset and softphone",
    "voice_ai": "Voice AI",
    "handoff": "Handoff",
    "crm": "CRM lookup",
    "agent": "Agent",
    "unobserved": "Not observed",
}
# For narrow places.
SHORT_LAYERS = LAYERS | {"ccaas": "Platform", "endpoint": "Headset", "crm": "CRM"}
SEVERITIES = {
    "none": "Fine",
    "minor": "Minor",
    "moderate": "Moderate",
    "severe": "Severe",
    "critical": "Critical",
}
# The model's rule (impact model, Severity), with the numbers it runs with.
_FLOORS = {name: f"{DEFAULT[f'severity.{name}']:g} s" for name in ("minor", "moderate", "severe")}
SEVERITY_RULE = (
    f"Severity goes by lost seconds, however long the call: minor from {_FLOORS['minor']}, "
    f"moderate from {_FLOORS['moderate']}, severe from {_FLOORS['severe']}; critical is a call that dropped, "
    f"failed, was abandoned after {DEFAULT['abandon.short']:g} s of waiting, or had no audio for "
    f"{100 * DEFAULT['severity.dead_share']:g} % of its conversation or more."
)
FELT = {
    "choppy_audio": "Choppy audio",
    "talk_over": "Talking over each other",
    "one_way_audio": "One-way audio",
    "no_audio": "No audio",
    "long_wait": "Long wait",
    "slow_connect": "Slow to connect",
    "dead_air": "Dead air",
    "slow_ai": "Slow AI answers",
    "repeated_itself": "Had to repeat",
    "dropped": "Call dropped",
    "abandoned": "Gave up waiting",
    "failed": "Never connected",
}
WHAT = {
    "loss": "Lost audio",
    "delay": "Delay",
    "ie": "Codec quality",
    "setup": "Slow set-up",
    "queue": "Waiting in queue",
    "connect": "Slow to connect",
    "respond": "Slow answer",
    "lookup": "Slow lookup",
    "handoff": "Slow handoff",
    "hold": "On hold",
    "fidelity": "Context lost",
    "dropped": "Call dropped",
    "abandoned": "Gave up waiting",
    "failed": "Never connected",
}
DIRECTIONS = {"to_agent": "What the agent hears", "to_customer": "What the customer hears"}
OUTCOMES = {
    "completed": "Completed",
    "contained": "Contained in self-service",
    "transferred": "Transferred out",
    "abandoned": "Abandoned",
    "dropped": "Dropped",
    "failed": "Failed",
}
STATES = {
    "running": "Running",
    "provisional": "Just ended",
    "final": "Judged",
    "partial": "End never came",
    "unjudged": "Not judged",
}
# What calls are found by.
KINDS = {
    "severity": "Severity",
    "layer": "Main layer",
    "charged": "Any loss in",
    "owner": "Who can fix it",
    "queue": "Queue",
    "carrier": "Carrier",
    "headset": "Headset",
    "partner": "Partner",
    "site": "Site",
    "outcome": "Outcome",
    "state": "State",
    "customer": "Customer",
    "q": "Search",
    "since": "From",
    "until": "To",
}
VALUES = {"severity": SEVERITIES, "layer": LAYERS, "charged": LAYERS, "outcome": OUTCOMES, "state": STATES}
# OpenTelemetry's own names that the registry reuses.
REUSED = {
    "browser.brands": "Browser and its versions",
    "browser.mobile": "Whether the browser runs on a phone",
    "browser.platform": "System that the browser runs on",
    "error.type": "Kind of error",
    "hw.firmware_version": "Firmware of the device",
    "hw.id": "Id of the device",
    "hw.model": "Model of the headset or device",
    "hw.name": "Name of the headset or device",
    "hw.vendor": "Maker of the device",
    "network.carrier.name": "Mobile network",
    "network.connection.type": "Kind of network connection",
    "network.peer.address": "Address of the other end",
    "network.peer.port": "Port of the other end",
    "network.protocol.name": "Protocol",
    "network.protocol.version": "Version of the protocol",
    "network.transport": "Transport",
    "os.name": "Operating system",
    "os.version": "Version of the operating system",
    "service.name": "Service that sent it",
    "service.peer.name": "Service at the other end",
    "session.id": "Session",
    "user_agent.name": "Program",
    "user_agent.original": "Program, as it calls itself",
    "user_agent.version": "Version of the program",
}
COUNTERS = {
    "received.spans": "Spans kept",
    "received.logs": "Log records kept",
    "received.metrics": "Metrics kept",
    "repeated.spans": "Spans received again alike (counted once)",
    "repeated.logs": "Log records received again alike (counted once)",
    "repeated.metrics": "Metrics received again alike (counted once)",
    "refused.trace_id": "Spans refused: unusable trace id",
    "refused.span_id": "Spans refused: span id of wrong length",
    "refused.field": "Spans refused: a field of another type than OTLP has",
    "refused.body": "Requests refused: body could not be read",
    "refused.size": "Requests refused: body too large",
    "refused.type": "Requests refused: wrong content type or encoding",
    "refused.token": "Requests refused: no token, or one that is not known",
    "refused.origin": "Requests refused: a browser's, from a page that is not listed",
    "refused.call_full": "Spans refused: their call has more than a call can have",
    "refused.busy": "Requests put off: the desk could not write",
    "refused.erased": "Spans refused: of a call that was erased",
    "trouble.full": "Writes that failed: no room left",
    "trouble.locked": "Writes that failed: the file was locked",
    "trouble.damaged": "Writes that failed: the file is damaged",
    "trouble.unusable": "Writes that failed: the file could not be written",
    "deleted.calls": "Calls deleted by age or size",
    "deleted.traces": "Traces of no call deleted by age or size",
    "deleted.spans": "Spans deleted by age or size",
    "deleted.logs": "Log records deleted by age or size",
    "deleted.metrics": "Metrics deleted by age or size",
    "erased.calls": "Calls erased",
    "erased.spans": "Spans erased",
    "erased.logs": "Log records erased",
    "odd.no_span_id": "Spans kept without a span id (not judged)",
    "odd.future": "Spans kept that start over an hour from now",
    "odd.time": "Spans kept with a time after the year 2262",
    "odd.cut": "Values or attribute lists cut for their size",
    "odd.unjudged": "Calls not judged: too many media figures at one time",
    "odd.log_trace_id": "Log records kept without their unusable trace id",
    "dropped.forward": "Not handed on: refused for good, or the queue was full",
}
TROUBLES = {
    "full": "No room: nothing new is kept",
    "locked": "File locked: nothing new is kept",
    "damaged": "File damaged",
    "unusable": "File not writable: nothing new is kept",
}


def seconds(value: float) -> str:
    """A length in seconds, as short as it can be read: 850 ms, 12.4 s, 4 min 32 s, 1 h 2 min 3 s."""
    if not math.isfinite(value):
        return "-"
    if abs(value) < 0.9995:
        return f"{value * 1000:.0f} ms" if value else "0 s"
    if abs(value) < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def size(number: int) -> str:
    """A number of bytes, as short as it can be read: 0 B, 512 kB, 1.4 GB (powers of 1000)."""
    value, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return (
        f"{value:.1f} {units[0]}"
        if units[0] in ("MB", "GB", "TB") and value < 99.5
        else f"{value:.0f} {units[0]}"
    )


def whole_percents(values: list[float]) -> list[int]:
    """Shares of the sum in whole percent, together 100 (largest remainders); zeros for no sum."""
    total = sum(values)
    if not total:
        return [0] * len(values)
    exact = [100 * value / total for value in values]
    found = [math.floor(share) for share in exact]
    by_remainder = sorted(range(len(values)), key=lambda i: found[i] - exact[i])
    for i in by_remainder[: 100 - sum(found)]:
        found[i] += 1
    return found


def lost(value: float) -> str:
    """Lost seconds, with one decimal."""
    return f"{value:,.1f} s"


def moment(nanos: int) -> datetime | None:
    """A time in UTC; None where there is none, or none a calendar has."""
    if not nanos:
        return None
    try:
        return datetime.fromtimestamp(nanos / 1e9, tz=timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None


def when(nanos: int, form: str = "both") -> Markup:
    """A time element: UTC here, the reader's own time where scripts run. `form`: both, time or day."""
    at = moment(nanos)
    if at is None:
        return Markup("<span>unknown time</span>")
    text = {"both": "%Y-%m-%d %H:%M:%S UTC", "time": "%H:%M:%S UTC", "day": "%Y-%m-%d"}[form]
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(
        at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), form, at.strftime(text)
    )


def sentence(text: str) -> str:
    """A sentence whose numbers keep their units beside them at the end of a line."""
    return re.sub(r"(?<=[0-9]) (?=%|ms\b|s\b)", "\u00a0", text)


def warning(message: str) -> str:
    """A warning's message without the names and ids that stand beside it anyway."""
    found = re.fullmatch(r"\w+: (\w+) (.*?)(?: \(span [0-9a-f]{16}\))?", message, re.DOTALL)
    if found is None or found[1] not in WHAT:
        return sentence(message)
    return sentence(f"{WHAT[found[1]]}: up to {found[2]} lost")


def severity(name: str, lost_seconds: float) -> str:
    """A severity in plain words; "none" is fine only where nothing at all was lost."""
    if name == "none" and lost_seconds > 0:
        return f"Below {_FLOORS['minor']}"
    return SEVERITIES.get(name, name)


def label(key: str) -> str:
    """What an attribute means in plain words, "" for one that neither the registry nor we know."""
    found = LABELS.get(key) or REUSED.get(key)
    if found:
        return found
    return next((text for begin, text in TEMPLATES.items() if key.startswith(begin + ".")), "")


def value(kind: str, text: str) -> str:
    """A filter's value in plain words; names stand as they are."""
    return VALUES.get(kind, {}).get(text, text)


def layer(name: str) -> str:
    """A layer in plain words; a name that is none stands as it is."""
    return LAYERS.get(name, name)


def figure(what: str, value: float | None) -> str:
    """An evidence item's worst value with its unit."""
    if value is None or what in ("dropped", "abandoned", "failed"):
        return ""
    if what in ("loss", "fidelity"):
        return f"{value:.1f} %"
    if what == "delay":
        return f"{value:.0f} ms"
    return f"{value:.1f}" if what == "ie" else seconds(value)


def plain(value: Any) -> str:
    """An attribute's value for reading: text as it is, the rest as JSON would have it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "(empty)"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return "[" + ", ".join(plain(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {plain(item)}" for key, item in value.items()) + "}"
    return str(value)


def kind(value: Any) -> str:
    """OTLP's name of a value's type."""
    names = {
        bool: "bool",
        str: "string",
        int: "int",
        float: "double",
        bytes: "bytes",
        list: "array",
        dict: "map",
    }
    return names.get(type(value), "empty")
