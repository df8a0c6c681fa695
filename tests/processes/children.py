"""Children by multiprocessing that add measurements. Arguments: start method and function."""

import concurrent.futures
import multiprocessing
import os
import sys
import threading
from typing import Any

from matrix import DATABASE, add, wait_for_children

import sprockets_influxdb as influxdb


def work(number: int) -> int:
    add("child", 10)
    return number


def work_on() -> None:
    """Returns while a thread of it goes on adding."""
    main_thread = threading.current_thread()

    def go_on() -> None:
        add("child", 5)
        main_thread.join(0.2)
        add("child", 5)

    threading.Thread(target=go_on).start()


def fail() -> None:
    add("child", 10)
    raise RuntimeError("on purpose")


def leave() -> None:
    add("child", 10)
    sys.exit(7)


def fork_on() -> None:
    """Has a child of its own, which ends as a child of multiprocessing does."""
    add("child", 10)
    child = os.fork()
    if child:
        wait_for_children(child)
    else:
        add("grandchild", 3)


def processes(context: Any) -> None:
    targets = [(work, (1,), 0), (work_on, (), 0), (fail, (), 1), (leave, (), 7), (fork_on, (), 0)]
    children = []
    for target, arguments, code in targets:
        children.append((context.Process(target=target, args=arguments), code))
    for child, _ in children:
        child.start()
    for child, code in children:
        child.join()
        assert child.exitcode == code, child


def pool(context: Any) -> None:
    with context.Pool(2) as pool:
        assert pool.map(work, range(20), chunksize=1) == list(range(20))
        pool.close()
        pool.join()


def executor(context: Any) -> None:
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(executor.map(work, range(20))) == list(range(20))


if __name__ == "__main__":
    assert DATABASE
    influxdb.install()
    add("parent", 100)
    globals()[sys.argv[2]](multiprocessing.get_context(sys.argv[1]))
    stats = influxdb.stats()
    # The first batch leaves after a second, while the children run.
    assert stats["added"] == stats["pending"] + stats["delivered"] == 100
