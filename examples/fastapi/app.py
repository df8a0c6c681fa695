"""A FastAPI application that records each of its requests in the database "example" of the InfluxDB
that the variables INFLUXDB_* name:

    python examples/fastapi/app.py
"""

import os
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from sprockets_influxdb.asgi import InfluxDBMiddleware

app = FastAPI()
app.add_middleware(InfluxDBMiddleware, database=os.environ.get("DATABASE", "example"))


@app.get("/users/{user}")
def user(user: int, request: Request) -> dict[str, int]:
    measurement = request.scope["sprockets_influxdb.measurement"]
    with measurement.duration("query"):
        rows = user % 10
    measurement.set_field("rows", rows)
    return {"rows": rows}


@app.get("/stream")
def stream() -> StreamingResponse:
    def numbers() -> Iterator[str]:
        for number in range(1000):
            yield f"{number}\n"

    return StreamingResponse(numbers(), media_type="text/plain")


@app.get("/fail")
def fail() -> None:
    raise ValueError("this one fails")


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
