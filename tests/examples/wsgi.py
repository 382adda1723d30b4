"""WSGI: only requests with a VALID token reach the application in jeton().

It answers 401, 403, 429 or 503 itself; environ["jeton"] says who asks.

    gunicorn wsgi:app
    flask_app.wsgi_app = jeton(flask_app.wsgi_app, "orders:read")
"""
import json
from http import HTTPStatus

from verify_http import bearer, verify


def jeton(app, *scopes):
    def guarded(environ, start_response):
        status, answer, fields = verify(
            bearer(environ.get("HTTP_AUTHORIZATION", "")), *scopes)

        def start(line, headers, *error):
            return start_response(line, [*headers, *fields], *error)

        if status == 200:
            environ["jeton"] = answer
            return app(environ, start)
        body = json.dumps({k: answer[k] for k in ("code", "detail")}).encode()
        start(f"{status} {HTTPStatus(status).phrase}",
              [("Content-Type", "application/json"),
               ("Content-Length", str(len(body)))])
        return [body]
    return guarded


def orders(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    who = {k: environ["jeton"][k] for k in ("id", "owner")}
    return [json.dumps(who).encode()]


app = jeton(orders, "orders:read")
