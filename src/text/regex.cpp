// PCRE2 behind limits: compiled by its JIT where it can be, interpreted where that runs out of
// stack.
#include "text/regex.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "text/regex_syntax.h"

#ifdef MILLRACE_WITH_PCRE2
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#endif

namespace millrace {

#ifdef MILLRACE_WITH_PCRE2

namespace {

// A match of any published pattern takes a few steps per character of what it looks at, at most all
// the rest; these stop a bomb within milliseconds.
constexpr std::uint64_t kMatchStepsBase = 1'000'000;
constexpr std::uint64_t kMatchStepsPerByte = 16;
constexpr std::uint64_t kMatchStepsMax = 0xFFFFFFFF;
constexpr std::uint32_t kMatchDepthMax = 100'000;
constexpr std::uint32_t kMatchHeapKib = 64 << 10;
constexpr std::size_t kJitStackBytesMin = 32 << 10;
constexpr std::size_t kJitStackBytesMax = 8 << 20;

template <auto kFree>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};

}  // namespace

struct RegexScratch::State {
  std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>> data{
      pcre2_match_data_create(1, nullptr)};
  std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>> context{
      pcre2_match_context_create(nullptr)};
  std::unique_ptr<pcre2_jit_stack, Deleter<pcre2_jit_stack_free>> stack{
      pcre2_jit_stack_create(kJitStackBytesMin, kJitStackBytesMax, nullptr)};

  State() {
    CHECK(data != nullptr);
    CHECK(context != nullptr);
    pcre2_set_depth_limit(context.get(), kMatchDepthMax);
    pcre2_set_heap_limit(context.get(), kMatchHeapKib);
    if (stack != nullptr) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

struct Regex::Code {
  std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>> code;
  bool has_jit = false;
};

Result<Regex> Regex::compile(std::string_view pattern) {
  const std::string translated = TRY(to_pcre2_syntax(pattern));
  std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>> context(
      pcre2_compile_context_create(nullptr));
  CHECK(context != nullptr);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  int error_code = 0;
  PCRE2_SIZE error_offset = 0;
  auto code = std::make_shared<Code>();
  // Ruby's ^ and $ are about lines, hence MULTILINE.
  code->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                                 &error_code, &error_offset, context.get()));
  if (code->code == nullptr) {
    PCRE2_UCHAR message[128] = {};
    pcre2_get_error_message(error_code, message, sizeof(message));
    return Error{ErrorCode::kCorruptData,
                 "pattern '" + std::string(pattern) +
                     "' does not compile: " + reinterpret_cast<const char*>(message)};
  }
  code->has_jit = pcre2_jit_compile(code->code.get(), PCRE2_JIT_COMPLETE) == 0;
  return Regex(std::move(code));
}

Result<std::optional<MatchRange>> Regex::find(std::string_view subject, std::size_t start,
                                              RegexScratch& scratch) const {
  if (scratch.state_ == nullptr) scratch.state_ = std::make_unique<RegexScratch::State>();
  RegexScratch::State& state = *scratch.state_;
  const std::uint64_t steps = kMatchStepsBase + kMatchStepsPerByte * (subject.size() - start);
  pcre2_set_match_limit(state.context.get(),
                        static_cast<std::uint32_t>(std::min(steps, kMatchStepsMax)));
  const auto* bytes = reinterpret_cast<PCRE2_SPTR>(subject.data());
  int rc = PCRE2_ERROR_JIT_STACKLIMIT;
  if (code_->has_jit) {
    rc = pcre2_jit_match(code_->code.get(), bytes, subject.size(), start, 0, state.data.get(),
                         state.context.get());
  }
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
    rc = pcre2_match(code_->code.get(), bytes, subject.size(), start,
                     PCRE2_NO_JIT | PCRE2_NO_UTF_CHECK, state.data.get(), state.context.get());
  }
  if (rc == PCRE2_ERROR_NOMATCH) return std::optional<MatchRange>();
  if (rc < 0) {
    PCRE2_UCHAR message[128] = {};
    pcre2_get_error_message(rc, message, sizeof(message));
    return Error{ErrorCode::kResourceExhausted,
                 std::string("a pattern of the vocabulary could not be matched: ") +
                     reinterpret_cast<const char*>(message)};
  }
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(state.data.get());
  // \K in a pattern could put the begin after the end; treat it as an empty match.
  return std::optional<MatchRange>({std::min(offsets[0], offsets[1]), offsets[1]});
}

#else

struct RegexScratch::State {};
struct Regex::Code {};

Result<Regex> Regex::compile(std::string_view pattern) {
  return Error{ErrorCode::kUnsupported,
               "pattern '" + std::string(pattern) +
                   "' needs regular expressions, and this build was made without libpcre2"};
}

Result<std::optional<MatchRange>> Regex::find(std::string_view, std::size_t, RegexScratch&) const {
  return std::optional<MatchRange>();
}

#endif

RegexScratch::RegexScratch() = default;
RegexScratch::~RegexScratch() = default;
Regex::Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}

}  // namespace millrace
