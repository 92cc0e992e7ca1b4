// Thoughts, calls and hooks over text that comes in any pieces.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "serve/output/channel_parser.h"
#include "serve/output/reasoning_splitter.h"
#include "serve/output/text_hooks.h"
#include "serve/output/tool_call_parser.h"
#include "text/utf8.h"

namespace millrace {
namespace {

// A text cut at random character boundaries; in one piece for chance 0.
std::vector<std::string> pieces_of(const std::string& text, Random& random, double chance) {
  std::vector<std::string> pieces(1);
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t n = decode_utf8(std::string_view(text).substr(i)).num_bytes;
    pieces.back() += text.substr(i, n);
    if (random.chance(chance)) pieces.emplace_back();
    i += n;
  }
  return pieces;
}

OrderedJson tools() {
  return OrderedJson::parse(R"([
    {"type":"function","function":{"name":"sum","parameters":{"type":"object","properties":
      {"x":{"type":"integer"},"note":{"type":"string"}}}}},
    {"type":"function","function":{"name":"now"}}])");
}

// Text as it is, calls as «name arguments».
std::string shown(const ToolCallParser::Output& parts) {
  std::string text;
  for (const AnswerEventKind& part : parts) {
    if (const auto* content = std::get_if<ContentDelta>(&part)) text += content->text;
    if (const auto* begin = std::get_if<ToolCallBegin>(&part)) text += "«" + begin->name + " ";
    if (const auto* delta = std::get_if<ToolCallDelta>(&part)) text += delta->arguments;
    if (std::holds_alternative<ToolCallEnd>(part)) text += "»";
  }
  return text;
}

std::string parsed(ToolFormat format, const std::vector<std::string>& pieces) {
  ToolCallParser parser({.format = format, .tools = tools(), .id_seed = 7});
  ToolCallParser::Output parts;
  for (const std::string& piece : pieces) parser.push(piece, parts);
  parser.flush(parts);
  return shown(parts);
}

struct CallCase {
  ToolFormat format;
  std::string text;
  std::string shown;
};

