"""A Celery application. Its tasks note in Redis that they have begun and that they are done.

Variables: ``BROKER`` is the URL of Redis, ``MATRIX_DATABASE`` the database. If ``OWN_CLIENT`` is
set, the client is not the installed one. If ``WITHOUT_HOOK`` is set, this release of billiard is
one that cannot be hooked into.
"""

import os
import time
from typing import Any

import redis
from billiard import pool
from celery import Celery, signals
from celery.exceptions import Ignore, Reject
from kombu import Exchange, Queue
from matrix import DATABASE

import sprockets_influxdb as influxdb
from sprockets_influxdb import _hooks
from sprockets_influxdb.celery import instrument

BROKER = os.environ["BROKER"]


def cannot_hook(worker: Any, end: Any) -> None:
    raise AttributeError("_do_exit")


if "WITHOUT_HOOK" in os.environ:
    _hooks._end_with_workers = cannot_hook

# A child that ends while its worker stops may wait for the main process in vain, for 30 s.
pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 20

app = Celery("tasks", broker=BROKER)
app.conf.task_ignore_result = True
app.conf.task_queues = [
    Queue("celery"),
    Queue("mail", Exchange("mail", "topic"), routing_key="mail.#"),
]
app.conf.worker_hijack_root_logger = False
client = influxdb.Client() if "OWN_CLIENT" in os.environ else None
instrument(app, database=DATABASE, client=client)


@signals.worker_process_init.connect
def send_first_batch(**_: object) -> None:
    """The first batch of a process is sent early. Those of tasks are not to be."""
    to: Any = client or influxdb
    to.record(DATABASE, "first", {}, {"n": 1})
    to.flush_sync()


notes = redis.Redis.from_url(BROKER.replace("redis+socket", "unix"), decode_responses=True)


@app.task(bind=True)
def work(self: Any) -> None:
    notes.rpush("done", self.request.id)


@app.task(bind=True)
def hold(self: Any) -> None:
    """Ends when there is an item in the list ``release``."""
    notes.rpush("begun", os.getpid())
    notes.blpop("release")
    notes.rpush("done", self.request.id)


@app.task
def fail() -> None:
    notes.rpush("begun", os.getpid())
    raise LookupError("on purpose")


@app.task(bind=True, max_retries=1)
def retry(self: Any) -> None:
    notes.rpush("begun", os.getpid())
    raise self.retry(countdown=0.1, exc=TimeoutError())


@app.task
def ignore() -> None:
    notes.rpush("begun", os.getpid())
    raise Ignore


@app.task
def reject() -> None:
    notes.rpush("begun", os.getpid())
    raise Reject("on purpose", requeue=False)


@app.task
def die() -> None:
    influxdb.record(DATABASE, "lost", {}, {"n": 1})
    os._exit(1)


@app.task(time_limit=1)
def hang() -> None:
    while True:
        time.sleep(1)
