"""Hides the password in ``os.environ`` without taking it from other processes.

Release 2.2.1 overwrote ``INFLUXDB_PASSWORD`` by as many X. Code that reads the variable in this
process still sees these. The environment that child processes get still has the password, whether
they inherit it or are started by ``subprocess`` with a copy of ``os.environ``.
"""

import os

_VARIABLE = "INFLUXDB_PASSWORD"


class _HiddenBytes(bytes):
    """What ``os.environ`` keeps, and the environment has: the password, which decodes to X."""

    __slots__ = ()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return _HiddenText("X" * len(super().decode(encoding, errors)))

    def __repr__(self) -> str:
        return repr(b"X" * len(self))


class _HiddenText(str):
    """What ``os.environ`` returns, and its copies contain: X, which encodes to the password.

    ``subprocess`` encodes by this method. What prints, compares, logs, pickles or serializes the
    text does not.
    """

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return _password

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


_password = _HiddenBytes()


def hide_password() -> None:
    """Hides the password from code of this process that reads ``os.environ``."""
    global _password
    value = os.environ.get(_VARIABLE)
    if not value or isinstance(value, _HiddenText):
        return
    _password = _HiddenBytes(os.fsencode(value))
    os.environ[_VARIABLE] = _HiddenText("X" * len(value))


def is_hidden_by_parent() -> bool:
    """Whether this process was given X for a password, by a parent that lost the hidden one."""
    value = os.environ.get(_VARIABLE)
    return bool(value) and not isinstance(value, _HiddenText) and set(value or "") == {"X"}
