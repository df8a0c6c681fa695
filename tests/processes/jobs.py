"""Jobs for RQ. The first measurement of a process is the job's own."""

from matrix import add


def work() -> None:
    add("job", 5)


def fail() -> None:
    add("job", 5)
    raise LookupError("on purpose")