std::vector<CallCase> call_cases() {
  constexpr ToolFormat kHermes = ToolFormat::kHermes;
  constexpr ToolFormat kLlama = ToolFormat::kLlama3;
  constexpr ToolFormat kMistral = ToolFormat::kMistral;
  constexpr ToolFormat kCoder = ToolFormat::kQwen3Coder;
  constexpr ToolFormat kDeepSeek = ToolFormat::kDeepSeek;
  const std::string call = R"(<tool_call>
{"name": "sum", "arguments": {"x": 1}}
</tool_call>)";
  return {
      {ToolFormat::kNone, call, call},
      {kHermes, call, R"(«sum {"x": 1}»)"},
      {kHermes, "  Sure.\n\n" + call, R"(  Sure.«sum {"x": 1}»)"},
      {kHermes, call + "\n" + call + "\n", R"(«sum {"x": 1}»«sum {"x": 1}»)"},
      {kHermes, call + "\nDone, é.", R"(«sum {"x": 1}»Done, é.)"},
      {kHermes, "a <b> <tool_cal x", "a <b> <tool_cal x"},
      {kHermes, "<tool_call>no call</tool_call> a", "<tool_call>no call</tool_call> a"},
      {kHermes, "<tool_call>" + call, "<tool_call>" + std::string(R"(«sum {"x": 1}»)")},
      {kHermes, R"(<tool_call>{"name": "sum", "arguments": {"x": "}\"{é"}}</tool_call>)",
       R"(«sum {"x": "}\"{é"}»)"},
      {kHermes, R"(<tool_call>{"arguments": {"x": 1}, "name": "sum"}</tool_call>)",
       R"(«sum {"x":1}»)"},
      {kHermes, R"(<tool_call>{"name": "now"}</tool_call>)", "«now {}»"},
      {kHermes, R"(<tool_call>{"name": "sum", "arguments": "{\"x\": 1}"}</tool_call>)",
       R"(«sum {"x": 1}»)"},
      {kHermes, R"(<tool_call>{"name": "sum", "arguments": {"x": 1}, "id": 3}</tool_call>.)",
       R"(«sum {"x": 1}».)"},
      {kHermes, R"(<tool_call>{"name": "sum", "arguments": [1]}</tool_call>)",
       R"(<tool_call>{"name": "sum", "arguments": [1]}</tool_call>)"},
      {kHermes, R"(<tool_call>{"name": "sum", "arguments": {"x": )", R"(«sum {"x": »)"},
      {kHermes, R"(<tool_call>{"name": "su)", R"(<tool_call>{"name": "su)"},
      {kHermes, R"(<tool_call>{"name": "sum", "arguments": {}}<)", "«sum {}»<"},
      {kLlama, R"({"name": "sum", "parameters": {"x": 1}})", R"(«sum {"x": 1}»)"},
      {kLlama, R"(  {"type": "function", "name": "sum", "parameters": {"x": 1}})",
       R"(«sum {"x": 1}»)"},
      {kLlama, R"({"name": "sum", "parameters": {}}; {"name": "now", "parameters": {}})",
       "«sum {}»«now {}»"},
      {kLlama, R"(<|python_tag|>{"name": "odd", "parameters": {}})", "«odd {}»"},
      {kLlama, R"(<|python_tag|>print(1))", "<|python_tag|>print(1)"},
      {kLlama, R"({"name": "Ada", "parameters": {"age": 1}})",
       R"({"name": "Ada", "parameters": {"age": 1}})"},
      {kLlama, R"({"answer": {"name": "sum"}})", R"({"answer": {"name": "sum"}})"},
      {kLlama, R"(See {"name": "sum", "parameters": {}})",
       R"(See {"name": "sum", "parameters": {}})"},
      {kMistral,
       R"([TOOL_CALLS] [{"name": "sum", "arguments": {"x": 1}}, )"
       R"({"name": "now", "arguments": {}}])",
       R"(«sum {"x": 1}»«now {}»)"},
      {kMistral, R"(Hm.[TOOL_CALLS]sum[CALL_ID]abcdefghi[ARGS]{"x": 1}[TOOL_CALLS]now[ARGS]{})",
       R"(Hm.«sum {"x": 1}»«now {}»)"},
      {kMistral, R"([TOOL_CALLS]sum{"x": 1})", R"(«sum {"x": 1}»)"},
      {kMistral, "[TOOL_CALLS][] a", "[TOOL_CALLS][] a"},
      {kMistral, R"([TOOL_CALLS][{"name": "now", "arguments": {}}, 7])", "«now {}» 7]"},
      {kCoder,
       "Go.\n<tool_call>\n<function=sum>\n<parameter=x>\n12\n</parameter>\n<parameter=note>\n7\nb\n"
       "</parameter>\n</function>\n</tool_call>",
       R"(Go.«sum {"x":12,"note":"7\nb"}»)"},
      {kCoder, "<tool_call>\n<function=now>\n</function>\n</tool_call>\n", "«now {}»"},
      {kCoder, "<tool_call>\n<function=now>\n</tool_call>",
       "<tool_call>\n<function=now>\n</tool_call>"},
      {kCoder,
       "<tool_call><function=sum><parameter=note>a</function>b</parameter></function></tool_call>",
       R"(«sum {"note":"a</function>b"}»)"},
      {ToolFormat::kSeed,
       "<seed:tool_call>\n<function=sum>\n<parameter=x>1</parameter>\n</function>\n</"
       "seed:tool_call>",
       R"(«sum {"x":1}»)"},
      {ToolFormat::kGlm,
       "<tool_call>sum\n<arg_key>x</arg_key>\n<arg_value>1</arg_value>\n<arg_key>note</arg_key>\n"
       "<arg_value>2</arg_value>\n</tool_call>",
       R"(«sum {"x":1,"note":"2"}»)"},
      {ToolFormat::kFunctionTag, R"(<function=sum>{"x": 1}</function> ok)", R"(«sum {"x": 1}»ok)"},
      {kDeepSeek,
       "Hm.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>sum\n```json\n{\"x\": "
       "1}\n```"
       "<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n```"
       "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
       R"(Hm.«sum {"x": 1}»«now {}»)"},
      {kDeepSeek,
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>sum<｜tool▁sep｜>{\"x\": 1}<｜tool▁call▁end｜>"
       "<｜tool▁calls▁end｜>",
       R"(«sum {"x": 1}»)"},
      {ToolFormat::kKimi,
       "<|tool_calls_section_begin|><|tool_call_begin|>functions.sum:0<|tool_call_argument_begin|>"
       "{\"x\": 1}<|tool_call_end|><|tool_calls_section_end|>",
       R"(«sum {"x": 1}»)"},
  };
}

