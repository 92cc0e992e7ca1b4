// Fuzzes streams of ids and stop strings: a byte is an id, and every cut gives the same text.
#include "text/byte_alphabet.h"
#include "text/detokenizer.h"
#include "text/stop_matcher.h"
#include "text/utf8.h"

namespace millrace {
namespace {

// Ids 0 to 255 are the bytes, so that any text and any ill-formed text can be made.
Tokenizer make_tokenizer() {
  TokenizerSpec spec;
  for (unsigned byte = 0; byte < 256; ++byte) {
    spec.pieces.push_back({.text = byte_piece(static_cast<std::uint8_t>(byte)),
                           .score = 0,
                           .type = PieceType::kByte});
  }
  spec.byte_fallback = true;
  spec.merge_source = MergeSource::kPieceScore;
  spec.decoders = {ByteFallbackDecoder{}, FuseDecoder{}, StripDecoder{" ", 2, 0}};
  return MUST(Tokenizer::create(std::move(spec)));  // written above
}

std::vector<std::string> take_stops(std::string_view& input) {
  std::vector<std::string> stops;
  while (!input.empty() && stops.size() < 3) {
    const std::size_t length = static_cast<std::uint8_t>(input[0]) % 5;
    input.remove_prefix(1);
    if (length == 0) break;
    if (length > input.size()) break;
    stops.emplace_back(input.substr(0, length));
    input.remove_prefix(length);
  }
  return stops;
}

// The text up to the stop string that ends first, found the slow way.
std::string plain_stop(const std::vector<std::string>& stops, const std::string& text) {
  for (std::size_t end = 0; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      const bool ends_here = std::string_view(text).substr(0, end).ends_with(stop);
      if (ends_here) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return text.substr(0, end - longest);
  }
  return text;
}

void fuzz_one(std::string_view input) {
  static const Tokenizer tokenizer = make_tokenizer();
  const std::vector<std::string> stops = take_stops(input);
  StopMatcher matcher = MUST(StopMatcher::create(stops));  // short and not empty
  Detokenizer stream(tokenizer);
  std::vector<TokenId> ids;
  std::string text;
  std::string passed;
  bool stopped = false;
  const auto pass = [&](const std::string& part) {
    CHECK(!find_invalid_utf8(part));
    text += part;
    StopMatcher::Output output = matcher.push(part);
    passed += output.text;
    stopped = output.stop.has_value();
  };
  for (const char c : input) {
    ids.push_back(static_cast<std::uint8_t>(c));
    pass(stream.push(ids.back()));
  }
  pass(stream.flush());
  passed += matcher.flush();
  const auto decoded = tokenizer.decode(ids);
  CHECK(decoded.ok());
  CHECK(decoded.value() == text);
  CHECK(passed == plain_stop(stops, text));
  CHECK(stopped == (passed.size() < text.size()));
  std::size_t num_spaces = 0;
  while (num_spaces < 2 && input.substr(num_spaces).starts_with(' ')) ++num_spaces;
  CHECK(text == repair_utf8(input.substr(num_spaces)));
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::fuzz_one({reinterpret_cast<const char*>(data), size});
  return 0;
}
