"""The options of clients, and their translation to the settings of the core."""

import contextlib
import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

from sprockets_influxdb import _native

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    _Arguments = ParamSpec("_Arguments")

_Result = TypeVar("_Result")

#: Arguments whose settings have other names.
_SETTINGS = {"auth_username": "user", "auth_password": "password"}
_ARGUMENTS = {setting: argument for argument, setting in _SETTINGS.items()}


class Options(TypedDict, total=False):
    """The further options of :func:`install` and :class:`Client`: settings by name, durations in
    milliseconds. ``None`` leaves a setting alone.
    """

    api: Literal["v1", "v2", "v3"] | None
    block_timeout: int | None
    ca_file: str | None
    client_cert: str | None
    client_key: str | None
    database: str | None
    enabled: bool | None
    environment: str | None
    gzip: bool | None
    host: str | None
    max_batch_bytes: int | None
    max_buffer_bytes: int | None
    nats_creds: str | None
    nats_stream: str | None
    nats_subject: str | None
    org: str | None
    overflow: Literal["newest", "oldest", "block"] | None
    port: int | None
    precision: Literal["ns", "us", "ms", "s"] | None
    retention_policy: str | None
    scheme: Literal["http", "https"] | None
    self_database: str | None
    shutdown_timeout: int | None
    spool: str | None
    spool_max_bytes: int | None
    spool_sync: Literal["process", "interval", "always"] | None
    tag_hostname: bool | None
    timeout: int | None
    tls_verify: bool | None
    token: str | None


#: The arguments of :func:`install` and :class:`Client` that their signatures name.
_NAMED = (
    "auth_password",
    "auth_username",
    "base_tags",
    "max_batch_size",
    "max_buffer_size",
    "max_clients",
    "on_rejected",
    "sample_probability",
    "submission_interval",
    "trigger_size",
    "url",
)

#: What other libraries, and our variables, call an argument.
_OTHER_NAMES = {
    "address": "url",
    "bucket": "database",
    "db": "database",
    "default_tags": "base_tags",
    "flush_interval": "submission_interval",
    "interval": "submission_interval",
    "password": "auth_password",
    "tags": "base_tags",
    "user": "auth_username",
    "username": "auth_username",
}


def check(options: Iterable[str]) -> None:
    """Raise ``TypeError`` if there is no such option."""
    for option in options:
        if option not in Options.__annotations__:
            hint = _hint(option, (*_NAMED, *Options.__annotations__), _OTHER_NAMES)
            raise TypeError(f"there is no option {option!r}{hint}")


def with_hints(
    other_names: Mapping[str, str],
) -> "Callable[[Callable[_Arguments, _Result]], Callable[_Arguments, _Result]]":
    """Make a decorator for functions whose ``TypeError`` of an unknown option names the nearest
    one.

    :param other_names: what other libraries call an option
    """

    def decorate(function: "Callable[_Arguments, _Result]") -> "Callable[_Arguments, _Result]":
        kinds = {name: one.kind for name, one in inspect.signature(function).parameters.items()}
        names = set(kinds)
        options = [name for name, kind in kinds.items() if kind is inspect.Parameter.KEYWORD_ONLY]

        @functools.wraps(function)
        def call(*args: "_Arguments.args", **given: "_Arguments.kwargs") -> _Result:
            for option in given:
                if option not in names:
                    hint = _hint(option, options, other_names)
                    hint = hint or f": it has {', '.join(options)}"
                    raise TypeError(f"{function.__name__}() has no option {option!r}{hint}")
            return function(*args, **given)

        return call

    return decorate


def _hint(option: str, names: Iterable[str], other_names: Mapping[str, str]) -> str:
    similar = [other_names[option]] if option in other_names else []
    similar += difflib.get_close_matches(option, list(names), 1)
    return f": did you mean {similar[0]!r}?" if similar else ""


#: What other libraries call the options of integrations.
INTEGRATION_NAMES = {"bucket": "database", "db": "database", "name": "measurement"}

#: What other libraries call the options of :func:`write_dataframe`.
DATAFRAME_NAMES = {
    "bucket": "database",
    "data_frame_tag_columns": "tag_columns",
    "data_frame_timestamp_column": "timestamp_column",
    "db": "database",
    "fields": "field_columns",
    "tags": "tag_columns",
    "time": "timestamp_column",
    "time_column": "timestamp_column",
    "timestamp": "timestamp_column",
}


def texts(**options: Any) -> list[tuple[str, str]]:
    """Settings as the core reads them, without those that are ``None``."""
    pairs = []
    for name, value in options.items():
        if value is None:
            continue
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif not isinstance(value, int | float | str):
            kind = type(value).__name__
            raise ValueError(
                f"{name}: a value of type {kind}: expected a str, an int, a float or a bool"
            )
        elif isinstance(value, float) and value.is_integer():
            # Release 2.2.1 took 1000.0 for 1000.
            value = int(value)
        pairs.append((_SETTINGS.get(name, name), text(value)))
    return pairs


def tags(base_tags: Mapping[str, object] | None) -> list[tuple[str, str]] | None:
    """Base tags as the core reads them, without those that are left out."""
    if base_tags is None:
        return None
    if not isinstance(base_tags, Mapping):
        kind = type(base_tags).__name__
        raise ValueError(f"base_tags: a value of type {kind}: expected a dict of names and values")
    values = ((name, _native.base_tag_text(name, value)) for name, value in base_tags.items())
    return [(text(name), value) for name, value in values if value is not None]


def arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the core by the names of arguments."""
    return {_ARGUMENTS.get(name, name): value for name, value in settings.items()}


def text(value: object) -> str:
    """The ``str()`` of a value. Lone surrogates, which UTF-8 cannot encode, are replaced."""
    return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@contextlib.contextmanager
def argument_names() -> Iterator[None]:
    """Renames settings in errors of the core to the arguments of this module."""
    try:
        yield
    except ValueError as error:
        message = str(error)
        for setting, argument in _ARGUMENTS.items():
            if message.startswith(f"{setting}: "):
                raise ValueError(argument + message.removeprefix(setting)) from None
        raise
