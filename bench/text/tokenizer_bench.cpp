// Encodes and decodes a text with one tokenizer, one thread, and prints a line of JSON; checks that
// the text comes back.
//
//   tokenizer_bench FOLDER_OR_TOKENIZER_JSON TEXT_FILE [REPEATS]
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "formats/tokenizer_folder.h"
#include "formats/tokenizer_json.h"
#include "text/tokenizer.h"

namespace millrace {
namespace {

constexpr std::uint64_t kTextBytesMax = Tokenizer::kTextBytesMax;

Result<Tokenizer> load(const std::string& path) {
  if (is_directory(path)) return Tokenizer::create(TRY(load_tokenizer_spec(path)));
  return Tokenizer::create(TRY(parse_tokenizer_json(TRY(read_json_file(path)), path)));
}

// The best of the repeats, in seconds.
template <class F>
Result<double> best_time(const Clock& clock, std::size_t repeats, F run) {
  double best = 1e300;
  for (std::size_t i = 0; i < repeats; ++i) {
    const TimePoint begin = clock.now();
    TRY(run());
    best = std::min(best, seconds(clock.now() - begin));
  }
  return best;
}

Status measure(const std::string& path, const std::string& text_path, std::size_t repeats) {
  const SystemClock clock;
  const TimePoint begin = clock.now();
  const Tokenizer tokenizer = TRY(load(path));
  const double load_seconds = seconds(clock.now() - begin);
  const std::string text = TRY(read_file(text_path, kTextBytesMax));
  std::vector<TokenId> ids;
  const double encode_seconds = TRY(best_time(clock, repeats, [&]() -> Status {
    ids = TRY(tokenizer.encode(text, {.add_special = AddSpecial::kNo}));
    return Ok{};
  }));
  std::string decoded;
  const double decode_seconds = TRY(best_time(clock, repeats, [&]() -> Status {
    decoded = TRY(tokenizer.decode(ids));
    return Ok{};
  }));
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  std::printf(
      "{\"bytes\": %zu, \"tokens\": %zu, \"load_seconds\": %.3f, \"encode_mb_per_second\": %.2f, "
      "\"decode_mb_per_second\": %.2f, \"round_trip\": \"%s\"}\n",
      text.size(), ids.size(), load_seconds, megabytes / encode_seconds, megabytes / decode_seconds,
      decoded == text ? "equal" : "WRONG");
  return Ok{};
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s FOLDER_OR_TOKENIZER_JSON TEXT_FILE [REPEATS]\n", argv[0]);
    return 2;
  }
  const std::size_t repeats = argc > 3 ? std::stoul(argv[3]) : 5;
  const auto status = millrace::measure(argv[1], argv[2], repeats);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return 1;
}
