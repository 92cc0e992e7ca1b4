// JSON of log-probabilities and usage, and the framing of events.
#include "serve/api/answer_json.h"

#include <algorithm>

#include "text/utf8.h"

namespace millrace {
namespace {

OrderedJson chance_json(const TokenChance& chance) {
  OrderedJson bytes = OrderedJson::array();
  for (const char c : chance.bytes) bytes.push_back(static_cast<std::uint8_t>(c));
  return {{"token", repair_utf8(chance.bytes)},
          {"logprob", json_logprob(chance.logprob)},
          {"bytes", std::move(bytes)}};
}

}  // namespace

std::string dump_json(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

void append_frame(std::string& out, std::string_view event, const OrderedJson& data) {
  if (!event.empty()) {
    out += "event: ";
    out += event;
    out += '\n';
  }
  out += "data: ";
  out += dump_json(data);  // JSON in one line: line ends in strings are escaped.
  out += "\n\n";
}

OrderedJson logprobs_json(const std::vector<TokenLogprobs>& logprobs) {
  OrderedJson tokens = OrderedJson::array();
  for (const TokenLogprobs& each : logprobs) {
    OrderedJson token = chance_json(each.token);
    OrderedJson top = OrderedJson::array();
    for (const TokenChance& chance : each.top) top.push_back(chance_json(chance));
    token["top_logprobs"] = std::move(top);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

OrderedJson prompt_logprobs_json(const std::vector<TokenLogprobs>& tokens) {
  const auto entry = [](const TokenChance& chance, std::uint32_t rank) {
    return OrderedJson{{"logprob", json_logprob(chance.logprob)},
                       {"rank", rank},
                       {"decoded_token", repair_utf8(chance.bytes)}};
  };
  OrderedJson list = OrderedJson::array();
  for (const TokenLogprobs& each : tokens) {
    if (!each.has_chance) {
      list.push_back(nullptr);
      continue;
    }
    OrderedJson chances = OrderedJson::object();
    chances[std::to_string(each.token.id)] = entry(each.token, each.rank);
    for (std::uint32_t i = 0; i < each.top.size(); ++i) {
      if (each.top[i].id == each.token.id) continue;
      chances[std::to_string(each.top[i].id)] = entry(each.top[i], i + 1);
    }
    list.push_back(std::move(chances));
  }
  return list;
}

std::string token_text(const std::string& bytes) {
  if (!find_invalid_utf8(bytes)) return bytes;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "bytes:";
  for (const char c : bytes) {
    const auto byte = static_cast<std::uint8_t>(c);
    text += "\\x";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

double json_logprob(float logprob) {
  constexpr float kLeast = -9999.0f;  // What vLLM writes for minus infinity.
  return logprob > kLeast ? static_cast<double>(logprob) : static_cast<double>(kLeast);
}

OrderedJson usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.num_prompt},
          {"completion_tokens", usage.num_completion},
          {"total_tokens", usage.num_prompt + usage.num_completion},
          {"prompt_tokens_details", {{"cached_tokens", usage.num_cached}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.num_reasoning}}}};
}

}  // namespace millrace
