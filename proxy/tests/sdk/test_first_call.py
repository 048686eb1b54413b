"""What a newcomer does: the configuration as it stands, no provider's key, and the README's own commands."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from conftest import HERE, Serving, free_addresses

ROOT = HERE.parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language):
    """The README's blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


class Fresh(Serving):
    """A gateway as `make run` starts it, on other ports."""

    def __init__(self, folder):
        self.listen, metrics, admin = free_addresses(3)
        text = (ROOT / "config/tollgate.toml").read_text()
        text = text.replace("127.0.0.1:8080", self.listen).replace("127.0.0.1:9464", metrics)
        (folder / "tollgate.toml").write_text(text.replace("[server]\n", f'[server]\nadmin_listen = "{admin}"\n'))
        keys = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "TOLLGATE_CLIENT_KEY", "TOLLGATE_MASTER_KEY")
        environment = {name: value for name, value in os.environ.items() if name not in keys}
        super().__init__(folder / "tollgate.toml", folder, environment)
        self.wait_until_ready(self.listen)

    def shell(self, script):
        command = ["bash", "-euo", "pipefail", "-c", script.replace("127.0.0.1:8080", self.listen)]
        environment = {**self.environment, "PATH": f"{pathlib.Path(sys.executable).parent}:{self.environment['PATH']}"}
        ran = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fresh")


@pytest.fixture(scope="module")
def fresh(folder):
    it = Fresh(folder)
    yield it
    assert it.stop() == 0


def curl_line(said):
    """The line that the start tells a newcomer to paste."""
    return re.search(r"^ *(curl .*)$", said, re.MULTILINE)[1]


def test_the_line_that_the_start_prints_works_when_pasted(folder):
    first = Fresh(folder)
    said = first.said()
    assert "OPENAI_API_KEY is not set" in said and "ANTHROPIC_API_KEY is not set" in said
    key = (folder / "data/client-keys/example").read_text().strip()
    assert key in said
    answer = json.loads(first.shell(curl_line(said)))
    assert answer["choices"][0]["message"]["content"].startswith("You said: ")
    assert first.stop() == 0

    again = Fresh(folder)
    assert key not in again.said(), "a key is shown once"
    assert json.loads(again.shell(curl_line(again.said())))["object"] == "chat.completion"
    assert json.loads(again.cli("usage", "--json"))["usage"][0]["calls"] == 2, "a restart forgets no call"
    assert again.stop() == 0


def test_what_is_secret_is_its_owner_s_alone(fresh, folder):
    data = folder / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    secrets = [data / "master-key", data / "admin-token", *(data / "client-keys").iterdir()]
    assert {it.stat().st_mode & 0o777 for it in secrets} == {0o600}


def test_the_readme_s_first_call_answers(fresh):
    script = next(it for it in blocks("sh") if "curl " in it)
    answer = json.loads(fresh.shell(script))
    assert answer["choices"][0]["message"]["content"] == "You said: Good morning"


def test_the_readme_s_python_answers(fresh, folder):
    (folder / "first.py").write_text(blocks("python")[0].replace("127.0.0.1:8080", fresh.listen))
    script = "export TOLLGATE_CLIENT_KEY=$(cat data/client-keys/example); python first.py"
    assert fresh.shell(script) == "You said: Good morning"


def test_the_readme_s_javascript_answers(fresh, folder):
    (folder / "first.mjs").write_text(blocks("js")[0].replace("127.0.0.1:8080", fresh.listen))
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(HERE / "node_modules")
    script = "export TOLLGATE_CLIENT_KEY=$(cat data/client-keys/example); node first.mjs"
    assert fresh.shell(script) == "You said: Good morning\n"


def test_the_readme_s_keys_work_as_shown(fresh):
    script = next(it for it in blocks("sh") if "tollgate key create" in it)
    said = fresh.shell(f'tollgate() {{ {os.environ["TOLLGATE_BIN"]} "$@" --config tollgate.toml; }}\n{script}')
    assert said.startswith("sk-tg-") and "team-a" in said and "revoked" in said


@pytest.mark.parametrize("block", range(len(blocks("toml"))))
def test_the_readme_s_configuration_is_good(fresh, folder, block):
    (folder / "plugins").mkdir(exist_ok=True)
    shutil.copy(ROOT / "plugins/prebuilt/openai.wasm", folder / "plugins/parrot.wasm")
    text = (folder / "tollgate.toml").read_text() + blocks("toml")[block]
    (folder / "grown.toml").write_text(text)
    command = [os.environ["TOLLGATE_BIN"], "check", "--config", "grown.toml"]
    ran = subprocess.run(command, cwd=folder, env=fresh.environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_demo_needs_nothing(tmp_path):
    listen = free_addresses(1)[0]
    demo = subprocess.Popen(
        [os.environ["TOLLGATE_BIN"], "demo", "--listen", listen], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    line = next(it for it in demo.stdout if it.strip().startswith("curl "))
    ran = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    demo.terminate()
    assert demo.wait(timeout=60) == 0
    assert json.loads(ran.stdout)["object"] == "chat.completion"
