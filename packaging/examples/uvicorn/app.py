"""Any ASGI application; uvicorn takes the socket by its number."""
import os


async def app(scope, receive, send):
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    body = b"hello from uvicorn\n"
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(body)).encode()),
                            (b"x-worker", os.environ["SHOAL_PORT"].encode())]})
    await send({"type": "http.response.body", "body": body})
