"""What goes wrong reaches the official OpenAI SDK for Python as the exception that it has for it."""

import json

import openai
import pytest
from conftest import eventually
from test_chat import ask


def test_an_unknown_key_is_an_authentication_error(gateway):
    with pytest.raises(openai.AuthenticationError) as caught:
        gateway.client("nobody", max_retries=0).chat.completions.create(model="gpt-4o", messages=ask())
    assert caught.value.code == "invalid_api_key"
    assert caught.value.request_id.startswith("req_")
    assert "sk-tg-sdk-tests-nobody" not in str(caught.value)


def test_an_expired_key_says_so(gateway):
    with pytest.raises(openai.AuthenticationError) as caught:
        gateway.client("expired", max_retries=0).models.list()
    assert caught.value.code == "key_expired"


def test_a_missing_key_says_so(gateway):
    answer = gateway.raw("/v1/models", headers={})
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (401, "key_missing")


def test_a_key_opens_only_its_models(gateway):
    with pytest.raises(openai.PermissionDeniedError) as caught:
        gateway.client("narrow", max_retries=0).chat.completions.create(model="gpt-4o", messages=ask())
    assert (caught.value.code, caught.value.param) == ("model_not_allowed", "model")


def test_a_wrong_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-0", messages=ask())
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"model": 7}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"n": 0}, "n"),
        ({"max_tokens": "many"}, "max_tokens"),
    ],
)
def test_a_bad_request_names_its_field(client, model, fields, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{"model": model, "messages": ask(), **fields})
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_what_the_provider_finds_wrong_is_passed_on(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=ask(), temperature=3)
    assert caught.value.param == "temperature"


@pytest.mark.parametrize(
    "body, code",
    [
        (b"{", "invalid_json"),
        (b'{"model":"gpt-4o"}', "missing_required_parameter"),
        (b'{"messages":[]}', "missing_required_parameter"),
        (b'{"model":"gpt-4o","model":"x"}', "duplicate_field"),
        (b'{"model":"gpt-4o","messages":[{"role":"user","content":"\xff"}]}', "invalid_json"),
        (b'{"model":"gpt-4o","metadata":' + b"[" * 1000, "json_too_deep"),
    ],
)
def test_a_broken_body_is_told_what_is_broken(gateway, body, code):
    answer = gateway.raw("/v1/chat/completions", body)
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"], error["type"]) == (400, code, "invalid_request_error")
    assert set(error) == {"message", "type", "param", "code"}


def test_a_body_that_is_too_large_is_told_the_bound(client):
    with pytest.raises(openai.APIStatusError, match="33554432 bytes") as caught:
        client.chat.completions.create(model="gpt-4o", messages=ask("x" * (33 << 20)))
    assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")


def test_a_refused_provider_key_is_no_fault_of_the_client(gateway, family):
    seen = []
    client = gateway.client(seen=seen, max_retries=2)
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=f"{family}-refused", messages=ask())
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_authentication_error")
    assert seen == [502], "a retry would be refused alike, and the SDK is told so"


def test_a_silent_provider_is_a_gateway_timeout(client, family):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=f"{family}-impatient", messages=ask())
    assert (caught.value.status_code, caught.value.code) == (504, "upstream_first_byte_timeout")


def test_a_stream_that_fails_before_its_first_word_has_a_status(client, family):
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=f"{family}-early", messages=ask(), stream=True)
    assert caught.value.status_code == 503


def test_a_stream_that_breaks_is_an_api_error(client, family):
    stream = client.chat.completions.create(model=f"{family}-broken", messages=ask(), stream=True)
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert not isinstance(caught.value, openai.APIConnectionError)


def test_a_provider_that_recovers_is_not_noticed(client, family):
    answer = client.chat.completions.create(model=f"{family}-flaky", messages=ask())
    assert answer.choices[0].message.content == "You said: Good morning"


def test_a_busy_provider_says_when_to_come_back(client, family):
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=f"{family}-busy", messages=ask())
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["retry-after"] == "30"


@pytest.mark.parametrize("stream", [True, False])
def test_an_impatient_client_stops_the_provider(client, gateway, family, stream):
    before = gateway.stats(family)["aborted"]
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).chat.completions.create(
            model=f"{family}-hang", messages=ask(), stream=stream
        )
    eventually(lambda: gateway.stats(family)["aborted"] == before + 1)


def test_a_browser_may_send_whatever_its_sdk_sends(gateway):
    wanted = "authorization,content-type,x-stainless-lang,x-stainless-retry-count"
    headers = {
        "origin": "https://app.example", "access-control-request-method": "POST",
        "access-control-request-headers": wanted,
    }
    answer = gateway.raw("/v1/chat/completions", method="OPTIONS", headers=headers)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] in ("*", "https://app.example")
    assert answer.headers["access-control-allow-headers"] == wanted
    assert "POST" in answer.headers["access-control-allow-methods"]


def test_a_browser_may_read_a_refusal(gateway):
    answer = gateway.raw("/v1/models", headers={"origin": "https://app.example"})
    assert answer.status == 401
    assert answer.headers.get_all("access-control-allow-origin") == ["*"]
    assert "x-request-id" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("path", ["/v1/nothing", "/", "/v1/chat"])
def test_a_path_that_leads_nowhere_is_not_found(gateway, path):
    answer = gateway.raw(path, headers={})
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (404, "path_not_found")
