// Fuzzes chat templates: a template of any bytes, then a context of any bytes after a 0x1E byte.
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
                                                  .num_steps_max_of_all = 200'000,
                                                  .range_items_max = 10'000};
constexpr char kSeparator = '\x1E';

// What is there of a request's fields; the rest are variables of the template.
void take_fields(millrace::OrderedJson fields, millrace::ChatTemplateInput& input) {
  for (auto& [name, value] : fields.items()) {
    if (name == "messages") {
      input.messages = std::move(value);
    } else if (name == "tools") {
      input.tools = std::move(value);
    } else if (name == "documents") {
      input.documents = std::move(value);
    } else {
      input.arguments[name] = std::move(value);
    }
  }
}

// JSON where it is JSON, else one message of that text, which need not be UTF-8.
millrace::ChatTemplateInput input_of(std::string_view text) {
  millrace::ChatTemplateInput input;
  input.bos_token = "<s>";
  input.unix_seconds = 1'735'736'719;
  auto json = millrace::parse_ordered_json(text, "context", {.bytes_max = 1 << 16});
  if (json.ok() && json.value().is_object()) {
    take_fields(std::move(json).value(), input);
  } else if (json.ok()) {
    input.messages = std::move(json).value();
  } else {
    millrace::OrderedJson message{{"role", "user"}, {"content", std::string(text)}};
    input.messages = millrace::OrderedJson::array({std::move(message)});
  }
  return input;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(text.find(kSeparator), text.size());
  const auto parsed = millrace::ChatTemplate::parse(text.substr(0, end), kLimits);
  if (!parsed.ok()) return 0;
  const millrace::ChatTemplateInput input = input_of(text.substr(std::min(end + 1, text.size())));
  const auto first = parsed.value().render(input);
  const auto second = parsed.value().render(input);
  // A template keeps no state between renderings.
  CHECK(first.ok() == second.ok());
  if (first.ok()) CHECK(first.value() == second.value());
  return 0;
}
