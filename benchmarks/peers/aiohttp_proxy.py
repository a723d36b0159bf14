"""What most people would write: an aiohttp server, an aiohttp client behind it, and a task for each mirrored copy."""

import argparse
import asyncio
import uuid
from collections.abc import AsyncIterator

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--primary", required=True)
    parser.add_argument("--candidate")
    arguments = parser.parse_args()
    web.run_app(
        application(arguments.primary, arguments.candidate),
        host="127.0.0.1",
        port=arguments.port,
        access_log=None,
        print=None,
    )


def application(primary: str, candidate: str | None) -> web.Application:
    session = web.AppKey("session", ClientSession)
    copies: set[asyncio.Task[None]] = set()

    async def connected(app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(
            connector=TCPConnector(limit=1024), timeout=ClientTimeout(total=60), auto_decompress=False
        ) as app[session]:
            yield

    async def send_copy(request: web.Request, headers: dict[str, str], body: bytes) -> None:
        try:
            async with request.app[session].request(
                request.method,
                f"http://{candidate}{request.raw_path}",
                headers=headers,
                data=body,
                allow_redirects=False,
            ) as answer:
                await answer.read()
        except (ClientError, TimeoutError):
            pass

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        headers["X-Request-Id"] = uuid.uuid4().hex
        headers["X-Forwarded-For"] = request.remote or ""
        headers["X-Forwarded-Proto"] = request.scheme
        if candidate:
            task = asyncio.ensure_future(send_copy(request, headers, body))
            copies.add(task)
            task.add_done_callback(copies.discard)
        async with request.app[session].request(
            request.method, f"http://{primary}{request.raw_path}", headers=headers, data=body, allow_redirects=False
        ) as answer:
            content = await answer.read()
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            return web.Response(status=answer.status, headers=kept, body=content)

    app = web.Application(client_max_size=8 << 20)
    app.cleanup_ctx.append(connected)
    app.router.add_route("*", "/{path:.*}", handle)
    return app


if __name__ == "__main__":
    main()
