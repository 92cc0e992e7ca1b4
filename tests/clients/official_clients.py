"""The official clients of OpenAI and Anthropic against a running server.

    python3 -m venv clients && clients/bin/pip install openai anthropic
    clients/bin/python tests/clients/official_clients.py http://127.0.0.1:8080 [names of tests]

A tool for development: nothing that the project's own tests need. Any model will do, also one with
random weights: what is checked is what clients make of the answers, not what they say.
"""
import asyncio
import base64
import json
import struct
import sys
import time
import typing
import unittest

import anthropic
import openai
import pydantic

BASE = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:8080"
HELLO = [{"role": "user", "content": "Once upon a time"}]
TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 8}},
                   "required": ["city"], "additionalProperties": False}}}]
NUM_STREAMS = 200


class Person(pydantic.BaseModel):
    name: typing.Annotated[str, pydantic.Field(max_length=8)]
    kind: typing.Literal["cat", "dog"]
    age: typing.Annotated[int, pydantic.Field(ge=0, le=20)]


class OpenAiCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = openai.OpenAI(base_url=BASE + "/v1", api_key="none", max_retries=0)
        cls.model = cls.client.models.list().data[0].id

    def chat(self, **fields):
        fields = {"model": self.model, "messages": HELLO, "max_tokens": 12, "temperature": 0,
                  **fields}
        return self.client.chat.completions.create(**fields)


class Chat(OpenAiCase):
    def test_whole(self):
        answer = self.chat()
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.usage.completion_tokens, 12)
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertTrue(answer.system_fingerprint.startswith("fp_"))
        self.assertGreaterEqual(answer.usage.prompt_tokens_details.cached_tokens, 0)

    def test_stream_says_the_same(self):
        text, usage = "", None
        stream = self.chat(stream=True, stream_options={"include_usage": True})
        for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
            usage = chunk.usage or usage
        answer = self.chat()
        self.assertEqual(text, answer.choices[0].message.content)
        self.assertEqual(usage.total_tokens, answer.usage.total_tokens)

    def test_stream_helper(self):
        with self.client.chat.completions.stream(model=self.model, messages=HELLO, max_tokens=8,
                                                 temperature=0) as stream:
            deltas = "".join(event.delta for event in stream if event.type == "content.delta")
            final = stream.current_completion_snapshot
        self.assertEqual(final.choices[0].message.content, deltas)

    def test_choices_and_seeds(self):
        one = self.chat(n=3, seed=7, temperature=1.0)
        two = self.chat(n=3, seed=7, temperature=1.0)
        self.assertEqual([c.message.content for c in one.choices],
                         [c.message.content for c in two.choices])
        self.assertEqual(len({c.message.content for c in one.choices}), 3)

    def test_logprobs(self):
        answer = self.chat(logprobs=True, top_logprobs=3)
        tokens = answer.choices[0].logprobs.content
        self.assertEqual(len(tokens), 12)
        for token in tokens:
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertEqual(token.logprob, token.top_logprobs[0].logprob)  # temperature 0
        data = b"".join(bytes(token.bytes) for token in tokens)
        text = data.decode("utf-8", "replace").strip()
        self.assertIn(answer.choices[0].message.content.strip()[:8], text)

    def test_stop_strings(self):
        whole = self.chat(max_tokens=24).choices[0].message.content
        stop = whole[len(whole) // 2:len(whole) // 2 + 3]
        answer = self.chat(max_tokens=24, stop=[stop])
        self.assertEqual(answer.choices[0].message.content, whole[:whole.index(stop)])
        self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_logit_bias_and_penalties(self):
        top = self.chat(logprobs=True, top_logprobs=1, max_tokens=1).choices[0].logprobs.content[0]
        ids = self.client.post("/../tokenize", cast_to=object, body={
            "model": self.model, "prompt": top.token, "add_special_tokens": False})["tokens"]
        if len(ids) == 1:
            other = self.chat(max_tokens=1, logit_bias={str(ids[0]): -100}, logprobs=True)
            self.assertNotEqual(other.choices[0].logprobs.content[0].token, top.token)
        self.chat(presence_penalty=1.5, frequency_penalty=-1, extra_body={"repetition_penalty": 2})

    def test_messages_of_every_kind(self):
        self.chat(messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "a"},
                                         {"type": "text", "text": "b"}], "name": "ann"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_abcde", "type": "function",
                 "function": {"name": "get_weather", "arguments": "{\"city\": \"Oslo\"}"}}]},
            {"role": "tool", "tool_call_id": "call_abcde", "content": "rain"}], tools=TOOLS)

    def test_cancelled_streams_leave_nothing_behind(self):
        for _ in range(8):
            stream = self.chat(stream=True, max_tokens=64, extra_body={"ignore_eos": True})
            next(iter(stream))
            stream.close()
        self.assertEqual(self.chat().usage.completion_tokens, 12)


