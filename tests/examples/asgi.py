"""ASGI: only requests and websockets with a VALID token reach the application.

jeton() answers 401, 403, 429 or 503 itself; scope["jeton"] says who asks.

    uvicorn asgi:app
"""
import asyncio
import json

from verify_http import bearer, verify


def jeton(app, *scopes):
    async def guarded(scope, receive, send):
        if scope["type"] == "lifespan":
            return await app(scope, receive, send)
        status, answer, fields = await asyncio.to_thread(verify, bearer(
            b", ".join(v for k, v in scope["headers"] if k == b"authorization")
            .decode("latin-1")), *scopes)

        async def send_with_fields(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *(
                    (k.lower().encode(), v.encode()) for k, v in fields)]
            await send(message)

        if status == 200:
            scope = {**scope, "jeton": answer}
            return await app(scope, receive, send_with_fields)
        if scope["type"] == "websocket":  # the server makes a 403 of it
            return await send({"type": "websocket.close", "code": 1008})
        await respond(send_with_fields, status,
                      {k: answer[k] for k in ("code", "detail")})
    return guarded


async def respond(send, status, answer):
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body",
                "body": json.dumps(answer).encode()})


async def orders(scope, receive, send):
    if scope["type"] == "http":
        who = {k: scope["jeton"][k] for k in ("id", "owner")}
        await respond(send, 200, who)


app = jeton(orders, "orders:read")
