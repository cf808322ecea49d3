"""A receiver of OpenTelemetry's traces over HTTP, in a process of its own: `python -m tests.otlp FILE`.

It prints its port, and appends each span that it gets to FILE as a line of JSON.
"""

import json
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROOT = Path(__file__).parents[1]


def plain(attributes):
    return {each["key"]: next(iter(each["value"].values())) for each in attributes}


def spans_of(body):
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        service = plain(MessageToDict(resource.resource)["attributes"])
        for scope in resource.scope_spans:
            for span in scope.spans:
                told = MessageToDict(span)
                yield {
                    "service": service["service.name"],
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": told["kind"],
                    "begin": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                    "failed": told.get("status", {}).get("code") == "STATUS_CODE_ERROR",
                    "attributes": plain(told.get("attributes", [])),
                    "events": told.get("events", []),
                }


class Handler(BaseHTTPRequestHandler):
    file = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with Path(self.file).open("a") as out:
            out.writelines(json.dumps(span) + "\n" for span in spans_of(body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def receiver(file):
    """Run one; yield its address and what returns the spans that it has got."""
    file.touch()
    command = [sys.executable, "-m", "tests.otlp", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline())
        try:
            yield (
                f"http://127.0.0.1:{port}",
                lambda: [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")],
            )
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    Handler.file = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
