"""JSON values whose `repr` is short, however large they are. Pure.

`jsonschema` quotes whole values in its error messages; `domain.json_schema` passes it these values
instead.
"""

_ROOM = 120  # characters shown of a text, and of a list or an object
_LEVELS = 3


class Shown:
    """Makes values with a short `repr` that are equal to the plain ones and have their types."""

    @staticmethod
    def of(value: object) -> object:
        """A copy of the value in which every text, list and object has a short `repr`."""
        if isinstance(value, str):
            return _Text(value)
        if isinstance(value, list):
            return _List(map(Shown.of, value))
        if isinstance(value, dict):
            return _Object((_Text(name), Shown.of(each)) for name, each in value.items())
        return value


class _Text(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return _short(self, _LEVELS)


class _List(list[object]):
    __slots__ = ()

    def __repr__(self) -> str:
        return _short(self, _LEVELS)


class _Object(dict[str, object]):
    __slots__ = ()

    def __repr__(self) -> str:
        return _short(self, _LEVELS)


def _short(value: object, levels: int) -> str:
    if isinstance(value, str):
        return str.__repr__(value[:_ROOM]) + "…" * (len(value) > _ROOM)
    if not isinstance(value, list | dict):
        return repr(value)
    left, right = "[]" if isinstance(value, list) else "{}"
    if not levels:
        return f"{left}…{right}" if value else f"{left}{right}"
    parts: list[str] = []
    for each in value:
        if sum(map(len, parts)) > _ROOM:
            parts.append("…")
            break
        part = _short(each, levels - 1)
        parts.append(
            part if isinstance(value, list) else f"{part}: {_short(value[each], levels - 1)}"
        )
    return f"{left}{', '.join(parts)}{right}"
