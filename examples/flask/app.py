"""A Flask application that records each of its requests in the database "example" of the InfluxDB
that the variables INFLUXDB_* name:

    python examples/flask/app.py
"""

import os
from collections.abc import Iterator

from flask import Flask, Response, g

from sprockets_influxdb.flask import InfluxDB

app = Flask(__name__)
influxdb = InfluxDB(app, database=os.environ.get("DATABASE", "example"))


@app.get("/users/<int:user>")
def user(user: int) -> dict[str, int]:
    with g.influxdb.duration("query"):
        rows = user % 10
    g.influxdb.set_field("rows", rows)
    return {"rows": rows}


@app.get("/stream")
def stream() -> Response:
    def numbers() -> Iterator[str]:
        for number in range(1000):
            yield f"{number}\n"

    return Response(numbers(), mimetype="text/plain")


@app.get("/fail")
def fail() -> str:
    raise ValueError("this one fails")


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8000")))
