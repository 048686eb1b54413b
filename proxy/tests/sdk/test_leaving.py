"""A client that stops reading half-way: the provider is stopped at once, and the ledger has one row of it."""

import time

from conftest import eventually
from test_chat import ask


def test_a_client_that_leaves_stops_the_provider_and_pays_once(gateway, family):
    model, before = f"{family}-long", gateway.stats(family)["aborted"]
    used = gateway.usage()["leaver"]
    stream = gateway.client("leaver", max_retries=0).chat.completions.create(model=model, messages=ask(), stream=True)
    chunks = iter(stream)
    heard = [next(chunks) for _ in range(20)]
    left_ms = time.time() * 1000
    stream.close()

    after = eventually(lambda: (it := gateway.stats(family))["aborted"] > before and it)
    assert after["aborted"] == before + 1
    assert after["last_abort"]["at_unix_ms"] - left_ms <= 100, "milliseconds until the provider was stopped"

    now = eventually(lambda: (it := gateway.usage()["leaver"])["calls"] > used["calls"] and it)
    assert now["calls"] == used["calls"] + 1
    output = now["output_tokens"] - used["output_tokens"]
    assert len(heard) - 2 <= output < 100_000, "what was received is paid for, and what was not is not"
    assert now["used"]["tokens_held"] == now["used"]["concurrent"] == 0
