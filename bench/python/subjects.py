"""Runs a subject of the benchmark, in a process of its own, and prints its figures as JSON."""

import json
import sys

from calls import floor_calls, original_calls, ours_calls, questdb_calls
from delivery import by_hand, original_loop, ours_delivering, ours_loop
from frames import influxdb_client_frames, ours_frames, questdb_frames
from memory import ours_first_lines, ours_memory
from middleware import asgi, original_requests, ours_requests, wsgi
from recording import original_classic, ours_classic, ours_one_call, questdb_row

SUBJECTS = [
    asgi,
    by_hand,
    floor_calls,
    influxdb_client_frames,
    ours_calls,
    ours_classic,
    ours_delivering,
    ours_first_lines,
    ours_frames,
    ours_loop,
    ours_memory,
    ours_one_call,
    ours_requests,
    questdb_calls,
    questdb_frames,
    questdb_row,
    original_calls,
    original_classic,
    original_loop,
    original_requests,
    wsgi,
]

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    subjects = {subject.__name__: subject for subject in SUBJECTS}
    print(json.dumps(subjects[name](*arguments)))
