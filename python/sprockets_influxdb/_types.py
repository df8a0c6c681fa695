"""What fields and times may be, for type checkers. Not imported when the package runs."""

import datetime
import decimal
import enum
import fractions
from typing import Any, Literal, Protocol, TypeAlias


class _Number(Protocol):
    """A number or a bool of NumPy. Arrays have no hash, times no power."""

    def __hash__(self) -> int: ...

    def __pow__(self, other: Any, /) -> Any: ...

    def item(self) -> bool | int | float: ...


class _Time(Protocol):
    """A time or a number of NumPy."""

    def __hash__(self) -> int: ...

    def item(self) -> datetime.date | int | float | None: ...


class _NA(Protocol):
    """``pandas.NA``."""

    def __reduce__(self) -> Literal["NA"]: ...


class _NaT(Protocol):
    """``pandas.NaT``."""

    def day_name(self) -> float: ...


#: The value of a field. ``None`` and pandas' NA and NaT leave it out.
Field: TypeAlias = (
    bool
    | int
    | float
    | str
    | decimal.Decimal
    | fractions.Fraction
    | enum.Enum
    | _Number
    | _NA
    | _NaT
    | None
)

#: A time: seconds since the epoch, a time with a time zone, or an ISO 8601 text with an offset.
Time: TypeAlias = float | decimal.Decimal | fractions.Fraction | datetime.datetime | str | _Time


class _Stream(Protocol):
    """A data frame of polars, pyarrow, DuckDB and others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class _Pandas(Protocol):
    """The part of a data frame of pandas that is used."""

    @property
    def iloc(self) -> Any: ...

    @property
    def shape(self) -> tuple[int, int]: ...


#: A data frame.
Dataframe: TypeAlias = _Stream | _Pandas
