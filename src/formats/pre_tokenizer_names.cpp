// The table of names and patterns. The patterns are the models' own, as their tokenizer.json or
// published code has them; the names are those that llama.cpp's converter writes.
#include "formats/pre_tokenizer_names.h"

#include <array>
#include <string>

#include "formats/text_quote.h"

namespace millrace {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
                                    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
    R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Hangul, full-width punctuation, Bopomofo, and Han with kana.
constexpr std::string_view kYoutuScripts =
    R"([가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\x{3040}-ゟ゠-ヿ]+)";
constexpr std::string_view kYoutu =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Qwen2's without contractions, for Turkish suffixes follow an apostrophe.
constexpr std::string_view kUfakzeka = R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
                                       R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBloom = R"( ?[^(\s|[.,!?…。，、।۔،])]+)";
constexpr std::string_view kDeepSeek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepSeek3Cjk = R"([一-龥\x{3040}-ゟ゠-ヿ]+)";
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1})"
    R"(| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kExaoneMoe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kMiniCpm5 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+)"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// The letters of scripts with case, as DeepSeek's first tokenizer lists them.
constexpr std::string_view kDeepSeekLetters =
    "\\s?[A-Za-z"
    "\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}"
    "\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}"
    "\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}"
    "\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}"
    "\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}"
    "\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}"
    "\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}"
    "\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{3CE}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}"
    "\\x{3B9}\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{390}\\x{1FD6}-\\x{38A}"
    "\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}"
    "\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{3A9}\\x{2128}"
    "\\x{4B}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}"
    "\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}"
    "\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}"
    "\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}"
    "\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}"
    "\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}"
    "\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}"
    "]+";
constexpr std::string_view kDeepSeekSymbols = R"(\s?[!-/:-~！-／：-～‘-‟\x{3000}-。]+)";
constexpr std::string_view kDeepSeekCjk = R"([一-龥\x{800}-一가-\x{D7FF}]+)";
constexpr std::string_view kKimiK2 =
    R"([\p{Han}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Extra {
  bool ignore_merges = false;
  bool add_bos = false;
  bool nfc = false;  // The model's own tokenizer composes characters first.
  bool add_sep = false;
};
constexpr Extra kWholeWordsAndBos = {.ignore_merges = true, .add_bos = true};
constexpr Extra kWholeWords = {.ignore_merges = true};
constexpr Extra kBos = {.add_bos = true};
constexpr Extra kNfc = {.nfc = true};
constexpr Extra kSep = {.add_sep = true};

constexpr std::size_t kPatternsMax = 6;

// Each pattern cuts what the ones before it left, and keeps what lies between its matches.
struct Row {
  std::string_view name;
  std::array<std::string_view, kPatternsMax> patterns;
  Extra extra = {};
};