// The same calls in the formats that fewer models have.
std::vector<CallCase> rarer_call_cases() {
  const std::string list =
      R"([{"name": "sum", "arguments": {"x": 1}}, {"name": "now", "arguments": {}}])";
  const std::string both = R"(«sum {"x": 1}»«now {}»)";
  const std::string compact = R"(«sum {"x":1,"note":"a, b"}»«now {}»)";
  const auto invoke = [](const std::string& prefix, const std::string& type) {
    return "<" + prefix + "invoke name=\"sum\">\n<" + prefix + "parameter name=\"x\"" + type +
           ">1</" + prefix + "parameter>\n</" + prefix + "invoke>\n<" + prefix +
           "invoke name=\"now\">\n</" + prefix + "invoke>\n";
  };
  const std::string invoked = R"(Hm.«sum {"x":1}»«now {}»)";
  return {
      {ToolFormat::kNemotron, "<TOOLCALL>" + list + "</TOOLCALL>", both},
      {ToolFormat::kNemotron, "<TOOLCALL>[1]</TOOLCALL>", "<TOOLCALL>[1]</TOOLCALL>"},
      {ToolFormat::kToolCalls, "Hm.\n<tool_calls>" + list + "\n</tool_calls>", "Hm." + both},
      {ToolFormat::kToolCalls,
       "<tool_calls>\n{\"name\": \"sum\", \"arguments\": {\"x\": 1}}\n"
       "{\"name\": \"now\", \"arguments\": {}}\n</tool_calls>",
       both},
      {ToolFormat::kPhi4, "<|tool_call|>" + list + "<|/tool_call|>", both},
      {ToolFormat::kPhi4, "<|tool_call|>" + list, both},
      {ToolFormat::kFunctools, " functools" + list, both},
      {ToolFormat::kGigaChat, R"(<|function_call|>{"name": "sum", "arguments": {"x": 1}})",
       R"(«sum {"x": 1}»)"},
      {ToolFormat::kGigaChat,
       "function call<|role_sep|>\n{\"name\": \"sum\", \"arguments\": {\"x\": 1}}<|message_sep|>",
       R"(«sum {"x": 1}»)"},
      {ToolFormat::kCommand,
       "<|START_ACTION|>[\n"
       R"({"tool_call_id": "0", "tool_name": "sum", "parameters": {"x": 1}},)"
       "\n"
       R"({"tool_call_id": "1", "tool_name": "now", "parameters": {}}])"
       "<|END_ACTION|>",
       both},
      {ToolFormat::kApertus, R"(<|tools_prefix|>[{"sum": {"x": 1}}, {"now": {}}]<|tools_suffix|>)",
       both},
      {ToolFormat::kLfm, "<|tool_call_start|>[sum(x=1, note='a, b'), now()]<|tool_call_end|>Done.",
       compact + "Done."},
      {ToolFormat::kLfm,
       R"(<|tool_call_start|>[sum(x=[1, {"k": None}], note="\"(\"")]<|tool_call_end|>)",
       R"(«sum {"x":[1,{"k":null}],"note":"\"(\""}»)"},
      {ToolFormat::kLfm, "<|tool_call_start|>[sum(x=y)]<|tool_call_end|>",
       "<|tool_call_start|>[sum(x=y)]<|tool_call_end|>"},
      {ToolFormat::kPythonic, "[sum(x=1, note='a, b'), now()]", compact},
      {ToolFormat::kPythonic, "[odd(x=1)]", "[odd(x=1)]"},
      {ToolFormat::kPythonic, "[1] says sum(x=1)", "[1] says sum(x=1)"},
      {ToolFormat::kPythonic, "<|python_start|>[sum(x=True)]<|python_end|>", "«sum {\"x\":true}»"},
      {ToolFormat::kDsml,
       "Hm.\n\n<｜DSML｜function_calls>\n" + invoke("｜DSML｜", " string=\"false\"") +
           "</｜DSML｜function_calls>",
       invoked},
      {ToolFormat::kDsml,
       "<｜DSML｜tool_calls><｜DSML｜invoke name=\"sum\"><｜DSML｜parameter name=\"x\" "
       "string=\"true\">1"
       "</｜DSML｜parameter></｜DSML｜invoke></｜DSML｜tool_calls>",
       R"(«sum {"x":"1"}»)"},
      {ToolFormat::kAtem,
       "Hm.<atem:function_calls>\n" + invoke("atem:", "") + "</atem:function_calls>", invoked},
      {ToolFormat::kMiniMax, "Hm.<minimax:tool_call>\n" + invoke("", "") + "</minimax:tool_call>",
       invoked},
      {ToolFormat::kMiniMax, "<minimax:tool_call>none", "<minimax:tool_call>none"},
      {ToolFormat::kHunyuan,
       "Hm.<tool_calls:opensource>\n<tool_call:opensource>sum<tool_sep:opensource>\n"
       "<arg_key:opensource>x</arg_key:opensource>\n<arg_value:opensource>1"
       "</arg_value:opensource>\n</tool_call:opensource>\n<tool_call:opensource>now"
       "<tool_sep:opensource>\n</tool_call:opensource>\n</tool_calls:opensource>",
       invoked},
      {ToolFormat::kMiniMaxM3,
       "Hm.]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name=\"sum\">]<]minimax[>[<x>1"
       "]<]minimax[>[</x>]<]minimax[>[</invoke>\n]<]minimax[>[<invoke name=\"now\">"
       "]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>",
       invoked},
      {ToolFormat::kMiniMaxM3,
       "]<]minimax[>[<tool_call>]<]minimax[>[<invoke name=\"sum\">]<]minimax[>[<x>]<]minimax[>[<k>"
       "]<]minimax[>[<item>1]<]minimax[>[</item>]<]minimax[>[<item>a b]<]minimax[>[</item>"
       "]<]minimax[>[</k>]<]minimax[>[</x>]<]minimax[>[<note>2]<]minimax[>[</note>"
       "]<]minimax[>[</invoke>]<]minimax[>[</tool_call>",
       R"(«sum {"x":{"k":[1,"a b"]},"note":"2"}»)"},
      {ToolFormat::kMiniCpm,
       "<function name=\"sum\"><param name=\"note\"><![CDATA[<b>]]></param></function>\n"
       "<function name=\"now\"></function>",
       R"(«sum {"note":"<b>"}»«now {}»)"},
      {ToolFormat::kMiniCpm,
       "<function name=\"sum\"><param name=\"x\">{'k': [None, True], 't': "
       "\"u'\"}</param></function>",
       R"(«sum {"x":{"k":[null,true],"t":"u'"}}»)"},
      {ToolFormat::kMiniCpm,
       "<function name=\"sum\"><param name=\"x\">True</param><param name=\"note\">True</param>"
       "<param name=\"odd\">True</param></function>",
       R"(«sum {"x":true,"note":"True","odd":"True"}»)"},
      {ToolFormat::kGemma,
       "<|tool_call>call:sum{note:<|\"|>a {b}<|\"|>,x:[1,true]}<tool_call|>"
       "<|tool_call>call:now{}<tool_call|>",
       R"(«sum {"note":"a {b}","x":[1,true]}»«now {}»)"},
      {ToolFormat::kSolar,
       "<|tool_calls|><|tool_call:begin|>id1<|tool_call:name|>sum<|tool_call:args|>{\"x\": 1}"
       "<|tool_call:end|><|tool_call:begin|>id2<|tool_call:name|>now<|tool_call:args|>{}"
       "<|tool_call:end|><|calls|>",
       both},
  };
}

