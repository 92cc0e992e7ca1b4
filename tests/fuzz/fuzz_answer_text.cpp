// Fuzzes what splits an answer: the first byte is the format, the second says where the
// answer begins and how the text that follows is cut. Whole and in pieces it must come to the same.
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/random.h"
#include "serve/output/channel_parser.h"
#include "serve/output/reasoning_splitter.h"
#include "serve/output/tool_call_parser.h"
#include "text/utf8.h"

namespace {

using millrace::ChannelParser;
using millrace::ToolCallParser;

constexpr std::size_t kNumFormats = static_cast<std::size_t>(millrace::ToolFormat::kGemma) + 1;

const millrace::OrderedJson& tools() {
  static const auto kTools = millrace::OrderedJson::parse(
      R"([{"type":"function","function":{"name":"f","parameters":{"properties":{"a":{}}}}}])");
  return kTools;
}

void show(const ToolCallParser::Output& parts, std::string& shown) {
  for (const millrace::AnswerEventKind& part : parts) {
    if (const auto* content = std::get_if<millrace::ContentDelta>(&part)) shown += content->text;
    if (const auto* begin = std::get_if<millrace::ToolCallBegin>(&part)) {
      shown += '\x01' + begin->name + '\x02';
    }
    if (const auto* delta = std::get_if<millrace::ToolCallDelta>(&part)) shown += delta->arguments;
    if (std::holds_alternative<millrace::ToolCallEnd>(part)) shown += '\x03';
  }
}

// Thoughts, then the content with its calls, from pieces of about `mean` characters.
std::string shown(std::uint8_t format, std::uint8_t start, std::string_view text,
                  std::size_t mean) {
  millrace::Random random(mean);
  millrace::ReasoningSplitter splitter(millrace::ReasoningTags{"think", "<think>", "</think>"},
                                       static_cast<millrace::ReasoningStart>(start % 3));
  ToolCallParser parser({.format = static_cast<millrace::ToolFormat>(format % kNumFormats),
                         .tools = tools(),
                         .id_seed = 1});
  std::string thoughts;
  std::string content;
  ToolCallParser::Output parts;
  const auto take = [&](const millrace::ReasoningSplitter::Output& output) {
    thoughts += output.reasoning;
    parser.push(output.content, parts);
  };
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size();) {
    i += millrace::decode_utf8(text.substr(i)).num_bytes;
    if (mean != 0 && random.below(mean) == 0) {
      take(splitter.push(text.substr(begin, i - begin)));
      begin = i;
    }
  }
  take(splitter.push(text.substr(begin)));
  take(splitter.flush());
  parser.flush(parts);
  show(parts, content);
  return thoughts + '\x04' + content;
}

// The same of a model that writes messages in channels.
std::string channels(std::string_view text, std::size_t mean) {
  millrace::Random random(mean);
  ChannelParser parser({.tools = tools(), .id_seed = 1});
  ToolCallParser::Output parts;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size();) {
    i += millrace::decode_utf8(text.substr(i)).num_bytes;
    if (mean != 0 && random.below(mean) == 0) {
      parser.push(text.substr(begin, i - begin), parts);
      begin = i;
    }
  }
  parser.push(text.substr(begin), parts);
  parser.flush(parts);
  std::string shown;
  show(parts, shown);
  for (const millrace::AnswerEventKind& part : parts) {
    if (const auto* thought = std::get_if<millrace::ReasoningDelta>(&part)) shown += thought->text;
  }
  return shown;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string text =
      millrace::repair_utf8({reinterpret_cast<const char*>(data) + 2, size - 2});
  const std::size_t mean = data[1] % 16u + 1;
  const auto start = static_cast<std::uint8_t>(data[1] / 16);
  CHECK(shown(data[0], start, text, 0) == shown(data[0], start, text, mean));
  CHECK(channels(text, 0) == channels(text, mean));
  return 0;
}