constexpr Row kRows[] = {
    {"default", {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
    {"llama3", {kLlama3}, kWholeWordsAndBos},
    {"llama-v3", {kLlama3}, kWholeWordsAndBos},
    {"llama-bpe", {kLlama3}, kWholeWordsAndBos},
    {"falcon3", {kLlama3}, kWholeWordsAndBos},
    {"falcon-h1", {kLlama3}, kWholeWordsAndBos},
    {"pixtral", {kLlama3}, kWholeWordsAndBos},
    {"midm-2.0", {kLlama3}, kWholeWordsAndBos},
    {"lfm2", {kLlama3}, kWholeWordsAndBos},
    {"jina-v5-nano", {kLlama3}, kWholeWordsAndBos},
    {"dbrx", {kLlama3}},
    {"smaug-bpe", {kLlama3}},
    {"glm4", {kLlama3}},
    {"chatglm-bpe", {kLlama3}},
    {"minicpm5", {R"(\p{N}{1,3})", kMiniCpm5}, kWholeWords},
    {"deepseek-llm",
     {"[\r\n]", kDeepSeekLetters, kDeepSeekSymbols, R"(\s+$)", kDeepSeekCjk, R"(\p{N}+)"}},
    {"deepseek-coder", {"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepSeekCjk, R"(\p{N})"}},
    {"deepseek-v3", {R"(\p{N}{1,3})", kDeepSeek3Cjk, kDeepSeek3}},
    {"hunyuan-dense", {R"(\p{N}{1,3})", kDeepSeek3Cjk, kDeepSeek3}},
    {"joyai-llm", {R"(\p{N}{1,3})", kDeepSeek3Cjk, kDeepSeek3}},
    {"falcon", {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2, "[0-9][0-9][0-9]"}},
    {"starcoder", {R"(\p{N})", kGpt2}},
    {"refact", {R"(\p{N})", kGpt2}},
    {"command-r", {R"(\p{N})", kGpt2}, kNfc},
    {"smollm", {R"(\p{N})", kGpt2}},
    {"codeshell", {R"(\p{N})", kGpt2}},
    {"exaone", {R"(\p{N})", kGpt2}},
    {"minerva-7b", {R"(\p{N})", kGpt2}},
    {"mellum2", {R"(\p{N})", kGpt2}},
    {"gpt-2", {kGpt2}},
    {"gpt2", {kGpt2}},
    {"phi-2", {kGpt2}},
    {"jina-es", {kGpt2}},
    {"jina-de", {kGpt2}},
    {"jina-v2-es", {kGpt2}},
    {"jina-v2-de", {kGpt2}},
    {"jina-v1-en", {kGpt2}, kSep},
    {"jina-v2-code", {kGpt2}, kSep},
    {"roberta-bpe", {kGpt2}, kSep},
    {"gigachat", {kGpt2}},
    {"a.x-4.0", {kGpt2}},
    {"mellum", {kGpt2}},
    {"modern-bert", {kGpt2}},
    {"mpt", {kGpt2}, kNfc},
    {"olmo", {kGpt2}, kNfc},
    {"jais", {kGpt2}},
    {"trillion", {kGpt2}},
    {"exaone4", {kGpt2}},
    {"granite-docling", {kGpt2}},
    {"stablelm2", {kQwen2}},
    {"qwen2", {kQwen2}, kNfc},
    {"deepseek-r1-qwen", {kQwen2}, kNfc},
    {"kormo", {kQwen2}, kNfc},
    {"f2llmv2", {kQwen2}, kNfc},
    {"megrez", {kQwen2}, kNfc},
    {"hunyuan", {kQwen2}},
    {"solar-open", {kQwen2}},
    {"grok-2", {kQwen2}},
    {"laguna", {R"([^\n]+|[\n]+)", kQwen2}},
    {"qwen35", {kQwen35}, kNfc},
    {"bloom", {kBloom}},
    {"poro-chat", {kBloom}},
    {"gpt3-finnish", {kBloom}},
    {"viking", {kBloom, R"(\p{N})"}},
    {"tekken", {kTekken}, kWholeWordsAndBos},
    {"gpt-4o", {kGpt4o}},
    {"llama4", {kGpt4o}},
    {"kanana2", {kGpt4o}},
    {"talkie", {kGpt4o}},
    {"granite-embed-multi-97m", {kGpt4o}, kWholeWords},
    {"tiny_aya", {R"(\d{1,3}(?=(?:\d{3})*\b))", kGpt4o}},
    {"cohere2moe", {R"(\d{1,3}(?=(?:\d{3})*\b))", kGpt4o}},
    {"youtu", {kYoutuScripts, kYoutu}, kWholeWords},
    {"ufakzeka", {kUfakzeka}},
    {"minimax-m2", {kGpt4o}},
    {"superbpe", {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}},
    {"bailingmoe", {kBailing}},
    {"bailingmoe2", {kBailing}},
    {"llada-moe", {kBailing}},
    {"seed-coder", {kSeedCoder}},
    {"exaone-moe", {kExaoneMoe}},
    {"kimi-k2", {kKimiK2}},
    {"chameleon",
     {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", R"(\p{N})",
      R"([\p{P}!-/:-@\[-`{-~])", kGpt2},
     kBos},
};

}  // namespace

Result<NamedPreTokenizer> find_pre_tokenizer(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name != name) continue;
    NamedPreTokenizer found;
    for (const std::string_view pattern : row.patterns) {
      if (pattern.empty()) break;
      found.steps.emplace_back(
          SplitPreTokenizer{.pattern = {Pattern::Kind::kRegex, std::string(pattern)}});
    }
    found.steps.emplace_back(ByteLevelPreTokenizer{.use_regex = false});
    if (row.extra.nfc) found.normalizers.emplace_back(UnicodeNormalizer{UnicodeForm::kNfc});
    found.ignore_merges = row.extra.ignore_merges;
    found.add_bos = row.extra.add_bos;
    found.add_sep = row.extra.add_sep;
    return found;
  }
  return Error{ErrorCode::kUnsupported, "pre-tokenizer " + in_quotes(name) + " is not supported"};
}

std::vector<std::string_view> pre_tokenizer_names() {
  std::vector<std::string_view> names;
  for (const Row& row : kRows) names.push_back(row.name);
  return names;
}

}  // namespace millrace