std::vector<CallCase> all_call_cases() {
  std::vector<CallCase> all = call_cases();
  for (CallCase& each : rarer_call_cases()) all.push_back(std::move(each));
  return all;
}

TEST(ToolCallParser, FindsCallsAndLeavesTheRest) {
  Random random(1);
  for (const CallCase& each : all_call_cases()) {
    EXPECT_EQ(parsed(each.format, pieces_of(each.text, random, 0)), each.shown) << each.text;
    EXPECT_EQ(parsed(each.format, pieces_of(each.text, random, 1)), each.shown) << each.text;
  }
}

// Texts put together from parts of calls, in any order.
std::string random_text(const std::vector<CallCase>& cases, Random& random) {
  std::string text;
  while (text.size() < 200 && !random.chance(0.1)) {
    const std::string& from = cases[random.below(cases.size())].text;
    std::size_t begin = random.below(from.size() + 1);
    std::size_t end = random.between(begin, from.size());
    if (random.chance(0.5)) begin = 0;
    if (random.chance(0.5)) end = from.size();
    text += repair_utf8(from.substr(begin, end - begin));
  }
  return text;
}

TEST(ToolCallParser, AnySplitOfATextGivesTheSameAnswer) {
  const std::vector<CallCase> cases = all_call_cases();
  Random random(2);
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = random_text(cases, random);
    const ToolFormat format = cases[random.below(cases.size())].format;
    const std::string whole = parsed(format, {text});
    const std::vector<std::string> pieces = pieces_of(text, random, random.uniform());
    ASSERT_EQ(parsed(format, pieces), whole) << text;
  }
}

