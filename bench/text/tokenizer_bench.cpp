// Encodes and decodes a text with one tokenizer, by one thread and in parts by two, and prints a
// line of JSON; checks that the text comes back.
//
//   tokenizer_bench FOLDER_OR_TOKENIZER_JSON TEXT_FILE [REPEATS]
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <string>
#include <string_view>
#include <thread>
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

// The text in parts of about 16 KB, cut after line breaks, as requests would bring it.
std::vector<std::string_view> parts_of(std::string_view text) {
  constexpr std::size_t kPartBytes = 16 << 10;
  std::vector<std::string_view> parts;
  while (text.size() > kPartBytes) {
    const std::size_t end = text.find('\n', kPartBytes);
    if (end == std::string_view::npos) break;
    parts.push_back(text.substr(0, end + 1));
    text.remove_prefix(end + 1);
  }
  if (!text.empty()) parts.push_back(text);
  return parts;
}

// All parts by several threads that share one tokenizer, each taking the next that is left.
Status encode_parts(const Tokenizer& tokenizer, const std::vector<std::string_view>& parts,
                    std::size_t num_threads) {
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> all_ok = true;
  const auto work = [&] {
    for (std::size_t i = next++; i < parts.size(); i = next++) {
      if (!tokenizer.encode(parts[i], {.add_special = AddSpecial::kNo}).ok()) all_ok = false;
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < num_threads; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (all_ok) return Ok{};
  return Error{ErrorCode::kResourceExhausted, "a part of the text could not be encoded"};
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
  const std::vector<std::string_view> parts = parts_of(text);
  const double batch_seconds =
      TRY(best_time(clock, repeats, [&]() -> Status { return encode_parts(tokenizer, parts, 2); }));
  std::string decoded;
  const double decode_seconds = TRY(best_time(clock, repeats, [&]() -> Status {
    decoded = TRY(tokenizer.decode(ids));
    return Ok{};
  }));
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  std::printf(
      "{\"bytes\": %zu, \"tokens\": %zu, \"load_seconds\": %.3f, \"encode_mb_per_second\": %.2f, "
      "\"batch_mb_per_second\": %.2f, \"decode_mb_per_second\": %.2f, \"round_trip\": \"%s\"}\n",
      text.size(), ids.size(), load_seconds, megabytes / encode_seconds, megabytes / batch_seconds,
      megabytes / decode_seconds, decoded == text ? "equal" : "WRONG");
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
