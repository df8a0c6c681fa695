"""One measurement for each task that Celery runs::

    from sprockets_influxdb.celery import instrument

    app = Celery("example", broker="redis://localhost")
    instrument(app, database="example")

Only this module needs Celery. It is in the extra ``sprockets-influxdb[celery]``.
"""

import datetime
import itertools
import time
import weakref
from typing import Any

try:
    from billiard.exceptions import TimeLimitExceeded, WorkerLostError
    from celery import signals
    from celery.exceptions import Retry
    from celery.utils.time import maybe_iso8601
except ImportError as _error:
    raise ImportError(
        "sprockets_influxdb.celery needs Celery: pip install sprockets-influxdb[celery]",
        name=_error.name,
    ) from _error

from sprockets_influxdb import _hooks, _lifecycle
from sprockets_influxdb._clients import Client
from sprockets_influxdb._integrations import Recorder, error_name
from sprockets_influxdb._options import INTEGRATION_NAMES, with_hints

__all__ = ["instrument"]

#: The header of a message that has the time when it was sent, in seconds since the epoch.
_SENT = "sprockets_influxdb_sent"
#: The attribute of a task's request that has the time when it began, of the monotonic clock.
_BEGAN = "sprockets_influxdb_began"
#: The attribute of a task's request that has the seconds that the task waited for a worker.
_WAIT = "sprockets_influxdb_wait"

#: What ends a worker process before its task does. The main process reports these tasks.
_LOST = (TimeLimitExceeded, WorkerLostError)

_numbers = itertools.count()
_tasks: "weakref.WeakKeyDictionary[Any, _Tasks]" = weakref.WeakKeyDictionary()


@with_hints(INTEGRATION_NAMES)
def instrument(app: Any, *, database: str | None = None, client: Client | None = None) -> None:
    """Record each task of an application, when it ends. A second call replaces the first.

    Call it where the application is made, so that workers and senders both run it: ``wait`` is
    measured from a header that the sender adds.

    - Tags: ``task`` (the name), ``queue`` (the name), ``state`` (``SUCCESS``, ``FAILURE``,
      ``RETRY``, ``REVOKED``, ``IGNORED`` or ``REJECTED``).
    - Field ``duration``: seconds that the task ran. Absent if its process was lost or the task was
      revoked.
    - Field ``wait``: seconds from when it was sent, or from its ``eta``, until it began, by the
      clocks of both hosts. Absent if the sender does not run :func:`instrument`.
    - Fields ``retries`` (number of retries before this one), ``task_id``, ``exception`` (the class,
      if there is one).

    A task that cannot be recorded is a warning in the log, at most one a minute.

    :param app: the Celery application
    :param database: the database (bucket); default: that of the client
    :param client: the client; default: the installed one
    :raises TypeError: for a database that is not a string, and for an object that is not a client
    """
    recorder = Recorder("task", ("task", "queue", "state"), database=database, client=client)
    # `current_app` is a proxy.
    app = app._get_current_object() if hasattr(app, "_get_current_object") else app
    tasks = _tasks.get(app)
    if tasks is None:
        tasks = _tasks[app] = _Tasks(app, recorder)
        tasks.connect()
    tasks.recorder = recorder