class Structure(OpenAiCase):
    def test_parse(self):
        answer = self.client.chat.completions.parse(
            model=self.model, messages=HELLO, response_format=Person, max_tokens=100, seed=3)
        self.assertIsInstance(answer.choices[0].message.parsed, Person)

    def test_json_object(self):
        answer = self.chat(response_format={"type": "json_object"}, max_tokens=60, temperature=1,
                           seed=5)
        if answer.choices[0].finish_reason == "stop":
            self.assertIsInstance(json.loads(answer.choices[0].message.content), dict)

    def test_tool_round_trip(self):
        try:
            first = self.chat(tools=TOOLS, tool_choice="required", max_tokens=80,
                              parallel_tool_calls=False)
        except openai.BadRequestError as error:
            self.assertEqual(error.param, "tool_choice")
            self.skipTest("the model's template has no calls: " + error.message)
        call = first.choices[0].message.tool_calls[0]
        self.assertEqual(first.choices[0].finish_reason, "tool_calls")
        self.assertEqual(call.function.name, "get_weather")
        self.assertIn("city", json.loads(call.function.arguments))
        self.chat(messages=HELLO + [first.choices[0].message.model_dump(exclude_none=True),
                                    {"role": "tool", "tool_call_id": call.id, "content": "rain"}],
                  tools=TOOLS)

    def test_streamed_call_is_the_whole_one(self):
        fields = dict(tools=TOOLS, tool_choice="required", max_tokens=80)
        try:
            whole = self.chat(**fields).choices[0].message.tool_calls
        except openai.BadRequestError as error:
            self.skipTest(error.message)
        calls = {}
        for chunk in self.chat(stream=True, **fields):
            for delta in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
                if delta.id:
                    self.assertNotIn(delta.index, calls)
                    calls[delta.index] = [delta.function.name, ""]
                calls[delta.index][1] += delta.function.arguments or ""
        self.assertEqual([[c.function.name, c.function.arguments] for c in whole],
                         [calls[i] for i in sorted(calls)])


