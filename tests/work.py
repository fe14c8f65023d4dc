"""Work counted, not timed: the same on a busy machine as on a quiet one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def lines_run(function: Callable[[], Any]) -> int:
    """How many lines of Python run in a call of the function, lines of comprehensions once a turn."""
    count = 0

    def trace(_frame: Any, event: str, _value: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()  # coverage's own
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count
