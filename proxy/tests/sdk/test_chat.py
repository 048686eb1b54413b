"""The official OpenAI SDK for Python talks to both kinds of providers and cannot tell them apart."""

import asyncio
import json

import openai
import pydantic
import pytest

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]},
        },
    }
    for name, field in [("get_weather", "city"), ("get_time", "zone")]
]
PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="


def ask(text="Good morning"):
    return [{"role": "user", "content": text}]


def text_of(chunks):
    return "".join(it.choices[0].delta.content or "" for it in chunks if it.choices)


def test_a_whole_answer_parses_and_counts(client, model):
    answer = client.chat.completions.create(model=model, messages=ask())
    assert answer.choices[0].message.content == "You said: Good morning"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (2, 4, 6)
    assert answer._request_id.startswith("req_")


def test_the_version_in_the_path_may_be_missing(gateway):
    client = gateway.client(max_retries=0).with_options(base_url=gateway.url)
    assert client.chat.completions.create(model="gpt-4o", messages=ask()).choices[0].finish_reason == "stop"


def test_a_conversation_keeps_its_turns(client, gateway, model):
    messages = [{"role": "system", "content": "Be terse."}, *ask("One")]
    first = client.chat.completions.create(model=model, messages=messages).choices[0].message
    messages += [first, *ask("Two")]
    second = client.chat.completions.create(model=model, messages=messages).choices[0].message
    assert (first.content, second.content) == ("You said: One", "You said: Two")
    sent = json.loads(gateway.last_request(model)["body"])
    assert [it["role"] for it in sent["messages"] if it["role"] != "system"] == ["user", "assistant", "user"]
    assert "Be terse." in json.dumps(sent)


@pytest.mark.parametrize("include", [True, False])
def test_a_stream_shows_usage_only_to_who_asked(client, model, include):
    options = {"stream_options": {"include_usage": True}} if include else {}
    chunks = list(client.chat.completions.create(model=model, messages=ask(), stream=True, **options))
    assert text_of(chunks) == "You said: Good morning"
    assert len({(it.id, it.created, it.model) for it in chunks}) == 1
    assert [it.choices[0].finish_reason for it in chunks if it.choices and it.choices[0].finish_reason] == ["stop"]
    assert [it.usage.total_tokens for it in chunks if it.usage] == ([6] if include else [])
    assert all(it.choices for it in chunks) != include
    assert include or not any("usage" in it.model_fields_set for it in chunks)


def test_the_manner_of_a_stream_does_not_change_what_it_says(client, family):
    chunks = client.chat.completions.create(model=f"{family}-odd", messages=ask("你好, world"), stream=True)
    assert text_of(chunks) == "You said: 你好, world"


def test_a_tool_loop_ends_in_an_answer(client, model):
    messages = ask("Weather?")
    turn = client.chat.completions.create(model=model, messages=messages, tools=TOOLS).choices[0]
    assert turn.finish_reason == "tool_calls"
    call = turn.message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "city"})
    messages += [turn.message, {"role": "tool", "tool_call_id": call.id, "content": "3 degrees"}]
    answer = client.chat.completions.create(model=model, messages=messages, tools=TOOLS).choices[0]
    assert (answer.finish_reason, answer.message.content) == ("stop", "The tool said: 3 degrees")


def test_the_results_of_parallel_tools_travel_together(client, model):
    messages = ask("Both in parallel")
    turn = client.chat.completions.create(model=model, messages=messages, tools=TOOLS).choices[0].message
    assert [it.function.name for it in turn.tool_calls] == ["get_weather", "get_time"]
    results = [{"role": "tool", "tool_call_id": it.id, "content": it.function.name} for it in turn.tool_calls]
    answer = client.chat.completions.create(model=model, messages=[*messages, turn, *results], tools=TOOLS)
    assert answer.choices[0].message.content.startswith("The tool said: ")


def test_streamed_tool_calls_are_assembled_by_the_helper(client, model):
    with client.chat.completions.stream(model=model, messages=ask("Both in parallel"), tools=TOOLS) as stream:
        for _event in stream:
            pass
    choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    calls = [(it.function.name, json.loads(it.function.arguments)) for it in choice.message.tool_calls]
    assert calls == [("get_weather", {"city": "city"}), ("get_time", {"zone": "zone"})]
    assert len({it.id for it in choice.message.tool_calls}) == 2


def test_a_tool_without_arguments_gets_an_empty_object(client, model):
    tool = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
    with client.chat.completions.stream(model=model, messages=ask("Time?"), tools=[tool]) as stream:
        choice = stream.get_final_completion().choices[0]
    assert choice.message.tool_calls[0].function.arguments == "{}"


class Weather(pydantic.BaseModel):
    city: str
    degrees: int


def test_structured_output_is_an_instance_of_its_schema(client, model):
    parsed = client.chat.completions.parse(model=model, messages=ask(), response_format=Weather)
    assert isinstance(parsed.choices[0].message.parsed, Weather)
    with client.chat.completions.stream(model=model, messages=ask(), response_format=Weather) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Weather)