class Other(OpenAiCase):
    def test_completions(self):
        answer = self.client.completions.create(model=self.model, prompt=["a", "b"], max_tokens=3,
                                                n=2, logprobs=2, echo=False)
        self.assertEqual(len(answer.choices), 4)
        self.assertEqual(len(answer.choices[0].logprobs.tokens), 3)
        echoed = self.client.completions.create(model=self.model, prompt="Once", max_tokens=3,
                                                echo=True)
        self.assertTrue(echoed.choices[0].text.startswith("Once"))

    def test_scored_prompts(self):
        """As evaluation harnesses ask for the likelihood of a continuation."""
        first = self.client.completions.create(model=self.model, prompt="Once upon a", max_tokens=8,
                                               temperature=0, logprobs=1)
        text = "Once upon a" + first.choices[0].text
        scored = self.client.completions.create(model=self.model, prompt=text, max_tokens=1,
                                                temperature=0, logprobs=1, echo=True)
        found = scored.choices[0].logprobs
        self.assertEqual(len(found.tokens), scored.usage.total_tokens)
        self.assertIsNone(found.token_logprobs[0])
        self.assertIsNone(found.top_logprobs[0])
        for chance, top in zip(found.token_logprobs[1:], found.top_logprobs[1:]):
            self.assertLessEqual(chance, max(top.values()))
        self.assertTrue(scored.choices[0].text.startswith(text))
        self.assertEqual(sorted(found.text_offset), found.text_offset)

    def test_embeddings(self):
        plain = self.client.embeddings.create(model=self.model, input=["hello", "world"],
                                              encoding_format="float")
        vector = plain.data[0].embedding
        self.assertAlmostEqual(sum(x * x for x in vector), 1, places=3)
        coded = self.client.embeddings.create(model=self.model, input="hello")  # asks for base64
        for one, two in zip(vector, coded.data[0].embedding):
            self.assertAlmostEqual(one, two, places=6)
        raw = self.client.post("/embeddings", cast_to=object, body={
            "model": self.model, "input": "hello", "encoding_format": "base64"})
        data = base64.b64decode(raw["data"][0]["embedding"])
        self.assertEqual(struct.unpack("<f", data[:4])[0], coded.data[0].embedding[0])
        short = self.client.embeddings.create(model=self.model, input="hello", dimensions=8)
        self.assertEqual(len(short.data[0].embedding), 8)
        self.assertAlmostEqual(sum(x * x for x in short.data[0].embedding), 1, places=3)

    def test_errors_are_the_right_classes(self):
        with self.assertRaises(openai.NotFoundError) as found:
            self.chat(model="nobody")
        self.assertEqual(found.exception.code, "model_not_found")
        for field, value in {"max_tokens": -1, "temperature": 9e9, "n": 0, "top_p": 2}.items():
            with self.assertRaises(openai.BadRequestError) as found:
                self.chat(**{field: value})
            self.assertEqual(found.exception.param, field)
        with self.assertRaises(openai.BadRequestError) as found:
            self.chat(extra_body={"colour": 1})
        self.assertEqual((found.exception.code, found.exception.param),
                         ("unknown_parameter", "colour"))
        with self.assertRaises(openai.BadRequestError) as found:
            self.chat(prediction={"type": "content", "content": "x"})
        self.assertEqual(found.exception.param, "prediction")
        with self.assertRaises(openai.BadRequestError) as found:
            self.chat(messages=[{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:,x"}}]}])
        self.assertEqual(found.exception.param, "messages[0].content[0].type")
        with self.assertRaises(openai.BadRequestError) as found:
            self.chat(messages=[{"role": "user", "content": "a b c " * 200000}])
        self.assertEqual(found.exception.code, "context_length_exceeded")

    def test_many_streams_at_once(self):
        async def one(client, seed):
            text, end = "", None
            for attempt in range(200):
                try:
                    stream = await client.chat.completions.create(
                        model=self.model, messages=HELLO, max_tokens=8, seed=seed, stream=True)
                    break
                except openai.RateLimitError as error:
                    await asyncio.sleep(float(error.response.headers["retry-after"]))
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
                end = chunk.choices[0].finish_reason or end
            return end

        async def every():
            async with openai.AsyncOpenAI(base_url=BASE + "/v1", api_key="none", max_retries=0,
                                          timeout=600) as client:
                return await asyncio.gather(*(one(client, i) for i in range(NUM_STREAMS)))

        begin = time.monotonic()
        ends = asyncio.run(every())
        print(f"{NUM_STREAMS} streams in {time.monotonic() - begin:.1f} s", file=sys.stderr)
        self.assertTrue(all(end in ("length", "stop") for end in ends), set(ends))


class Responses(OpenAiCase):
    def test_whole_and_streamed(self):
        fields = dict(model=self.model, input="Once upon", max_output_tokens=10, temperature=0)
        whole = self.client.responses.create(**fields)
        self.assertEqual(whole.status, "incomplete")
        self.assertEqual(whole.incomplete_details.reason, "max_output_tokens")
        with self.client.responses.stream(**fields) as stream:
            events = list(stream)
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        self.assertEqual("".join(deltas), whole.output_text)
        self.assertEqual(events[-1].type, "response.incomplete")
        self.assertEqual(events[-1].response.output_text, whole.output_text)
        numbers = [event.sequence_number for event in events]
        self.assertEqual(numbers, list(range(len(numbers))))
        kinds = [event.type for event in events]
        self.assertEqual(kinds[:2], ["response.created", "response.in_progress"])
        self.assertLess(kinds.index("response.output_item.added"),
                        kinds.index("response.content_part.added"))
        self.assertLess(kinds.index("response.output_text.delta"),
                        kinds.index("response.output_text.done"))

    def test_parse(self):
        answer = self.client.responses.parse(model=self.model, input="a cat", text_format=Person,
                                             max_output_tokens=100)
        self.assertIsInstance(answer.output_parsed, Person)

    def test_tools(self):
        tools = [{"type": "function", **TOOLS[0]["function"]}]
        try:
            first = self.client.responses.create(model=self.model, input="rain?", tools=tools,
                                                 tool_choice="required", max_output_tokens=80)
        except openai.BadRequestError as error:
            self.skipTest(error.message)
        call = [item for item in first.output if item.type == "function_call"][0]
        self.assertIn("city", json.loads(call.arguments))
        self.client.responses.create(
            model=self.model, max_output_tokens=4, tools=tools,
            input=[{"role": "user", "content": "rain?"}, *first.output,
                   {"type": "function_call_output", "call_id": call.call_id, "output": "yes"}])

    def test_refusals(self):
        for field, value in {"previous_response_id": "r", "background": True}.items():
            with self.assertRaises(openai.BadRequestError) as found:
                self.client.responses.create(model=self.model, input="a", **{field: value})
            self.assertEqual(found.exception.param, field)


class Anthropic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = anthropic.Anthropic(base_url=BASE, api_key="none", max_retries=0)
        listed = openai.OpenAI(base_url=BASE + "/v1", api_key="none").models.list()
        cls.model = listed.data[0].id

    def create(self, **fields):
        return self.client.messages.create(**{"model": self.model, "messages": HELLO,
                                              "max_tokens": 12,
                                              "extra_body": {"temperature": 0}, **fields})

    def test_whole_and_streamed(self):
        whole = self.create(system="Be brief.")
        self.assertEqual(whole.stop_reason, "max_tokens")
        with self.client.messages.stream(model=self.model, messages=HELLO, max_tokens=12,
                                         system=[{"type": "text", "text": "Be brief."}],
                                         extra_body={"temperature": 0}) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertEqual(text, "".join(b.text for b in whole.content if b.type == "text"))
        self.assertEqual(final.usage.output_tokens, 12)

    def test_tools(self):
        tools = [{"name": "get_weather", "input_schema": TOOLS[0]["function"]["parameters"]}]
        try:
            first = self.create(tools=tools, tool_choice={"type": "any"}, max_tokens=80)
        except anthropic.BadRequestError as error:
            self.skipTest(str(error))
        self.assertEqual(first.stop_reason, "tool_use")
        call = [block for block in first.content if block.type == "tool_use"][0]
        self.assertIn("city", call.input)
        self.create(tools=tools, messages=HELLO + [
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id,
                                          "content": "rain"}]}])

    def test_count_tokens(self):
        counted = self.client.messages.count_tokens(model=self.model, messages=HELLO)
        usage = self.create(max_tokens=1).usage
        self.assertEqual(counted.input_tokens,
                         usage.input_tokens + usage.cache_read_input_tokens)

    def test_errors(self):
        with self.assertRaises(anthropic.NotFoundError):
            self.create(model="nobody")
        with self.assertRaises(anthropic.BadRequestError) as found:
            self.create(messages=[{"role": "user", "content": "a b c " * 200000}])
        self.assertIn("prompt is too long", str(found.exception))
        with self.assertRaises(anthropic.BadRequestError):
            self.create(messages=[{"role": "user", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                             "data": "AA=="}}]}])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
