"""Any WSGI application; gunicorn takes the socket by itself, since it knows systemd's socket activation."""
import os


def app(environ, start_response):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = b"hello from gunicorn\n"
    start_response("200 OK", [("Content-Length", str(len(body))), ("X-Worker", os.environ["SHOAL_PORT"])])
    return [body]