class _Tasks:
    """The tasks of one application. Signals come from all applications of the process."""

    def __init__(self, app: Any, recorder: Recorder) -> None:
        self.recorder = recorder
        self._app = weakref.ref(app)
        #: The tasks that the main process has received, by id, while it handles them.
        self._received: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()

    def connect(self) -> None:
        # The application keeps this object, and Celery the methods only as long as that lives.
        # By default it knows them by their address, which an object that is gone may have had.
        uid = f"{__name__}.{next(_numbers)}"
        signals.before_task_publish.connect(self.before_publish, dispatch_uid=uid)
        signals.task_received.connect(self.received, dispatch_uid=uid)
        signals.task_prerun.connect(self.begin, dispatch_uid=uid)
        signals.task_postrun.connect(self.end, dispatch_uid=uid)
        signals.task_failure.connect(self.lost, dispatch_uid=uid)
        signals.task_revoked.connect(self.revoked, dispatch_uid=uid)
        signals.worker_process_shutdown.connect(_end_worker_process, dispatch_uid=__name__)

    def before_publish(self, headers: Any = None, **_: Any) -> None:
        # Celery does not say which application sends.
        if isinstance(headers, dict):
            headers[_SENT] = time.time()

    def received(self, request: Any, **_: Any) -> None:
        try:
            if request.task.app is self._app():
                self._received[request.id] = request
        except Exception as error:
            self.recorder.warn(error)

    def begin(self, task: Any, **_: Any) -> None:
        try:
            if task.app is self._app():
                request = task.request
                setattr(request, _WAIT, _wait(request))
                setattr(request, _BEGAN, time.perf_counter())
        except Exception as error:
            self.recorder.warn(error)

    def end(self, task: Any, state: str | None = None, retval: Any = None, **_: Any) -> None:
        now = time.perf_counter()
        try:
            if task.app is not self._app() or state is None:
                # Without a state the task was interrupted. Either it runs again, or the main
                # process reports its end.
                return
            began = getattr(task.request, _BEGAN, None)
            duration = None if began is None else now - began
            self._record(task, task.request, state, retval, duration)
        except Exception as error:
            self.recorder.warn(error)

    def lost(self, sender: Any, task_id: str, exception: Any = None, **_: Any) -> None:
        """A task did not end, as its process was killed. Called in the main process."""
        try:
            if sender.app is self._app() and isinstance(exception, _LOST):
                request = self._received.get(task_id)
                if request is not None:
                    self._record(sender, request._context, "FAILURE", exception, None)
        except Exception as error:
            self.recorder.warn(error)

    def revoked(self, sender: Any, request: Any, **_: Any) -> None:
        try:
            if sender.app is self._app():
                self._record(sender, request, "REVOKED", None, None)
        except Exception as error:
            self.recorder.warn(error)

    def _record(
        self, task: Any, request: Any, state: str, result: Any, duration: float | None
    ) -> None:
        error = None
        if state in ("FAILURE", "RETRY") and isinstance(result, BaseException):
            # A retry may have no reason.
            error = error_name((result.exc if isinstance(result, Retry) else None) or result)
        self.recorder.record(
            task=task.name,
            queue=_queue(self._app(), request.delivery_info or {}),
            state=state,
            duration=duration,
            wait=getattr(request, _WAIT, None),
            retries=request.retries or 0,
            task_id=request.id,
            exception=error,
        )


def _wait(request: Any) -> float | None:
    """Return the seconds between the time that a task was to run and now."""
    sent = request.get(_SENT)
    if not isinstance(sent, int | float):
        return None
    eta: datetime.datetime | None = maybe_iso8601(request.eta)
    if eta is not None:
        if eta.tzinfo is None:
            eta = eta.replace(tzinfo=datetime.timezone.utc)
        sent = max(sent, eta.timestamp())
    return max(time.time() - sent, 0.0)


def _queue(app: Any, delivery: Any) -> str | None:
    """Return the queue that a message came from, if its routing names one. ``None`` if it was not
    sent.
    """
    exchange, key = delivery.get("exchange"), delivery.get("routing_key")
    if key is None:
        return None
    if not exchange:
        # The default exchange routes by the name of the queue.
        return str(key)
    queues = list(app.amqp.queues.values())
    bound = [queue for queue in queues if queue.exchange and queue.exchange.name == exchange]
    # Keys of a topic exchange are patterns, and its messages' keys have no bound.
    same = [queue for queue in bound if queue.routing_key == key]
    return next((queue.name for queue in same or bound), None)


def _end_worker_process(**_: Any) -> None:
    """Deliver at the end of a worker process, unless the hook into billiard does so after this."""
    if not _hooks.ends_with_billiard():
        _lifecycle.end()
