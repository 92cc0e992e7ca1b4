// Fuzzes chat templates: a template of any bytes, then messages of any bytes after a 0x1E byte.
#include <algorithm>
#include <string_view>

#include "base/json.h"
#include "text/chat_template.h"

namespace {

// Small enough that each input takes little, large enough that most templates get to their end.
constexpr millrace::ChatTemplateLimits kLimits = {.source_bytes_max = 16 << 10,
                                                  .output_bytes_max = 1 << 20,
                                                  .memory_bytes_max = 32 << 20,
                                                  .num_steps_max = 200'000,
                                                  .range_items_max = 10'000};
constexpr char kSeparator = '\x1E';

// JSON where it is JSON, else one message of that text.
millrace::OrderedJson messages_in(std::string_view text) {
  auto json = millrace::parse_ordered_json(text, "messages", {.bytes_max = 1 << 16});
  if (json.ok()) return std::move(json).value();
  millrace::OrderedJson message{{"role", "user"}, {"content", std::string(text)}};
  return millrace::OrderedJson::array({std::move(message)});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(text.find(kSeparator), text.size());
  const auto parsed = millrace::ChatTemplate::parse(text.substr(0, end), kLimits);
  if (!parsed.ok()) return 0;
  millrace::ChatTemplateInput input;
  input.messages = messages_in(text.substr(std::min(end + 1, text.size())));
  input.bos_token = "<s>";
  input.unix_seconds = 1'735'736'719;
  const auto first = parsed.value().render(input);
  const auto second = parsed.value().render(input);
  // A template keeps no state between renderings.
  CHECK(first.ok() == second.ok());
  if (first.ok()) CHECK(first.value() == second.value());
  return 0;
}
