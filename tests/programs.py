"""Processes that tests start: they handle signals by default, and do not outlive the tests."""

import shutil
import signal


def bound(command: list[str]) -> list[str]:
    """The command, changed to die with the thread that starts it, where Linux allows that."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command


def reset_signals() -> None:
    """Handles signals that this process inherited as ignored, as under ``nohup``.

    Its children would inherit that too, and a test that sends SIGINT would never end.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            is_interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_interrupt else signal.SIG_DFL)
