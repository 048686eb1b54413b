"""Runs the tests of the official OpenAI SDK for Node, and adds the calls they made."""

import json
import os
import subprocess

from conftest import HERE


def test_the_node_sdk_is_as_content_as_the_python_one(gateway, tmp_path, capsys):
    calls = tmp_path / "calls"
    variables = {
        "TOLLGATE_URL": gateway.url, "TOLLGATE_FAKE_OPENAI": gateway.fakes["openai"],
        "TOLLGATE_CALLS_FILE": str(calls),
    }
    command = ["node", "--test", "--test-reporter=spec", "sdk.test.mjs"]
    environment = {**os.environ, **variables}
    ran = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=300)
    with capsys.disabled():
        print("\n" + ran.stdout)
    gateway.calls.update(json.loads(calls.read_text()))
    assert ran.returncode == 0, ran.stderr
