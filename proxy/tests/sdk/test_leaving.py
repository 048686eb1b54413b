"""A client that stops reading half-way: the provider is stopped at once, and the ledger has one row of it."""

import time

from conftest import eventually
from test_chat import ask
from test_ledger import used_by


def test_a_client_that_leaves_stops_the_provider_and_pays_once(gateway, family):
    model, before = f"{family}-long", gateway.stats(family)["aborted"]
    row = used_by(gateway, "leaver")
    stream = gateway.client("leaver", max_retries=0).chat.completions.create(model=model, messages=ask(), stream=True)
    chunks = iter(stream)
    heard = [next(chunks) for _ in range(20)]
    left_ms = time.time() * 1000
    stream.close()

    after = eventually(lambda: (it := gateway.stats(family))["aborted"] > before and it)
    assert after["aborted"] == before + 1
    assert after["last_abort"]["at_unix_ms"] - left_ms <= 100, "milliseconds until the provider was stopped"

    now = eventually(lambda: (it := used_by(gateway, "leaver"))["calls"] > row["calls"] and it)
    assert now["calls"] == row["calls"] + 1
    assert now["output"] - row["output"] >= len(heard) - 2, "what was received is paid for"
    assert now["output"] - row["output"] < 100_000, "what was not is not"