TEST(ToolCallParser, WhatIsNoCallComesOutAsItCame) {
  Random random(3);
  const std::string parts[] = {"<tool_call", ">",          "{", "}", "\"name\"",    ":",
                               " ",          "\n",         "é", "[", "TOOL_CALLS]", "<｜tool▁",
                               "sep｜>",     "<function=", "$", "<|"};
  for (int i = 0; i < 5'000; ++i) {
    std::string text;
    for (std::uint64_t n = random.below(30); n > 0; --n) text += parts[random.below(16)];
    for (const ToolFormat format : {ToolFormat::kHermes, ToolFormat::kMistral, ToolFormat::kLlama3,
                                    ToolFormat::kDeepSeek, ToolFormat::kQwen3Coder}) {
      ASSERT_EQ(parsed(format, pieces_of(text, random, 0.5)), text);
    }
  }
}

TEST(ToolCallParser, ArgumentsComeAsTheyAreWritten) {
  ToolCallParser parser({.format = ToolFormat::kHermes, .tools = tools(), .id_seed = 7});
  ToolCallParser::Output parts;
  parser.push(R"(<tool_call>{"name": "sum", "arguments": {"note": "a long)", parts);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(std::get<ToolCallBegin>(parts[0]).name, "sum");
  EXPECT_EQ(std::get<ToolCallBegin>(parts[0]).id.size(), 25u);
  EXPECT_EQ(std::get<ToolCallDelta>(parts[1]).arguments, R"({"note": "a long)");
}

TEST(ToolCallParser, IdsOfMistralHaveNineLettersAndDigits) {
  ToolCallParser parser({.format = ToolFormat::kMistral, .tools = tools(), .id_seed = 7});
  ToolCallParser::Output parts;
  parser.push("[TOOL_CALLS]sum{}[TOOL_CALLS]sum{}", parts);
  const std::string first = std::get<ToolCallBegin>(parts.at(0)).id;
  EXPECT_EQ(first.size(), 9u);
  EXPECT_NE(std::get<ToolCallBegin>(parts.at(3)).id, first);
}

constexpr ReasoningTags kThink{"think", "<think>", "</think>"};

std::string split(ReasoningStart start, const std::vector<std::string>& pieces) {
  ReasoningSplitter splitter(kThink, start);
  std::string reasoning;
  std::string content;
  const auto take = [&](const ReasoningSplitter::Output& output) {
    EXPECT_TRUE(output.reasoning.empty() || content.empty());
    reasoning += output.reasoning;
    content += output.content;
  };
  for (const std::string& piece : pieces) take(splitter.push(piece));
  take(splitter.flush());
  return "(" + reasoning + ")" + content;
}

