"""The layers in path order, and the directions."""

from __future__ import annotations

from typing import Final

from cxotel._semconv import (
    CX_MEDIA_TO_AGENT_DELAY_MS,
    CX_MEDIA_TO_AGENT_IE,
    CX_MEDIA_TO_AGENT_LOSS_PCT,
    CX_MEDIA_TO_CUSTOMER_DELAY_MS,
    CX_MEDIA_TO_CUSTOMER_IE,
    CX_MEDIA_TO_CUSTOMER_LOSS_PCT,
    CxLayer,
)

PATH_ORDER: Final = (
    CxLayer.CARRIER,
    CxLayer.CCAAS,
    CxLayer.AGENT_NETWORK,
    CxLayer.ENDPOINT,
    CxLayer.VOICE_AI,
    CxLayer.HANDOFF,
    CxLayer.CRM,
    CxLayer.AGENT,
    CxLayer.UNOBSERVED,
)
RANK: Final = {layer: rank for rank, layer in enumerate(PATH_ORDER)}

CHARGEABLE: Final = PATH_ORDER[:-1]
"""Layers that a span may name and be charged."""

MEDIA: Final = (
    CxLayer.CARRIER,
    CxLayer.CCAAS,
    CxLayer.AGENT_NETWORK,
    CxLayer.ENDPOINT,
    CxLayer.VOICE_AI,
)
"""Layers that carry or play audio: those whose spans may have media series."""

TO_AGENT: Final = 0
TO_CUSTOMER: Final = 1
DIRECTIONS: Final = ("to_agent", "to_customer")
LOSS_KEYS: Final = (CX_MEDIA_TO_AGENT_LOSS_PCT, CX_MEDIA_TO_CUSTOMER_LOSS_PCT)
DELAY_KEYS: Final = (CX_MEDIA_TO_AGENT_DELAY_MS, CX_MEDIA_TO_CUSTOMER_DELAY_MS)
IE_KEYS: Final = (CX_MEDIA_TO_AGENT_IE, CX_MEDIA_TO_CUSTOMER_IE)

LINE_HUMAN: Final = (CxLayer.CARRIER, CxLayer.CCAAS, CxLayer.AGENT_NETWORK, CxLayer.ENDPOINT)
"""The way from the customer to a human agent; the reverse is to_customer."""
LINE_AI: Final = (CxLayer.CARRIER, CxLayer.CCAAS, CxLayer.VOICE_AI)
"""The same while a converse of the voice AI lasts."""
