"""A mail server in a process of its own: `python -m tests.post_office FOLDER MODE [CERTIFICATE]`.

MODE is `plain`, `starttls` or `smtps`; with a fourth word `user:password` only who signs in may send. Each mail becomes
a file in FOLDER. It refuses for good what goes to refused@…, and for once what goes to later@….
"""

import asyncio
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

ROOT = Path(__file__).parents[1]


class Box:
    def __init__(self, folder):
        self.folder, self.seen = Path(folder), set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused@"):
            return "550 nobody of that name"
        if address.startswith("later@") and address not in self.seen:
            self.seen.add(address)
            return "451 come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        path = self.folder / f"{time.time_ns()}.part"
        path.write_bytes(envelope.content)
        path.rename(path.with_suffix(".eml"))
        return "250 kept"


def main(folder, mode, certificate="", login=""):
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)

    def known(server, session, envelope, mechanism, data):
        right = isinstance(data, LoginPassword) and data.login + b":" + data.password == login.encode()
        return AuthResult(success=right, handled=False)

    wanted = {"auth_required": True, "authenticator": known, "auth_require_tls": mode == "starttls"} if login else {}
    if mode == "starttls":
        wanted |= {"tls_context": context, "require_starttls": True}
    box = Box(folder)
    asyncio.run(serve(lambda: SMTP(box, **wanted), context if mode == "smtps" else None))


async def serve(office, context):
    server = await asyncio.get_running_loop().create_server(office, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class PostOffice:
    def __init__(self, folder, port):
        self.folder, self.port = folder, port

    def letters(self):
        """What has arrived, oldest first."""
        paths = sorted(self.folder.glob("*.eml"))
        return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in paths]


@contextmanager
def open_post_office(folder, mode="plain", certificate="", login=""):
    """Run one; it is listening once this yields."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-W", "ignore", "-m", "tests.post_office", str(folder), mode, str(certificate), login]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield PostOffice(folder, int(process.stdout.readline()))
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    main(*sys.argv[1:])
