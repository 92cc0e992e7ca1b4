// By name; what is in subfolders (other formats, training states) is left alone.
#include "hub/file_choice.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace millrace {
namespace {

bool is_top_level(const HubFile& file) {
  return file.path.find('/') == std::string::npos;
}

bool describes_model(const HubFile& file) {
  static constexpr std::array<std::string_view, 15> kNames = {
      "config.json",         "generation_config.json",
      "tokenizer.json",      "tokenizer_config.json",
      "tokenizer.model",     "special_tokens_map.json",
      "added_tokens.json",   "vocab.json",
      "merges.txt",          "vocab.txt",
      "chat_template.jinja", "chat_template.json",
      "adapter_config.json", "model.safetensors.index.json",
      "quantize_config.json"};
  return std::find(kNames.begin(), kNames.end(), file.path) != kNames.end() ||
         file.path.ends_with(".tiktoken");
}

// Some repositories hold the same weights twice: in Hugging Face's names and in their maker's.
bool is_usual_weights(const HubFile& file) {
  return file.path == "model.safetensors" || file.path == "adapter_model.safetensors" ||
         (file.path.starts_with("model-") && file.path.ends_with(".safetensors"));
}

std::vector<HubFile> weights_of(const std::vector<HubFile>& files) {
  std::vector<HubFile> usual;
  std::vector<HubFile> all;
  for (const HubFile& file : files) {
    if (!is_top_level(file) || !file.path.ends_with(".safetensors")) continue;
    all.push_back(file);
    if (is_usual_weights(file)) usual.push_back(file);
  }
  return usual.empty() ? all : usual;
}

}  // namespace

Result<std::vector<HubFile>> choose_files(const HubReference& reference,
                                          const std::vector<HubFile>& files) {
  std::vector<HubFile> chosen;
  if (!reference.file.empty()) {
    for (const HubFile& file : files) {
      if (file.path == reference.file) chosen.push_back(file);
    }
    if (chosen.empty()) {
      return Error{ErrorCode::kNotFound, reference.repository() + " has no file " + reference.file};
    }
    return chosen;
  }
  chosen = weights_of(files);
  if (!chosen.empty()) {
    for (const HubFile& file : files) {
      if (is_top_level(file) && describes_model(file)) chosen.push_back(file);
    }
    return chosen;
  }
  std::string names;
  for (const HubFile& file : files) {
    if (!is_top_level(file) || !file.path.ends_with(".gguf")) continue;
    names += (chosen.empty() ? "" : ", ") + file.path;
    chosen.push_back(file);
  }
  if (chosen.size() == 1) return chosen;
  if (chosen.empty()) {
    return Error{ErrorCode::kNotFound,
                 reference.repository() + " has neither .safetensors nor .gguf files"};
  }
  return Error{ErrorCode::kInvalidArgument,
               reference.repository() +
                   " has several .gguf files, expected one of them after the "
                   "name: " +
                   names};
}

}  // namespace millrace
