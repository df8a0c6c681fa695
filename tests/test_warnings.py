"""Warnings about requests are rate-limited, and say how many were held back."""

import logging

import pytest

from sprockets_influxdb import _warnings


def test_a_warning_counts_those_that_were_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        _warnings.warn(ValueError(f"number {number}"))
    _warnings.warn(TypeError("of another kind"))
    # As if the interval had passed.
    monkeypatch.setattr(_warnings, "_INTERVAL", 0)
    _warnings.warn(ValueError("number 3"))
    _warnings.warn(ValueError("number 4"))
    beginning = "a request is not recorded as it should be: "
    assert [record.getMessage() for record in caplog.records] == [
        f"{beginning}ValueError: number 0",
        f"{beginning}TypeError: of another kind",
        f"{beginning}ValueError: number 3; 2 warnings like this were not logged since the last one",
        f"{beginning}ValueError: number 4",
    ]


def test_each_text_is_logged_up_to_a_number_of_them(caplog: pytest.LogCaptureFixture) -> None:
    for letter in map(chr, range(0x4E00, 0x4E00 + 2 * _warnings._MAX_TEXTS)):
        _warnings.warn(ValueError(letter))
        _warnings.warn(ValueError(letter))
    assert len(caplog.records) == _warnings._MAX_TEXTS + 1


def test_a_filter_that_raises_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(record: logging.LogRecord) -> bool:
        raise LookupError("on purpose")

    monkeypatch.setattr(_warnings.LOGGER, "filters", [fail])
    _warnings.warn(ValueError("of a call"))
    assert "LookupError: on purpose" in capsys.readouterr().err
