"""gunicorn's configuration for ``wsgi.py``, which it is not to import before gunicorn does."""


def post_fork(server: object, worker: object) -> None:
    import wsgi

    wsgi.post_fork(server, worker)