TEST(ReasoningSplitter, TakesThoughtsFromTheBeginning) {
  using Start = ReasoningStart;
  struct Case {
    Start start;
    std::string text;
    std::string shown;
  };
  const Case cases[] = {
      {Start::kUndecided, "<think>\nhm, é\n</think>\n\nHi. ", "(hm, é)Hi. "},
      {Start::kUndecided, "\n<think>hm</think>Hi", "(hm)Hi"},
      {Start::kUndecided, " Hi <think>x</think>", "() Hi <think>x</think>"},
      {Start::kUndecided, "<thin", "()<thin"},
      {Start::kUndecided, "<think>hm </thin", "(hm </thin)"},
      {Start::kUndecided, "<think>\n\n</think>\n\nHi", "()Hi"},
      {Start::kInside, "\nhm</think>\nHi</think>", "(hm)Hi</think>"},
      {Start::kInside, "<think>\nhm</think>Hi", "(hm)Hi"},
      {Start::kInside, "</think>Hi", "()Hi"},
      {Start::kInside, "hm", "(hm)"},
      {Start::kOver, "<think>hm</think>Hi", "()<think>hm</think>Hi"},
  };
  Random random(4);
  for (const Case& each : cases) {
    EXPECT_EQ(split(each.start, {each.text}), each.shown) << each.text;
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ(split(each.start, pieces_of(each.text, random, random.uniform())), each.shown);
    }
  }
}

struct Channels {
  std::string thoughts;
  std::string rest;
  std::size_t num_calls = 0;
};

Channels channels(const std::vector<std::string>& pieces) {
  ChannelParser parser({.tools = tools(), .id_seed = 7});
  ChannelParser::Output parts;
  for (const std::string& piece : pieces) parser.push(piece, parts);
  parser.flush(parts);
  Channels found{.thoughts = {}, .rest = shown(parts), .num_calls = parser.num_calls()};
  for (const AnswerEventKind& part : parts) {
    if (const auto* thought = std::get_if<ReasoningDelta>(&part)) found.thoughts += thought->text;
  }
  return found;
}

TEST(ChannelParser, TellsThoughtsTextAndCallsApart) {
  struct Case {
    std::string text;
    std::string thoughts;
    std::string rest;
  };
  const std::string thought = "<|channel|>analysis<|message|>Let me see.<|end|>";
  const Case cases[] = {
      {"<|channel|>final<|message|>Four.", "", "Four."},
      {thought + "<|start|>assistant<|channel|>final<|message|>Four.<|return|>", "Let me see.",
       "Four."},
      {thought + "<|start|>assistant<|channel|>commentary to=functions.sum <|constrain|>json"
                 "<|message|>{\"x\": 1}<|call|>",
       "Let me see.", R"(«sum {"x": 1}»)"},
      {"<|channel|>commentary to=functions.now<|message|>", "", "«now {}»"},
      {"<|start|>assistant to=functions.sum<|channel|>commentary json<|message|>{\"x\":2}", "",
       R"(«sum {"x":2}»)"},
      {"<|channel|>commentary<|message|>I will add.<|end|>" + thought, "Let me see.",
       "I will add."},
      {"<|channel|>commentary to=functions.odd<|message|>{}<|call|>", "", "{}"},
      {"No header at all <|x", "", "No header at all <|x"},
      {"{\"a\": 1}", "", "{\"a\": 1}"},
      {"<|channel|>analysis<|message|>a<|channel|>final<|message|>b", "a", "b"},
      {"<|channel|>fin", "", ""},
  };
  Random random(9);
  for (const Case& each : cases) {
    for (const double chance : {0.0, 0.3, 1.0}) {
      const Channels found = channels(pieces_of(each.text, random, chance));
      EXPECT_EQ(found.thoughts, each.thoughts) << each.text;
      EXPECT_EQ(found.rest, each.rest) << each.text;
    }
  }
  EXPECT_EQ(channels({thought}).num_calls, 0u);
}

TEST(ReasoningSplitter, WhatStandsBeforeTheContentIsSkipped) {
  Random random(3);
  for (const double chance : {0.0, 1.0}) {
    ReasoningSplitter splitter(ReasoningTags{"t", "<|think|>", "<|end|>", {}, "assistant"},
                               ReasoningStart::kUndecided);
    std::string reasoning;
    std::string content;
    const auto take = [&](const ReasoningSplitter::Output& output) {
      reasoning += output.reasoning;
      content += output.content;
    };
    for (const std::string& piece :
         pieces_of("<|think|>Hm.<|end|>assistantas it is", random, chance)) {
      take(splitter.push(piece));
    }
    take(splitter.flush());
    EXPECT_EQ(reasoning, "Hm.");
    EXPECT_EQ(content, "as it is");
  }
}

