"""Embeddings and models, by the official OpenAI SDK for Python."""

import base64
import struct

import openai
import pytest

MODELS = ["text-embedding-3-small", "embeds-floats", "embeds-base64"]


@pytest.mark.parametrize("model", MODELS)
def test_embeddings_are_the_same_in_every_form(client, model):
    default = client.embeddings.create(model=model, input="a b")
    floats = client.embeddings.create(model=model, input="a b", encoding_format="float")
    coded = client.embeddings.create(model=model, input="a b", encoding_format="base64")
    assert len(default.data[0].embedding) == 1536
    assert default.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-6)
    assert default.data[0].embedding == list(struct.unpack("<1536f", base64.b64decode(coded.data[0].embedding)))
    assert default.usage.prompt_tokens == 2


def test_many_inputs_keep_their_order_and_size(client):
    answer = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"], dimensions=8)
    assert [(it.index, len(it.embedding)) for it in answer.data] == [(0, 8), (1, 8)]


def test_a_provider_without_embeddings_is_a_clear_refusal(client):
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model="claude-sonnet", input="a")


def test_models_are_listed_and_found(client):
    listed = [it.id for it in client.models.list()]
    assert {"gpt-4o", "claude-sonnet", "vendor/chat:latest"} <= set(listed)
    for model in ["gpt-4o", "vendor/chat:latest"]:
        assert client.models.retrieve(model).id == model


def test_a_model_id_may_keep_its_slash(gateway):
    answer = gateway.raw("/v1/models/vendor/chat:latest")
    assert (answer.status, b'"vendor/chat:latest"' in answer.body) == (200, True)


def test_a_key_sees_only_the_models_it_may_use(gateway):
    listed = [it.id for it in gateway.client("narrow", max_retries=0).models.list()]
    assert listed and all(it.startswith("claude-") for it in listed)


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-0")
    assert caught.value.code == "model_not_found"