def test_pictures_arrive(client, model):
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PNG}}]
    answer = client.chat.completions.create(model=model, messages=ask(parts))
    assert answer.choices[0].message.content == "You said: What is it? (with 1 image)"


def test_two_choices_are_two_answers(client):
    answer = client.chat.completions.create(model="gpt-4o", messages=ask(), n=2)
    said = [(it.index, it.message.content) for it in answer.choices]
    assert said == [(0, "You said: Good morning"), (1, "You said: Good morning")]
    chunks = list(client.chat.completions.create(model="gpt-4o", messages=ask(), n=2, stream=True))
    for index in (0, 1):
        mine = [it.choices[0].delta.content or "" for it in chunks if it.choices[0].index == index]
        assert "".join(mine) == "You said: Good morning"


def test_a_provider_that_gives_one_choice_says_so(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="claude-sonnet", messages=ask(), n=2)
    assert (caught.value.param, caught.value.code) == ("n", "unsupported_parameter")


def test_a_template_becomes_a_message_and_its_values_stay_values(client, gateway, model):
    template = {"template": {"name": "greeting", "variables": {"name": "Ada {name}"}}}
    client.chat.completions.create(model=model, messages=ask(), extra_body=template)
    sent = gateway.last_request(model)["body"]
    assert "You greet Ada {name} in one sentence." in sent
    assert "variables" not in sent


def test_a_missing_variable_is_named(client, model):
    with pytest.raises(openai.BadRequestError, match="`name` is missing") as caught:
        client.chat.completions.create(model=model, messages=ask(), extra_body={"template": {"name": "greeting"}})
    assert (caught.value.code, caught.value.param) == ("template_variable_missing", "template.variables.name")


def test_tokens_are_counted_where_the_provider_counts_none(client):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    usage = list(client.chat.completions.create(model="gpt-uncounted", messages=ask(), **options))[-1].usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_a_prompt_of_megabytes_goes_through(client, model):
    answer = client.chat.completions.create(model=model, messages=ask("x" * (3 << 20)))
    assert answer.choices[0].finish_reason == "stop"


def test_the_length_of_an_answer_is_bounded(client, model):
    choice = client.chat.completions.create(model=model, messages=ask(), max_completion_tokens=2).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("length", "You said:")


def test_thinking_is_told_apart_from_the_answer(client, family):
    whole = client.chat.completions.create(model=f"{family}-thinking", messages=ask()).choices[0].message
    assert whole.model_extra["reasoning_content"].startswith("The user expects")
    assert whole.content == "You said: Good morning"
    chunks = list(client.chat.completions.create(model=f"{family}-thinking", messages=ask(), stream=True))
    thought = [(it.choices[0].delta.model_extra or {}).get("reasoning_content") or "" for it in chunks]
    assert "".join(thought) == whole.model_extra["reasoning_content"]
    assert text_of(chunks) == whole.content


def test_cached_tokens_are_part_of_the_prompt(client, family):
    usage = client.chat.completions.create(model=f"{family}-cached", messages=ask()).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (21, 3, 24)
    assert usage.prompt_tokens_details.cached_tokens == 7


def test_unknown_fields_ride_along_untouched(client, gateway):
    odd = {"vendor_field": {"deep": [1, "two", None]}, "top_k": 40}
    client.chat.completions.create(model="gpt-4o", messages=ask(), extra_body=odd)
    sent = json.loads(gateway.last_request("gpt-4o")["body"])
    assert {name: sent[name] for name in odd} == odd


def test_unknown_fields_do_not_hurt_a_strict_provider(client):
    odd = {"vendor_field": 1}
    answer = client.chat.completions.create(model="claude-sonnet", messages=ask(), extra_body=odd, user="someone")
    assert answer.choices[0].finish_reason == "stop"


def test_the_provider_sees_its_own_key_and_nothing_of_the_client(client, gateway, model):
    client.chat.completions.create(model=model, messages=ask())
    headers = gateway.last_request(model)["headers"]
    assert "sk-fake-key" in (headers.get("authorization", "") + headers.get("x-api-key", ""))
    assert "sk-tg-" not in json.dumps(headers)
    assert not any(name.startswith("x-stainless") for name in headers)


def test_fifty_calls_at_once_get_fifty_answers(gateway):
    async def one(client, number):
        fields = {"model": ["gpt-4o", "claude-sonnet"][number % 2], "messages": ask(f"number {number}")}
        if number % 3:
            return (await client.chat.completions.create(**fields)).choices[0].message.content
        return text_of([it async for it in await client.chat.completions.create(**fields, stream=True)])

    async def fifty():
        async with gateway.client(kind=openai.AsyncOpenAI, max_retries=0) as client:
            return await asyncio.gather(*(one(client, number) for number in range(50)))

    assert asyncio.run(fifty()) == [f"You said: number {number}" for number in range(50)]
