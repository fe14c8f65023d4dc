"""The customer, without saying who it is: keyed hashes, and a place for what is personal."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from cxotel import _guard, _runtime, _values
from cxotel import _semconv as names

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue


def customer_ref(customer: str) -> str | None:
    """The keyed hash that stands for a customer: HMAC-SHA256 of the value, its first 16 bytes in hex.

    The key is `configure(customer_key=...)` or CXOTEL_CUSTOMER_KEY. None (counted) without a key, or for a
    value that is empty or no string: an unkeyed hash of a telephone number can be undone by trying them
    all.
    """
    if not isinstance(customer, str) or not customer:
        _guard.count(_guard.BAD_VALUE, hint="customer: give the customer's number or account as a string")
        return None
    if not _runtime.state.customer_key:
        _guard.count(
            _guard.NO_CUSTOMER_KEY, hint="customer left out: set CXOTEL_CUSTOMER_KEY to hash it with"
        )
        return None
    value = customer.encode("utf-8", "replace")
    return hmac.new(_runtime.state.customer_key, value, hashlib.sha256).hexdigest()[:32]


def pii(**values: Any) -> dict[str, AttributeValue]:
    """Attributes for personal data: `call.set(pii(phone="+15550100"))` sets `cx.pii.phone`."""
    return _values.attributes({f"{names.CX_PII}.{name}": _as_text(value) for name, value in values.items()})


def _as_text(value: Any) -> str | None:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 (the host's class may raise anything; so do ints of over 4,300 digits)
        _guard.count(_guard.BAD_VALUE, hint=f"pii: a {type(value).__name__} that has no text")
        return None
