"""JSON values that messages show in short, however large they are: a library that quotes them need
not be held back.
"""

_ROOM = 120  # characters of a text, or of all that is shown of a list or an object
_LEVELS = 3


class Shown:
    """Makes such values: equal to the plain ones, and of their types."""

    @staticmethod
    def of(value: object) -> object:
        """The value, with everything in it shown in short."""
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
