"""The official SDKs parse the fake providers, with no gateway between: what they accept is the real wire format.

The fakes' base URLs come from TOLLGATE_FAKE_OPENAI and TOLLGATE_FAKE_ANTHROPIC, or TOLLGATE_FAKES names the `fakes`
example, which is then started for the session.
"""

import base64
import json
import os
import struct
import subprocess
import urllib.request

import anthropic
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
CLAUDE_TOOLS = [
    {"name": it["function"]["name"], "input_schema": it["function"]["parameters"]} for it in TOOLS
]
PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg=="


@pytest.fixture(scope="session")
def urls():
    if "TOLLGATE_FAKE_OPENAI" in os.environ:
        yield {"openai": os.environ["TOLLGATE_FAKE_OPENAI"], "anthropic": os.environ["TOLLGATE_FAKE_ANTHROPIC"]}
        return
    if "TOLLGATE_FAKES" not in os.environ:
        pytest.skip("neither TOLLGATE_FAKE_OPENAI nor TOLLGATE_FAKES is set")
    fakes = subprocess.Popen([os.environ["TOLLGATE_FAKES"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield json.loads(fakes.stdout.readline())
    fakes.stdin.close()
    fakes.wait(timeout=10)


@pytest.fixture
def gpt(urls):
    return openai.OpenAI(base_url=urls["openai"], api_key="sk-demo", max_retries=0)


@pytest.fixture
def claude(urls):
    return anthropic.Anthropic(base_url=urls["anthropic"], api_key="sk-demo", max_retries=0)


def ask(text="Good morning"):
    return [{"role": "user", "content": text}]


def stats(url):
    root = url.removesuffix("/v1")
    return json.load(urllib.request.urlopen(f"{root}/__fake/stats"))


class TestOpenAI:
    def test_a_whole_answer_parses_and_counts(self, gpt):
        answer = gpt.chat.completions.create(model="gpt-4o", messages=ask())
        assert answer.choices[0].message.content == "You said: Good morning"
        assert answer.choices[0].finish_reason == "stop"
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (2, 4, 6)
        assert answer._request_id.startswith("req_fake")

    def test_a_stream_says_the_same_and_shows_usage_only_when_asked(self, gpt):
        for include in (True, False):
            options = {"stream_options": {"include_usage": True}} if include else {}
            chunks = list(gpt.chat.completions.create(model="gpt-4o", messages=ask(), stream=True, **options))
            text = "".join(it.choices[0].delta.content or "" for it in chunks if it.choices)
            assert text == "You said: Good morning"
            assert len({(it.id, it.created, it.model) for it in chunks}) == 1
            assert [it.usage.total_tokens for it in chunks if it.usage] == ([6] if include else [])
            assert all("usage" in it.model_fields_set for it in chunks) == include

    def test_the_helper_assembles_a_streamed_tool_call(self, gpt):
        with gpt.chat.completions.stream(model="gpt-4o", messages=ask("Weather?"), tools=TOOLS) as stream:
            for _event in stream:
                pass
        choice = stream.get_final_completion().choices[0]
        assert choice.finish_reason == "tool_calls"
        assert [it.function.name for it in choice.message.tool_calls] == ["get_weather"]
        assert json.loads(choice.message.tool_calls[0].function.arguments) == {"city": "city"}

    def test_parallel_tool_calls_come_when_asked_for(self, gpt):
        answer = gpt.chat.completions.create(model="gpt-4o", messages=ask("Both in parallel"), tools=TOOLS)
        assert [it.function.name for it in answer.choices[0].message.tool_calls] == ["get_weather", "get_time"]
        one = gpt.chat.completions.create(
            model="gpt-4o", messages=ask("Both in parallel"), tools=TOOLS, parallel_tool_calls=False
        )
        assert len(one.choices[0].message.tool_calls) == 1

    def test_a_tool_loop_ends_in_text(self, gpt):
        messages = ask("Weather?")
        first = gpt.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS).choices[0].message
        messages += [first, {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "3 degrees"}]
        last = gpt.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS).choices[0]
        assert (last.finish_reason, last.message.content) == ("stop", "The tool said: 3 degrees")

    @pytest.mark.parametrize("stream", [False, True])
    def test_structured_output_is_an_instance_of_its_schema(self, gpt, stream):
        class Step(pydantic.BaseModel):
            text: str
            number: int

        class Plan(pydantic.BaseModel):
            title: str
            steps: list[Step]
            done: bool

        if stream:
            with gpt.chat.completions.stream(model="gpt-4o", messages=ask(), response_format=Plan) as events:
                answer = events.get_final_completion()
        else:
            answer = gpt.chat.completions.parse(model="gpt-4o", messages=ask(), response_format=Plan)
        assert isinstance(answer.choices[0].message.parsed, Plan)

    def test_several_choices_are_streamed_side_by_side(self, gpt):
        texts = {}
        for chunk in gpt.chat.completions.create(model="gpt-4o", messages=ask(), n=3, stream=True):
            for choice in chunk.choices:
                texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
        assert texts == {index: "You said: Good morning" for index in range(3)}

    def test_images_are_seen(self, gpt):
        parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PNG}}]
        answer = gpt.chat.completions.create(model="gpt-4o", messages=ask(parts))
        assert answer.choices[0].message.content == "You said: What is it? (with 1 image)"

    def test_a_short_answer_ends_by_length(self, gpt):
        choice = gpt.chat.completions.create(model="gpt-4o", messages=ask(), max_completion_tokens=2).choices[0]
        assert (choice.finish_reason, choice.message.content) == ("length", "You said:")

    def test_embeddings_are_the_same_in_both_forms(self, gpt):
        floats = gpt.embeddings.create(model="text-embedding-3-small", input="a b", encoding_format="float")
        default = gpt.embeddings.create(model="text-embedding-3-small", input="a b")
        coded = gpt.embeddings.create(model="text-embedding-3-small", input="a b", encoding_format="base64")
        bytes_of = base64.b64decode(coded.data[0].embedding)
        assert len(floats.data[0].embedding) == 1536
        assert floats.data[0].embedding == default.data[0].embedding
        assert floats.data[0].embedding == list(struct.unpack("<1536f", bytes_of))
        assert floats.usage.prompt_tokens == 2

    def test_embeddings_honour_dimensions_and_lists(self, gpt):
        answer = gpt.embeddings.create(model="text-embedding-3-small", input=["a", "b"], dimensions=8)
        assert [(it.index, len(it.embedding)) for it in answer.data] == [(0, 8), (1, 8)]
        assert answer.data[0].embedding != answer.data[1].embedding

    def test_models_are_listed_and_found(self, gpt):
        assert "gpt-4o" in [it.id for it in gpt.models.list()]
        assert gpt.models.retrieve("gpt-4o").owned_by == "openai"
        with pytest.raises(openai.NotFoundError):
            gpt.models.retrieve("gpt-0")

    def test_a_bad_key_is_an_authentication_error(self, urls):
        with pytest.raises(openai.AuthenticationError) as caught:
            openai.OpenAI(base_url=urls["openai"], api_key="sk-bad-key", max_retries=0).models.list()
        assert caught.value.code == "invalid_api_key"

    @pytest.mark.parametrize(
        "fields, param",
        [
            ({"messages": []}, "messages"),
            ({"messages": [{"role": "clerk", "content": "x"}]}, "messages[0].role"),
            ({"temperature": 3}, "temperature"),
            ({"n": 0}, "n"),
            ({"stream_options": {"include_usage": True}}, "stream_options"),
            ({"parallel_tool_calls": True}, "parallel_tool_calls"),
            ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens"),
            ({"response_format": {"type": "json_object"}}, "messages"),
            ({"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]}, "messages.[0].role"),
        ],
    )
    def test_a_wrong_request_is_refused_with_its_field(self, gpt, fields, param):
        with pytest.raises(openai.BadRequestError) as caught:
            gpt.chat.completions.create(**{"model": "gpt-4o", "messages": ask(), **fields})
        assert caught.value.param == param

    @pytest.mark.parametrize("manner", ["crlf", "bytewise", "comments", "crlf+comments+bytewise", "slow?frame_ms=1"])
    def test_the_manner_of_a_stream_does_not_change_what_it_says(self, gpt, manner):
        chunks = gpt.chat.completions.create(model=f"fake:{manner}", messages=ask(), stream=True)
        assert "".join(it.choices[0].delta.content or "" for it in chunks) == "You said: Good morning"

    @pytest.mark.parametrize(
        "scenario, error",
        [
            ("status?code=429&retry_after=1", openai.RateLimitError),
            ("status?code=503", openai.InternalServerError),
            ("status?code=403", openai.PermissionDeniedError),
            ("missing", openai.NotFoundError),
            ("no-such-scenario", openai.NotFoundError),
            ("reset", openai.APIConnectionError),
            ("cut", openai.APIConnectionError),
        ],
    )
    def test_a_scenario_fails_as_named(self, gpt, scenario, error):
        with pytest.raises(error):
            gpt.chat.completions.create(model=f"fake:{scenario}", messages=ask())

    def test_an_error_event_ends_a_stream(self, gpt):
        stream = gpt.chat.completions.create(model="fake:error-event?after=2", messages=ask(), stream=True)
        with pytest.raises(openai.APIError, match="server had an error"):
            list(stream)

    def test_the_first_calls_fail_and_then_one_succeeds(self, gpt):
        patient = gpt.with_options(max_retries=2)
        answer = patient.chat.completions.create(model="fake:fail-first?n=2&id=python&code=503", messages=ask())
        assert answer.choices[0].finish_reason == "stop"

    def test_a_departure_is_counted(self, gpt, urls):
        before = stats(urls["openai"])["aborted"]
        with gpt.chat.completions.create(
            model="fake:long?frames=100000&frame_ms=1", messages=ask(), stream=True
        ) as stream:
            next(iter(stream))
        for _ in range(1000):
            after = stats(urls["openai"])
            if after["aborted"] > before:
                break
        assert after["aborted"] == before + 1
        assert after["last_abort"]["frames"] < 100


class TestAnthropic:
    def test_a_whole_answer_parses_and_counts(self, claude):
        answer = claude.messages.create(model="claude-sonnet-4", max_tokens=100, messages=ask())
        assert answer.content[0].text == "You said: Good morning"
        assert answer.stop_reason == "end_turn"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2, 4)
        assert answer._request_id.startswith("req_fake")

    def test_the_helper_assembles_a_stream(self, claude):
        with claude.messages.stream(model="claude-sonnet-4", max_tokens=100, messages=ask()) as stream:
            kinds = [it.type for it in stream]
        answer = stream.get_final_message()
        assert answer.content[0].text == "You said: Good morning"
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2, 4)
        assert kinds[0] == "message_start" and kinds[-1] == "message_stop"

    def test_the_raw_events_are_all_known_to_the_sdk(self, claude):
        stream = claude.messages.create(
            model="fake:thinking+tools?calls=2", max_tokens=100, messages=ask(), tools=CLAUDE_TOOLS, stream=True
        )
        seen = {it.type if it.type != "content_block_delta" else it.delta.type for it in stream}
        assert seen == {
            "message_start", "content_block_start", "thinking_delta", "signature_delta", "input_json_delta",
            "content_block_stop", "message_delta", "message_stop",
        }

    def test_a_tool_call_is_assembled_from_its_fragments(self, claude):
        with claude.messages.stream(
            model="claude-sonnet-4", max_tokens=100, messages=ask("Weather?"), tools=CLAUDE_TOOLS
        ) as stream:
            answer = stream.get_final_message()
        assert answer.stop_reason == "tool_use"
        assert [(it.name, it.input) for it in answer.content] == [("get_weather", {"city": "city"})]

    def test_a_tool_without_arguments_gets_an_empty_object(self, claude):
        tool = {"name": "now", "input_schema": {"type": "object", "properties": {}}}
        with claude.messages.stream(model="claude-x", max_tokens=9, messages=ask(), tools=[tool]) as stream:
            assert stream.get_final_message().content[0].input == {}

    def test_parallel_tool_calls_come_when_asked_for(self, claude):
        fields = {"model": "claude-x", "max_tokens": 9, "messages": ask("in parallel"), "tools": CLAUDE_TOOLS}
        assert len(claude.messages.create(**fields).content) == 2
        choice = {"type": "auto", "disable_parallel_tool_use": True}
        assert len(claude.messages.create(**fields, tool_choice=choice).content) == 1

    def test_a_thinking_tool_loop_needs_its_signature(self, claude):
        fields = {
            "model": "claude-x", "max_tokens": 4096, "tools": CLAUDE_TOOLS,
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        }
        turn = claude.messages.create(messages=ask("Weather?"), **fields).content
        assert [it.type for it in turn] == ["thinking", "tool_use"]
        result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": turn[1].id, "content": "3"}]}
        answer = claude.messages.create(messages=[*ask(), {"role": "assistant", "content": turn}, result], **fields)
        assert answer.content[-1].text == "The tool said: 3"
        forged = [{"type": "thinking", "thinking": "x", "signature": "y"}, turn[1]]
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            claude.messages.create(messages=[*ask(), {"role": "assistant", "content": forged}, result], **fields)
        with pytest.raises(anthropic.BadRequestError, match="Expected `thinking`"):
            claude.messages.create(messages=[*ask(), {"role": "assistant", "content": turn[1:]}, result], **fields)

    def test_structured_output_is_an_instance_of_its_schema(self, claude):
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}
        answer = claude.messages.create(
            model="claude-x", max_tokens=99, messages=ask(),
            output_config={"format": {"type": "json_schema", "schema": schema}},
        )
        assert json.loads(answer.content[0].text) == {"n": 1}

    def test_tokens_are_counted_and_models_listed(self, claude):
        assert claude.messages.count_tokens(model="claude-x", messages=ask("a b c")).input_tokens == 3
        assert "claude-sonnet-4" in [it.id for it in claude.models.list()]
        assert claude.models.retrieve("claude-sonnet-4").type == "model"

    @pytest.mark.parametrize(
        "fields, words",
        [
            ({"extra_body": {"max_tokens": "9"}}, "max_tokens: Input should be a valid integer"),
            ({"messages": []}, "at least one message"),
            ({"messages": [{"role": "assistant", "content": "x"}]}, "first message must use"),
            ({"messages": ask("")}, "non-empty content"),
            ({"messages": ask([{"type": "text", "text": ""}])}, "text content blocks must be non-empty"),
            ({"messages": [*ask(), {"role": "assistant", "content": "x "}]}, "trailing whitespace"),
            ({"messages": [{"role": "system", "content": "x"}]}, "Unexpected role"),
            ({"extra_body": {"temperature": 1}}, "temperature: Extra inputs are not permitted"),
            ({"stop_sequences": [" "]}, "non-whitespace"),
            ({"tool_choice": {"type": "auto"}}, "while providing tools"),
            ({"extra_body": {"frequency_penalty": 1}}, "Extra inputs are not permitted"),
            ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "should match pattern"),
            ({"tools": [{"name": "a", "input_schema": {}}]}, "input_schema.type"),
            ({"tools": CLAUDE_TOOLS + CLAUDE_TOOLS}, "must be unique"),
            (
                {"messages": ask([{"type": "tool_result", "tool_use_id": "t", "content": "x"}]), "tools": CLAUDE_TOOLS},
                "unexpected `tool_use_id`",
            ),
            (
                {
                    "messages": [
                        *ask(),
                        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "a", "input": {}}]},
                        *ask([{"type": "text", "text": "first"}, {"type": "tool_result", "tool_use_id": "t"}]),
                    ],
                    "tools": CLAUDE_TOOLS,
                },
                "were found without `tool_result` blocks immediately after",
            ),
            (
                {"messages": ask([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "/9j/"}}])},
                "does not appear to be one",
            ),
        ],
    )
    def test_a_wrong_request_is_refused_in_the_api_s_words(self, claude, fields, words):
        with pytest.raises(anthropic.BadRequestError, match=words) as caught:
            claude.messages.create(**{"model": "claude-x", "max_tokens": 9, "messages": ask(), **fields})
        assert caught.value.body["error"]["type"] == "invalid_request_error"

    @pytest.mark.parametrize(
        "fields, words",
        [({"temperature": 1.5}, "range: 0..1"), ({"temperature": 1, "top_p": 1}, "cannot both be specified")],
    )
    def test_the_old_version_knows_sampling_parameters(self, claude, fields, words):
        old = claude.with_options(default_headers={"anthropic-version": "2023-06-01"})
        good = old.messages.create(model="c", max_tokens=9, messages=ask(), extra_body={"temperature": 1})
        assert good.content[0].text == "You said: Good morning"
        with pytest.raises(anthropic.BadRequestError, match=words):
            old.messages.create(model="c", max_tokens=9, messages=ask(), extra_body=fields)

    @pytest.mark.parametrize("missing", ["x-api-key", "anthropic-version"])
    def test_a_missing_header_is_refused(self, urls, missing):
        headers = {"x-api-key": "k", "anthropic-version": "2023-06-01", "content-type": "application/json"}
        del headers[missing]
        body = json.dumps({"model": "claude-x", "max_tokens": 9, "messages": ask()}).encode()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(f"{urls['anthropic']}/v1/messages", body, headers))
        assert caught.value.code == (401 if missing == "x-api-key" else 400)

    @pytest.mark.parametrize(
        "scenario, error",
        [
            ("status?code=529", anthropic.InternalServerError),
            ("status?code=429&retry_after=1", anthropic.RateLimitError),
            ("missing", anthropic.NotFoundError),
            ("reset", anthropic.APIConnectionError),
        ],
    )
    def test_a_scenario_fails_as_named(self, claude, scenario, error):
        with pytest.raises(error):
            claude.messages.create(model=f"fake:{scenario}", max_tokens=9, messages=ask())

    def test_an_error_event_ends_a_stream(self, claude):
        with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
            with claude.messages.stream(model="fake:error-event?code=529", max_tokens=9, messages=ask()) as stream:
                stream.get_final_message()

    @pytest.mark.parametrize("manner", ["crlf", "bytewise", "comments", "slow?frame_ms=1"])
    def test_the_manner_of_a_stream_does_not_change_what_it_says(self, claude, manner):
        with claude.messages.stream(model=f"fake:{manner}", max_tokens=9, messages=ask()) as stream:
            assert stream.get_final_text() == "You said: Good morning"

    def test_cached_tokens_are_reported_apart_from_the_input(self, claude):
        with claude.messages.stream(
            model="fake:usage?input=5&cached=7&cache_write=9&output=3", max_tokens=9, messages=ask()
        ) as stream:
            usage = stream.get_final_message().usage
        counts = (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens)
        assert (*counts, usage.output_tokens) == (5, 7, 9, 3)
