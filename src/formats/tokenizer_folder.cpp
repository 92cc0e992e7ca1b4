// Chooses among the files of a folder; what each means is the parsers' business.
#include "formats/tokenizer_folder.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "formats/tokenizer_fields.h"
#include "formats/tokenizer_json.h"
#include "formats/tokenizer_sentencepiece.h"
#include "formats/tokenizer_tiktoken.h"
#include "formats/tokenizer_vocab_merges.h"

namespace millrace {
namespace {

// The largest tokenizer.json in circulation has 35 MB.
constexpr std::uint64_t kFileBytesMax = 128ull << 20;
constexpr JsonLimits kJsonLimits = {.bytes_max = kFileBytesMax};

class Folder {
 public:
  explicit Folder(const std::string& path) : path_(path) {}

  std::string path(const char* file) const { return path_ + "/" + file; }
  bool has(const char* file) const { return file_exists(path(file)); }
  Result<Json> json(const char* file) const { return read_json_file(path(file), kJsonLimits); }
  Result<std::string> text(const char* file) const { return read_file(path(file), kFileBytesMax); }

 private:
  std::string path_;
};

// How words are cut where the files do not say it: by the class that transformers would use.
Result<std::string> pre_tokenizer_of_class(const Folder& folder, const std::string& fallback) {
  constexpr std::pair<std::string_view, const char*> kClasses[] = {
      {"GPT2Tokenizer", "gpt-2"},      {"GPT2TokenizerFast", "gpt-2"},
      {"Qwen2Tokenizer", "qwen2"},     {"Qwen2TokenizerFast", "qwen2"},
      {"QWenTokenizer", "qwen2"},      {"CodeGenTokenizer", "gpt-2"},
      {"TikTokenTokenizer", "kimi-k2"}};
  if (!folder.has("tokenizer_config.json")) return fallback;
  const Json json = TRY(folder.json("tokenizer_config.json"));
  const JsonObject config = TRY(as_json_object(json, folder.path("tokenizer_config.json")));
  const std::string name = TRY(config.get_string_or("tokenizer_class", ""));
  for (const auto& [known, pre_tokenizer] : kClasses) {
    if (known == name) return std::string(pre_tokenizer);
  }
  return fallback;
}

Result<TokenizerSpec> load_vocabulary(const Folder& folder, const std::string& folder_path) {
  if (folder.has("tokenizer.json")) {
    return parse_tokenizer_json(TRY(folder.json("tokenizer.json")), folder.path("tokenizer.json"));
  }
  if (folder.has("vocab.json") && folder.has("merges.txt")) {
    const std::string pre_tokenizer = TRY(pre_tokenizer_of_class(folder, "gpt-2"));
    return parse_vocab_merges(TRY(folder.json("vocab.json")), TRY(folder.text("merges.txt")),
                              folder_path, pre_tokenizer);
  }
  for (const char* file : {"tokenizer.model", "tiktoken.model", "qwen.tiktoken"}) {
    if (!folder.has(file)) continue;
    const std::string bytes = TRY(folder.text(file));
    if (!looks_like_tiktoken(bytes)) return parse_sentencepiece(bytes, folder.path(file));
    return parse_tiktoken(bytes, folder.path(file),
                          TRY(pre_tokenizer_of_class(folder, "llama-bpe")));
  }
  return Error{ErrorCode::kNotFound,
               folder_path +
                   ": no tokenizer.json, vocab.json with merges.txt, tokenizer.model or "
                   "tiktoken.model"};
}

// {"<|im_end|>": 151645, …}: only for tokens that nothing else declared.
Status apply_added_tokens_file(const Json& json, const std::string& name, TokenizerSpec& spec) {
  const JsonObject object = TRY(as_json_object(json, name));
  Json entries = Json::object();
  for (const auto& [content, id] : object.json.items()) {
    const std::optional<TokenId> number = as_token_id(id);
    if (!number) return object.wrong(content.c_str(), "a token id");
    bool known = false;
    for (const AddedToken& token : spec.added_tokens) known = known || token.id == *number;
    if (known) continue;
    entries[std::to_string(*number)] = {{"content", content}, {"normalized", false}};
  }
  return apply_tokenizer_config(Json{{"added_tokens_decoder", entries}}, name, spec);
}

void set_template(const std::string& name, std::string source, TokenizerSpec& spec) {
  std::erase_if(spec.chat_templates, [&](const auto& other) { return other.name == name; });
  spec.chat_templates.push_back({name, std::move(source)});
}

// Files go before what tokenizer_config.json holds.
Status load_template_files(const Folder& folder, TokenizerSpec& spec) {
  if (folder.has("chat_template.jinja")) {
    set_template("", TRY(folder.text("chat_template.jinja")), spec);
  }
  constexpr const char* kMore = "additional_chat_templates";
  constexpr std::size_t kFilesMax = 64;
  std::error_code failure;
  std::vector<std::filesystem::path> files;
  for (std::filesystem::directory_iterator at(folder.path(kMore), failure), end;
       !failure && at != end; at.increment(failure)) {
    if (at->path().extension() != ".jinja") continue;
    if (files.size() == kFilesMax) {
      return Error{ErrorCode::kTooLarge, folder.path(kMore) + ": more than " +
                                             std::to_string(kFilesMax) + " chat templates"};
    }
    files.push_back(at->path());
  }
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    set_template(file.stem().string(), TRY(read_file(file.string(), kFileBytesMax)), spec);
  }
  return Ok{};
}

}  // namespace

Result<TokenizerSpec> load_tokenizer_spec(const std::string& folder_path) {
  const Folder folder(folder_path);
  TokenizerSpec spec = TRY(load_vocabulary(folder, folder_path));
  for (const char* file : {"special_tokens_map.json", "tokenizer_config.json"}) {
    if (!folder.has(file)) continue;
    TRY(apply_tokenizer_config(TRY(folder.json(file)), folder.path(file), spec));
  }
  if (folder.has("added_tokens.json")) {
    TRY(apply_added_tokens_file(TRY(folder.json("added_tokens.json")),
                                folder.path("added_tokens.json"), spec));
  }
  TRY(load_template_files(folder, spec));
  return spec;
}

}  // namespace millrace