TEST(AnswerFormats, NamesAndStarts) {
  EXPECT_EQ(MUST(tool_format_named("hermes")), ToolFormat::kHermes);
  EXPECT_EQ(MUST(tool_format_named("none")), ToolFormat::kNone);
  EXPECT_EQ(tool_format_named("x").error().message,
            "tool_parser is x, expected one of none, mistral, kimi, deepseek, solar, command, "
            "apertus, gemma, gigachat, nemotron, functools, dsml, atem, minimax, minicpm, lfm, "
            "phi4, seed, minimax-m3, hunyuan, glm, qwen3-coder, hermes, tool-calls, function-tag, "
            "pythonic, llama3");
  EXPECT_EQ(MUST(reasoning_tags_named("mistral"))->open, "[THINK]");
  EXPECT_FALSE(MUST(reasoning_tags_named("none")).has_value());
  EXPECT_FALSE(reasoning_tags_named("x").ok());
  EXPECT_EQ(reasoning_start(kThink, "hi<think>\n"), ReasoningStart::kInside);
  EXPECT_EQ(reasoning_start(kThink, "<think>\n\n</think>\n\n"), ReasoningStart::kOver);
  EXPECT_EQ(reasoning_start(kThink, "assistant\n"), ReasoningStart::kUndecided);
}

std::string hooked(const std::vector<TextHook>& hooks, const std::vector<std::string>& pieces) {
  TextHooks stream(hooks);
  std::string text;
  for (const std::string& piece : pieces) text += stream.push(piece);
  return text + stream.flush();
}

TEST(TextHooks, TrimTidyAndRedactWhateverThePieces) {
  const TextHook trim{.kind = TextHook::Kind::kTrim};
  const TextHook tidy{.kind = TextHook::Kind::kTidyJson};
  const TextHook digits = MUST(redact_hook(R"(\b\d{3}-\d{4}\b)", "[phone]"));
  const TextHook name = MUST(redact_hook("(?i)ann[aé]?", "X"));
  struct Case {
    std::vector<TextHook> hooks;
    std::string text;
    std::string shown;
  };
  const std::string filler(1000, 'a');
  const Case cases[] = {
      {{}, " a ", " a "},
      {{trim}, " \n a b\n ", "a b"},
      {{trim}, " \n ", ""},
      {{tidy}, " {\"a\" : [1, 2.5],\n\"b\": \"é\"} ", R"({"a":[1,2.5],"b":"é"})"},
      {{tidy}, "no { json", "no { json"},
      {{digits}, "call 555-1234 or 555-12345, 1555-1234", "call [phone] or 555-12345, 1555-1234"},
      {{digits}, filler + " 555-1234" + filler, filler + " 555-1234" + filler},
      {{digits}, filler + " 555-1234 " + filler, filler + " [phone] " + filler},
      {{digits, name, trim}, " Anné: 555-1234 ", "X: [phone]"},
      {{name}, "anna" + filler + "ANN", "X" + filler + "X"},
      {{MUST(redact_hook("x*", "-"))}, "axxb", "a-b"},
  };
  Random random(5);
  for (const Case& each : cases) {
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ(hooked(each.hooks, pieces_of(each.text, random, i == 0 ? 0 : random.uniform())),
                each.shown);
    }
  }
}

TEST(TextHooks, OnlyTheEndOfATextIsHeldBack) {
  TextHooks stream({MUST(redact_hook("secret", "X"))});
  EXPECT_EQ(stream.push("a secret " + std::string(1000, 'b')).substr(0, 5), "a X b");
  EXPECT_EQ(stream.push(" sec").size(), 4u);
  EXPECT_EQ(stream.push("ret").size(), 3u);
  EXPECT_EQ(stream.flush().substr(kRedactBytesMax - 7), " X");
}

TEST(TextHooks, ASearchThatCostsTooMuchLeavesNothingOut) {
  TextHooks stream({MUST(redact_hook("(a+)+$", "X"))});
  stream.push(std::string(200, 'a') + "!");
  const std::string text = stream.flush();
  EXPECT_TRUE(text == "X" || text == std::string(200, 'a') + "!") << text;
  EXPECT_FALSE(redact_hook("(", "X").ok());
}

}  // namespace
}  // namespace millrace
