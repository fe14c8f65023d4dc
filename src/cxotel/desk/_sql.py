"""The desk's SQL, one statement a file in `queries/`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def sql(name: str) -> str:
    """The text of `queries/<name>.sql`."""
    return (files("cxotel.desk") / "queries" / f"{name}.sql").read_text(encoding="utf-8")
