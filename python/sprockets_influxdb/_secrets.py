"""Hides the password in ``os.environ`` from this process, but not from its children.

As in release 2.2.1, code of this process that reads ``INFLUXDB_PASSWORD`` sees an X for each
character. Children still get the password, whether they inherit the environment or are started by
``subprocess`` with a copy of ``os.environ``.
"""

import os

_VARIABLE = "INFLUXDB_PASSWORD"


class _HiddenBytes(bytes):
    """The password, as ``os.environ`` and the environment hold it. It decodes to X."""

    __slots__ = ()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return _HiddenText("X" * len(super().decode(encoding, errors)))

    def __repr__(self) -> str:
        return repr(b"X" * len(self))


class _HiddenText(str):
    """X for each character, as ``os.environ`` returns it. It encodes to the password.

    ``subprocess`` calls :meth:`encode`. Code that prints, compares, logs, pickles or serializes the
    text does not.
    """

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return _password

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


_password = _HiddenBytes()


def hide_password() -> None:
    """Hide the password from code of this process that reads ``os.environ``."""
    global _password
    value = os.environ.get(_VARIABLE)
    if not value or isinstance(value, _HiddenText):
        return
    _password = _HiddenBytes(os.fsencode(value))
    os.environ[_VARIABLE] = _HiddenText("X" * len(value))


def is_hidden_by_parent() -> bool:
    """Whether the password is X only: the parent process passed on a copy without the password."""
    value = os.environ.get(_VARIABLE)
    return bool(value) and not isinstance(value, _HiddenText) and set(value or "") == {"X"}
