"""Wrapping one public method of one object, and taking the wrapping off again."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Shim:
    """The method `name` of `obj`, on this object alone, replaced by what `make` makes of it."""

    def __init__(self, obj: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        self._obj = weakref.ref(obj)
        self._name = name
        self._before = obj.__dict__.get(name)  # somebody else's wrapping of this one object
        wrapped = make(getattr(obj, name))
        wrapped.shim = self  # type: ignore[attr-defined]
        setattr(obj, name, wrapped)

    def release(self) -> None:
        """Leave the object as it was; where somebody wrapped it after us, leave it to them."""
        obj = self._obj()
        if obj is None or getattr(obj.__dict__.get(self._name), "shim", None) is not self:
            return
        if self._before is None:
            delattr(obj, self._name)
        else:
            setattr(obj, self._name, self._before)
