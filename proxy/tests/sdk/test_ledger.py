"""After all tests: the ledger, the limits and the metrics agree with what the clients did. Runs last."""

import os
import pathlib
import re

from conftest import eventually, fetch
from test_chat import ask


def test_a_call_costs_what_its_tokens_cost(gateway):
    client = gateway.client("payer", max_retries=0)
    client.chat.completions.create(model="gpt-4o", messages=ask())
    used = eventually(lambda: (it := gateway.usage()["payer"])["calls"] and it)
    assert (used["input_tokens"], used["output_tokens"]) == (2, 4)
    assert used["charges"] == [{"currency": "USD", "amount": "0.000045"}], "2 at 2.50 and 4 at 10.00 a million"
    client.chat.completions.create(model="claude-sonnet", messages=ask())
    used = eventually(lambda: (it := gateway.usage()["payer"])["calls"] == 2 and it)
    assert used["charges"] == [{"currency": "USD", "amount": "0.000111"}], "2 at 3 and 4 at 15 a million more"
    assert used["unpriced_calls"] == 0


def test_every_call_is_in_the_ledger_once(gateway):
    made = {name: count for name, count in gateway.calls.items() if name and count}

    def recorded():
        return {name: it["calls"] for name, it in gateway.usage().items() if it["calls"]}

    try:
        eventually(lambda: recorded() == made)
    finally:
        assert recorded() == made


def test_nothing_is_held_after_the_last_call(gateway):
    for name, it in gateway.usage().items():
        assert (it["used"]["tokens_held"], it["used"]["concurrent"]) == (0, 0), name


def test_the_metrics_count_the_same_calls(gateway):
    """The refused keys too, which no key's usage shows."""
    text = fetch(gateway.metrics_url).body.decode()
    pathlib.Path(os.environ["TOLLGATE_METRICS_FILE"]).write_text(text)
    counted = sum(int(it) for it in re.findall(r"^tollgate_calls_total\{.*\} (\d+)$", text, re.MULTILINE))
    assert counted == sum(gateway.calls.values())
    assert re.search(r"^tollgate_calls_in_flight 0$", text, re.MULTILINE)
    assert 'model="gpt-0"' not in text, "what clients invent is no label"
