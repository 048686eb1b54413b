"""Limits, as the official OpenAI SDK for Python meets them; keys, as their owner handles them beside the gateway."""

import threading

import openai
import pytest
from conftest import eventually, fetch
from test_chat import ask


def test_a_call_that_must_wait_is_retried_by_the_sdk_and_succeeds(gateway):
    first = threading.Thread(
        target=gateway.client("single", max_retries=0).chat.completions.create,
        kwargs={"model": "gpt-gate", "messages": ask("first")},
    )
    before = gateway.stats("gpt")["in_flight"]
    first.start()
    eventually(lambda: gateway.stats("gpt")["in_flight"] == before + 1)

    seen = []
    client = gateway.client("single", seen=seen, max_retries=2)
    second = threading.Thread(target=client.chat.completions.create, kwargs={"model": "gpt-4o", "messages": ask()})
    second.start()
    eventually(lambda: seen)
    gateway.open_gate("gpt", "python")
    first.join(timeout=30)
    second.join(timeout=30)
    assert seen == [429, 200]


def test_a_minute_has_only_so_many_calls(gateway):
    client = gateway.client("hurried", max_retries=0)
    for _ in range(2):
        client.chat.completions.create(model="gpt-4o", messages=ask())
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=ask())
    assert caught.value.code == "requests_per_minute_exceeded"
    assert 0 < float(caught.value.response.headers["retry-after-ms"]) <= 60_000


def test_a_spent_cap_is_not_worth_a_retry(gateway):
    seen, before = [], gateway.stats("gpt")["calls"]
    client = gateway.client("capped", seen=seen, max_retries=2)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=ask(), max_tokens=1000)
    assert (caught.value.code, caught.value.type) == ("tokens_per_day_exceeded", "insufficient_quota")
    assert seen == [429]
    assert gateway.stats("gpt")["calls"] == before, "a refusal costs no provider anything"


def test_what_a_call_did_not_use_is_given_back(gateway):
    client = gateway.client("capped", max_retries=0)
    for _ in range(3):
        client.chat.completions.create(model="gpt-4o", messages=ask("a"), max_tokens=20)


def test_an_answer_says_where_the_key_stands(gateway):
    create = gateway.client("capped", max_retries=0).chat.completions.with_raw_response.create
    headers = create(model="gpt-4o", messages=ask("a"), max_tokens=10).headers
    assert headers["x-ratelimit-limit-tokens"] == "50"
    assert 0 < int(headers["x-ratelimit-remaining-tokens"]) < 50


def test_a_key_works_from_its_creation_to_its_revocation(gateway):
    key = gateway.cli("key", "create", "--name", "visitor", "--models", "gpt-4o").strip()
    assert key.startswith("sk-tg-") and "\n" not in key
    gateway.names[key] = "visitor"
    client = gateway.client(max_retries=0).with_options(api_key=key)
    client.chat.completions.create(model="gpt-4o", messages=ask())
    assert "visitor" in gateway.cli("key", "list")
    assert key not in gateway.cli("key", "list")

    gateway.cli("key", "revoke", "visitor")
    with pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=ask())
    assert caught.value.code == "key_revoked"


@pytest.mark.parametrize("path, status", [("/healthz", 200), ("/readyz", 200)])
def test_probes_need_no_key(gateway, path, status):
    assert fetch(gateway.url + path).status == status
