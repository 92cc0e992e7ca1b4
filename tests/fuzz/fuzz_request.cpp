// Fuzzes bodies of requests: the first byte says which parser, the rest is the body. What parses
// gets an answer in its own dialect.
#include <string>
#include <string_view>

#include "base/check.h"
#include "serve/api/answer.h"
#include "serve/api/parse_request.h"

namespace {

using millrace::ApiDialect;

void answer(const millrace::GenerationRequest& request) {
  const auto writer = millrace::make_answer_writer(request, {.id = "x", .model = "m"});
  std::string out;
  writer->begin(out);
  writer->write({0, millrace::ReasoningDelta{.text = "a"}}, out);
  writer->write({0, millrace::ContentDelta{.text = "b"}}, out);
  writer->write({0, millrace::ToolCallBegin{.call = 0, .id = "i", .name = "n"}}, out);
  writer->write({0, millrace::ToolCallDelta{.call = 0, .arguments = "{"}}, out);
  writer->write({0, millrace::ToolCallEnd{.call = 0}}, out);
  writer->write({0, millrace::ChoiceFinished{}}, out);
  writer->finish({.num_prompt = 1, .num_completion = 2}, out);
  CHECK(!out.empty());
  if (!request.is_stream) CHECK(millrace::parse_ordered_json(out, "answer").ok());
}

void parse(std::uint8_t which, const millrace::OrderedJson& body) {
  if (which < 4) {
    const auto request = millrace::parse_generation(static_cast<ApiDialect>(which), body);
    if (request.ok()) return answer(request.value());
    const millrace::ApiError error = millrace::api_error(request.error());
    CHECK(error.status >= 400);
    CHECK(error.status < 502);
    CHECK(!millrace::error_body(error, millrace::ErrorForm::kAnthropic).empty());
    return;
  }
  if (which == 4) static_cast<void>(millrace::parse_embedding(body).ok());
  if (which == 5) static_cast<void>(millrace::parse_tokenize(body).ok());
  if (which == 6) static_cast<void>(millrace::parse_detokenize(body).ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto body = millrace::parse_body(text);
  if (body.ok()) parse(static_cast<std::uint8_t>(data[0] % 7), body.value());
  return 0;
}
