"""`python -m simulator --port 9100`: starts the simulated provider and serves until it is told to end."""

import argparse
import asyncio
import contextlib
import gc
import resource
import signal
import ssl
from pathlib import Path

from simulator.provider import Provider
from simulator.world import World


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulator", description="A simulated model provider.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100, help="0: any free port")
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    parser.add_argument("--port-file", type=Path, help="where to write the port, once it is open")
    return parser.parse_args()


def raise_file_limit() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if options.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.tls_cert, options.tls_key)
    return context


async def serve(options: argparse.Namespace) -> None:
    world = World()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    context = tls(options)
    server = await loop.create_server(
        Provider(world).connection, options.host, options.port, ssl=context, backlog=8192, reuse_address=True
    )
    port = server.sockets[0].getsockname()[1]
    scheme = "http" if context is None else "https"
    if options.port_file is not None:
        # In one step, so that nobody reads half a number.
        part = options.port_file.with_suffix(".part")
        part.write_text(f"{port}\n")
        part.rename(options.port_file)
    print(f"simulator on {scheme}://{options.host}:{port}", flush=True)
    await ended.wait()
    server.close()
    for conn in list(world.connections):
        conn.transport.abort()


def main() -> None:
    raise_file_limit()
    # What was imported stays; looking at it again and again costs pauses.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    asyncio.run(serve(arguments()))


if __name__ == "__main__":
    main()
