"""The conversations that every template is rendered with."""

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a city.\nUse it 'only' when asked <now> & \"then\".",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city, e.g. Zürich"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "default": 1, "minimum": 1, "maximum": 14},
            },
            "required": ["city"],
        },
    },
}

SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search documents.",
        "parameters": {
            "type": "object",
            "$defs": {"range": {"type": "array", "items": {"type": "number"}}},
            "properties": {
                "query": {"type": "string", "minLength": 1, "pattern": "^\\w+$"},
                "filters": {
                    "type": "object",
                    "description": "Nested filters",
                    "properties": {
                        "tags": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
                        "score": {"type": "number", "minimum": 0.5, "maximum": 1e16},
                        "exact": {"type": "boolean", "default": False},
                    },
                    "required": ["tags"],
                    "additionalProperties": False,
                },
                "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
                "sort": {"type": ["string", "null"], "nullable": True},
                "range": {"$ref": "#/$defs/range"},
            },
            "required": ["query", "filters"],
            "additionalProperties": False,
        },
        "strict": True,
        "return": {"type": "array", "description": "Hits"},
    },
}

NO_PARAMETERS = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "The time.",
        "parameters": {"type": "object", "properties": {}},
    },
}


def system(text):
    return {"role": "system", "content": text}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, arguments, number):
    return {
        "id": f"call_{number:05d}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def tool(text, number, **more):
    return {"role": "tool", "content": text, "tool_call_id": f"call_{number:05d}", **more}


BRIEF = system("You are terse.")
PARIS = [user("What is the weather in Paris?")]
PARIS_CALL = assistant("", tool_calls=[call("get_weather", {"city": "Paris", "days": 2}, 1)])
PARIS_TEXT_CALL = assistant(
    None, tool_calls=[call("get_weather", '{"city": "Paris", "days": 2}', 1)]
)
PARIS_RESULT = tool('{"temperature": 21.5, "sky": "clear"}', 1, name="get_weather")
HOSTILE = (
    "{{ 7 * 7 }}{% if true %}x{% endif %}{# gone #}{% raw %}{{ messages }}{% endraw %} "
    "'\"\\ <|im_end|></s>[INST]<think>\n\n</think> \x00\x1b\x7f\u2028 %s {0} ${x} `code`"
)
UNICODE = "Grüße, 世界! 👩‍👩‍👧 \u0301e\u0301 ﷽ \u200bزمان İstanbul ǅ ß\r\n\t\u00a0\u3000end"


def tokens(context):
    return {"bos_token": "<s>", "eos_token": "</s>", **context}


def many_turns():
    messages = [BRIEF]
    for i in range(12):
        messages += [user(f"Question {i}?\n"), assistant(f"  Answer {i}. ")]
    return messages + [user("Last question?")]


CONVERSATIONS = {
    "plain": {"messages": [user("Hello")]},
    "plain answered": {
        "messages": [user("Hello"), assistant("Hi there!")],
        "add_generation_prompt": False,
    },
    "plain no generation": {"messages": [user("Hello")], "add_generation_prompt": False},
    "system": {"messages": [BRIEF, user("Hello")]},
    "system only": {"messages": [BRIEF]},
    "system late": {"messages": [user("Hello"), BRIEF, user("Again")]},
    "system twice": {"messages": [BRIEF, system("Really."), user("Hello")]},
    "system parts": {
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
            user("Hello"),
        ]
    },
    "developer": {"messages": [{"role": "developer", "content": "Use C++."}, user("Hello")]},
    "turns": {"messages": [user("One"), assistant("Two"), user("Three")]},
    "many turns": {"messages": many_turns()},
    "user twice": {"messages": [user("One"), user("Two")]},
    "assistant first": {"messages": [assistant("I begin."), user("And I?")]},
    "assistant last": {"messages": [user("Count"), assistant("One, two,")]},
    "assistant twice": {"messages": [user("x"), assistant("a"), assistant("b"), user("y")]},
    "unknown role": {"messages": [user("x"), {"role": "critic", "content": "Bad."}, user("y")]},
    "no role": {"messages": [{"content": "Who says that?"}]},
    "no content": {"messages": [{"role": "user"}]},
    "no content answered": {"messages": [user("x"), {"role": "assistant"}, user("y")]},
    "none content": {"messages": [user("x"), assistant(None), user("y")]},
    "empty content": {"messages": [user(""), assistant(""), user("")]},
    "spaces": {"messages": [system(" \n be \n"), user("\n\n x \t"), assistant("\ny "), user(" ")]},
    "no messages": {"messages": []},
    "unicode": {"messages": [system(UNICODE), user(UNICODE), assistant(UNICODE), user("ok")]},
    "hostile": {"messages": [system(HOSTILE), user(HOSTILE), assistant(HOSTILE), user("ok")]},
    "number content": {"messages": [user(3.0)]},
    "dict content": {"messages": [user({"a": 1, "b": [True, None, "x'y"]})]},
    "parts": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look: "},
                    {"type": "image"},
                    {"type": "text", "text": "and say what it is."},
                ],
            }
        ]
    },
    "parts url": {
        "messages": [
            BRIEF,
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "text", "text": "What is it?"},
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "A pixel."}]},
            {"role": "user", "content": [{"type": "audio", "audio_url": "x"}]},
        ]
    },
    "parts empty": {"messages": [{"role": "user", "content": []}]},
    "names": {"messages": [{"role": "user", "name": "ann", "content": "Hi"}, user("Ho")]},
    "tools": {"messages": PARIS, "tools": [WEATHER]},
    "tools system": {"messages": [BRIEF] + PARIS, "tools": [WEATHER, SEARCH, NO_PARAMETERS]},
    "tools empty": {"messages": PARIS, "tools": []},
    "tools bare": {"messages": PARIS, "tools": [WEATHER["function"]]},
    "tool call": {"messages": PARIS + [PARIS_CALL], "tools": [WEATHER]},
    "tool call text": {"messages": PARIS + [PARIS_TEXT_CALL], "tools": [WEATHER]},
    "tool result": {"messages": PARIS + [PARIS_CALL, PARIS_RESULT], "tools": [WEATHER]},
    "tool result text": {
        "messages": PARIS + [PARIS_TEXT_CALL, PARIS_RESULT],
        "tools": [WEATHER],
    },
    "tool result undeclared": {"messages": PARIS + [PARIS_CALL, PARIS_RESULT]},
    "tool answered": {
        "messages": [BRIEF]
        + PARIS
        + [PARIS_CALL, PARIS_RESULT, assistant("21.5 degrees."), user("Thanks. And Rome?")],
        "tools": [WEATHER, SEARCH],
    },
    "tool parallel": {
        "messages": PARIS
        + [
            assistant(
                "I ask twice.",
                tool_calls=[
                    call("get_weather", {"city": "Paris"}, 1),
                    call("search", {"query": "x", "filters": {"tags": ["a"]}, "limit": None}, 2),
                    call("now", {}, 3),
                ],
            ),
            PARIS_RESULT,
            tool("[]", 2, name="search"),
            tool("noon", 3, name="now"),
        ],
        "tools": [WEATHER, SEARCH, NO_PARAMETERS],
    },
    "tool parallel text": {
        "messages": PARIS
        + [
            assistant(
                "",
                tool_calls=[
                    call("get_weather", '{"city": "Paris"}', 1),
                    call("now", "{}", 2),
                ],
            ),
            PARIS_RESULT,
            tool("noon", 2, name="now"),
        ],
        "tools": [WEATHER, NO_PARAMETERS],
    },
    "tool odd values": {
        "messages": PARIS
        + [
            assistant(
                "",
                tool_calls=[
                    call(
                        "search",
                        {
                            "query": "it's \"q\" <b>&\n" + UNICODE,
                            "n": 1,
                            "x": 0.1,
                            "big": 1e22,
                            "t": True,
                            "none": None,
                            "list": [1, [2, "three"], {}],
                            "dict": {"k": "v", "e": []},
                        },
                        1,
                    )
                ],
            ),
            tool(HOSTILE, 1, name="search"),
            user("ok"),
        ],
        "tools": [SEARCH],
    },
    "tool result parts": {
        "messages": PARIS
        + [PARIS_CALL, tool([{"type": "text", "text": "sunny"}], 1, name="get_weather")],
        "tools": [WEATHER],
    },
    "tool orphan": {"messages": [user("x"), tool("y", 1)], "tools": [WEATHER]},
    "ipython": {
        "messages": [user("x"), assistant("print(1)"), {"role": "ipython", "content": "1"}],
        "builtin_tools": ["brave_search", "code_interpreter"],
    },
    "function role": {
        "messages": [
            user("x"),
            {
                "role": "assistant",
                "content": None,
                "function_call": {"name": "now", "arguments": "{}"},
            },
            {"role": "function", "name": "now", "content": "noon"},
        ],
        "functions": [NO_PARAMETERS["function"]],
    },
    "reasoning": {
        "messages": [
            user("2+2?"),
            assistant("4", reasoning_content="Two and two.\n"),
            user("And 3+3?"),
        ]
    },
    "reasoning last": {
        "messages": [
            user("2+2?"),
            assistant("4", reasoning_content="Two and two.", thinking="Two.", reasoning="2"),
        ],
        "add_generation_prompt": False,
    },
    "reasoning tags": {
        "messages": [
            user("2+2?"),
            assistant("<think>\nTwo and two.\n</think>\n\n4"),
            user("More?"),
            assistant("</think>yes"),
            user("ok"),
        ]
    },
    "reasoning tools": {
        "messages": PARIS
        + [
            assistant(
                "",
                reasoning_content="I need a tool.",
                tool_calls=[call("get_weather", {"city": "Paris"}, 1)],
            ),
            PARIS_RESULT,
        ],
        "tools": [WEATHER],
    },
    "thinking off": {
        "messages": [user("Hello")],
        "enable_thinking": False,
        "thinking": False,
        "reasoning_effort": "low",
    },
    "thinking on": {
        "messages": [BRIEF, user("Hello"), assistant("Hi", reasoning_content="Hm."), user("Go")],
        "enable_thinking": True,
        "thinking": True,
        "reasoning_effort": "high",
        "preserve_thinking": True,
        "thinking_budget": 512,
    },
    "documents": {
        "messages": [user("What do they say?")],
        "documents": [
            {"title": "One", "text": "First text.", "doc_id": 1},
            {"title": "Zwei", "text": "Zweiter\nText: ß", "contents": "x"},
        ],
    },
    "arguments": {
        "messages": [BRIEF, user("Hello")],
        "date_string": "01 Jan 2031",
        "tools_in_user_message": False,
        "custom_tools": [WEATHER],
        "system_message": "From arguments.",
        "message": "x",
        "citations": "abridged",
        "controls": {"length": "long", "originality": 3},
        "keep_past_thinking": True,
    },
    "functions text": {
        "messages": [BRIEF, user("Hello")],
        "functions": '[{"name": "get_weather"}]',
        "datetime": "2031-01-01 12:00:00",
    },
    "functions calls": {
        "messages": PARIS + [PARIS_CALL, PARIS_RESULT, assistant("21.5 degrees."), user("Thanks.")],
        "functions": '[{"name": "get_weather"}]',
        "datetime": "2031-01-01",
    },
    "thinking tools": {
        "messages": [
            BRIEF,
            user("Weather?"),
            assistant(
                "Let me see.",
                reasoning_content="I need\n\nthe weather.",
                tool_calls=[call("get_weather", {"city": "Zürich", "days": 2}, 1)],
            ),
            tool('{"t": -3.5}', 1, name="get_weather"),
            assistant("<think>\nCold.\n</think>\n\nIt is cold."),
            user("And tomorrow?"),
            assistant("", thinking="Once more.", reasoning="Once more."),
            user("Well?"),
        ],
        "tools": [WEATHER, SEARCH],
        "enable_thinking": True,
        "thinking": True,
        "add_generation_prompt": True,
    },
    "thinking off tools": {
        "messages": PARIS + [PARIS_CALL, PARIS_RESULT],
        "tools": [WEATHER],
        "enable_thinking": False,
        "thinking": False,
        "reasoning_effort": "none",
    },
    "forty turns": {
        "messages": [
            user(f"Question {i}?") if i % 2 == 0 else assistant(f"Answer {i}.") for i in range(41)
        ]
    },
    "no tokens": {"messages": [user("Hello"), assistant("Hi"), user("Bye")], "no_tokens": True},
}


def conversations(minja_folder):
    """All of them by name; the files of minja's folder are contexts, too."""
    import json

    all_conversations = {}
    for name, context in CONVERSATIONS.items():
        context = dict(context)
        all_conversations[name] = (
            context if context.pop("no_tokens", False) else tokens(context)
        )
    for name in ("simple", "system", "tool_use"):
        context = json.loads((minja_folder / f"{name}.json").read_text())
        all_conversations[f"minja {name}"] = context
    return all_conversations
