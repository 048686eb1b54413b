"""Starts the fake providers and a gateway before them, once for all tests, and counts the calls that these make.

TOLLGATE_BIN names the gateway's binary, TOLLGATE_FAKES the `fakes` example.
"""

import collections
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import openai
import pytest

HERE = pathlib.Path(__file__).parent
KEY = "sk-tg-sdk-tests-{}"
Answer = collections.namedtuple("Answer", "status headers body")


def eventually(ready, patience_s=5.0):
    """Asks until the answer is true, and returns it; an assertion fails when patience ends."""
    deadline = time.monotonic() + patience_s
    while not (answer := ready()):
        assert time.monotonic() < deadline, "it never came true"
        threading.Event().wait(0.01)
    return answer


def free_addresses(count):
    """Addresses on loopback that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = ["{}:{}".format(*it.getsockname()) for it in sockets]
    for it in sockets:
        it.close()
    return addresses


def fetch(url, data=None, headers=None, method=None):
    """One HTTP exchange without any SDK; error statuses are answers too."""
    request = urllib.request.Request(url, data, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as it:
            return Answer(it.status, it.headers, it.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


class Serving:
    """A running `tollgate serve`."""

    def __init__(self, config, folder, environment):
        self.config, self.folder, self.environment = config, folder, environment
        self.log = open(folder / "gateway.log", "w+")
        command = [os.environ["TOLLGATE_BIN"], "serve", "--config", config]
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=self.log, stderr=self.log)

    def wait_until_ready(self, address):
        def ready():
            assert self.process.poll() is None, self.said()
            try:
                return fetch(f"http://{address}/readyz").status == 200
            except OSError:
                return False

        eventually(ready, patience_s=60)

    def said(self):
        return pathlib.Path(self.log.name).read_text()

    def cli(self, *arguments):
        """What another command of the binary prints, beside the running gateway."""
        command = [os.environ["TOLLGATE_BIN"], *arguments, "--config", self.config]
        ran = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def stop(self):
        """Asks the gateway to end, and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.log.close()
        return code


class Gateway(Serving):
    """The gateway under test, with the fakes behind it."""

    def __init__(self, folder, fakes):
        listen, metrics, admin = free_addresses(3)
        variables = {
            "SDK_LISTEN": listen, "SDK_METRICS_LISTEN": metrics, "SDK_ADMIN_LISTEN": admin,
            "SDK_DATA_DIR": str(folder / "data"), "SDK_OPENAI_URL": fakes["openai"],
            "SDK_ANTHROPIC_URL": fakes["anthropic"],
        }
        super().__init__(HERE / "gateway.toml", folder, {**os.environ, **variables})
        self.url, self.metrics_url = f"http://{listen}", f"http://{metrics}/metrics"
        self.fakes = fakes
        self.names = {}
        """Keys that are not in the configuration, by their text."""
        self.calls = collections.Counter()
        """Requests made so far that must each leave a row, by the name of their key."""
        self.wait_until_ready(listen)

    def sent(self, method, headers):
        """Counts a request. Questions about models count only where they are refused; preflights never do."""
        self.calls[self._name(headers)] += method == "POST"

    def answered(self, method, headers, status):
        """Corrects the count: the row of a refused key names none."""
        name, denied, posted = self._name(headers), status == 401, method == "POST"
        self.calls[name] += (method == "GET" and status >= 400 and not denied) - (posted and denied)
        self.calls[""] += denied

    def _name(self, headers):
        key = headers.get("authorization", "").removeprefix("Bearer ")
        return self.names.get(key, key.removeprefix(KEY.format("")))

    def client(self, key="main", kind=openai.OpenAI, seen=None, **options):
        """The official client. `seen` collects the status of each answer, retried ones too."""
        options.setdefault("timeout", 30)
        seen = [] if seen is None else seen

        def sent(request):
            self.sent(request.method, request.headers)

        def answered(response):
            self.answered(response.request.method, response.request.headers, response.status_code)
            seen.append(response.status_code)

        async def sent_async(request):
            sent(request)

        async def answered_async(response):
            answered(response)

        if kind is openai.OpenAI:
            http = openai.DefaultHttpxClient(event_hooks={"request": [sent], "response": [answered]})
        else:
            http = openai.DefaultAsyncHttpxClient(event_hooks={"request": [sent_async], "response": [answered_async]})
        return kind(base_url=f"{self.url}/v1", api_key=KEY.format(key), http_client=http, **options)

    def raw(self, path, data=None, method=None, headers=None):
        """A request without any SDK, with the main key unless `headers` say otherwise."""
        plain = {"authorization": f"Bearer {KEY.format('main')}", "content-type": "application/json"}
        headers, method = plain if headers is None else headers, method or ("GET" if data is None else "POST")
        self.sent(method, headers)
        answer = fetch(self.url + path, data, headers, method)
        self.answered(method, headers, answer.status)
        return answer

    def stats(self, model):
        """What the fake behind `model` has seen."""
        return json.loads(fetch(self._fake(model) + "/__fake/stats").body)

    def open_gate(self, model, gate):
        fetch(f"{self._fake(model)}/__fake/open?{gate}", b"")

    def last_request(self, model):
        return self.stats(model)["recent"][-1]

    def usage(self):
        """What each key has used, by its name."""
        return {it["name"]: it for it in json.loads(self.cli("usage", "--json"))["usage"]}

    def _fake(self, model):
        return self.fakes["anthropic"] if model.startswith("claude") else self.fakes["openai"].removesuffix("/v1")


@pytest.fixture(scope="session")
def urls():
    """The base URLs of the fakes themselves."""
    fakes = subprocess.Popen([os.environ["TOLLGATE_FAKES"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield json.loads(fakes.stdout.readline())
    fakes.stdin.close()
    fakes.wait(timeout=10)


@pytest.fixture(scope="session")
def gateway(urls, tmp_path_factory):
    it = Gateway(tmp_path_factory.mktemp("gateway"), urls)
    yield it
    assert it.stop() == 0, "SIGTERM is a good end"


@pytest.fixture
def client(gateway):
    """The main client: what goes wrong shows at once, not after a retry."""
    return gateway.client(max_retries=0)


@pytest.fixture(params=["gpt-4o", "claude-sonnet"])
def model(request):
    """One model whose provider speaks OpenAI's dialect, one whose provider does not."""
    return request.param


@pytest.fixture(params=["gpt", "claude"])
def family(request):
    """The two halves of the models that stand for a scenario."""
    return request.param


def pytest_collection_modifyitems(items):
    """The ledger is read after everything that it must hold."""
    items.sort(key=lambda it: it.module.__name__ == "test_ledger")
