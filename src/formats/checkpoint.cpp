// Finds out what a path is and opens it.
#include "formats/checkpoint.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "formats/gguf_sampling.h"
#include "formats/safetensors.h"
#include "formats/text_quote.h"

namespace millrace {
namespace {

constexpr const char* kSupported =
    "a folder with config.json and model.safetensors or model.safetensors.index.json, a folder "
    "with one GGUF model, a .safetensors file beside a config.json, a GGUF file (v2, v3), a "
    "llama2.c .bin file, a file of `millrace pack`";

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<Json> read_object(const std::string& path) {
  Json json = TRY(read_json_file(path, {.bytes_max = kConfigBytesMax}));
  if (json.is_object()) return json;
  return Error{ErrorCode::kCorruptData,
               path + " holds " + json.type_name() + ", expected an object"};
}

Error refuse_pickle(const std::string& path) {
  return Error{ErrorCode::kUnsupported,
               path + " is a PyTorch pickle, which can run code when it is loaded, and is not " +
                   "read; convert it to safetensors"};
}

// "-00001-of-00003.gguf" and on: parts of a model that its first file opens.
bool is_later_part(const std::string& name) {
  constexpr std::string_view kPattern = "-00000-of-00000.gguf";
  if (name.size() < kPattern.size()) return false;
  const std::string tail = name.substr(name.size() - kPattern.size());
  for (std::size_t i = 0; i < tail.size(); ++i) {
    const bool is_digit = tail[i] >= '0' && tail[i] <= '9';
    if (kPattern[i] == '0' ? !is_digit : tail[i] != kPattern[i]) return false;
  }
  return tail.substr(1, 5) != "00001";
}

// The one model file of a folder whose name ends so; empty when there is none. kInvalidArgument
// naming them when several could be meant.
Result<std::string> only_model_in(const std::string& folder, std::string_view ending) {
  constexpr std::size_t kFilesMax = 10'000;
  std::vector<std::string> found;
  std::error_code failed;
  std::size_t num_files = 0;
  for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    if (++num_files > kFilesMax) break;
    const std::string name = entry->path().filename().string();
    if (!name.ends_with(ending) || is_later_part(name) || name.starts_with("mmproj")) continue;
    std::error_code unreadable;
    if (entry->is_regular_file(unreadable)) found.push_back(name);
  }
  std::sort(found.begin(), found.end());
  if (found.size() <= 1) return found.empty() ? std::string() : folder + "/" + found.front();
  std::string names;
  for (const std::string& name : found) names += (names.empty() ? "" : ", ") + name;
  return Error{ErrorCode::kInvalidArgument, folder + " holds several models; name one of " + names};
}

// What the first bytes of a file say that it is.
enum class Leading : std::uint8_t { kGguf, kOldGgml, kPickle, kPacked, kOther };

Result<Leading> leading_bytes(const std::string& path) {
  const MappedFile file = TRY(MappedFile::open(path));
  const auto bytes = file.bytes().first(std::min<std::size_t>(file.bytes().size(), 4));
  const std::string head(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  TRY(file.check_intact());
  if (head == "GGUF") return Leading::kGguf;
  if (looks_like_packed_model(file.bytes())) return Leading::kPacked;
  // Magic numbers of the formats before GGUF, as they lie in the file.
  for (const char* magic : {"lmgg", "fmgg", "tjgg", "algg"}) {
    if (head == magic) return Leading::kOldGgml;
  }
  // A zip archive (torch.save since 1.6) or a bare pickle stream of protocol 2 and up.
  const bool is_zip = head == "PK\x03\x04";
  const bool is_stream = head.size() >= 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5;
  return is_zip || is_stream ? Leading::kPickle : Leading::kOther;
}

Error refuse_folder(const std::string& folder) {
  for (const char* name :
       {"pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.00.pth", "model.pt"}) {
    if (file_exists(folder + "/" + name)) return refuse_pickle(folder + "/" + name);
  }
  return Error{ErrorCode::kUnsupported,
               folder + " is no checkpoint that can be read; supported are: " + kSupported};
}

// The file that a folder without Hugging Face's usual names is about.
Result<std::string> model_file_in(const std::string& folder) {
  if (file_exists(folder + "/config.json")) {
    std::string file = TRY(only_model_in(folder, ".safetensors"));
    if (!file.empty()) return file;
  }
  std::string file = TRY(only_model_in(folder, ".gguf"));
  if (!file.empty()) return file;
  return refuse_folder(folder);
}

}  // namespace

Status Checkpoint::open_hugging_face(const std::string& folder, const std::string& weights_file) {
  kind_ = CheckpointKind::kHuggingFace;
  folder_ = folder;
  config_ = TRY(read_object(folder + "/config.json"));
  if (!config_.contains("quantization_config") && !config_.contains("compression_config")) {
    Json separate = TRY(read_separate_quantization_config(folder));
    if (!separate.is_null()) config_["quantization_config"] = std::move(separate);
  }
  auto quantization = read_quantization_config(config_, folder + "/config.json");
  if (quantization.ok()) quantization_ = std::move(quantization).value();
  const std::string generation_path = folder + "/generation_config.json";
  if (file_exists(generation_path)) generation_config_ = TRY(read_object(generation_path));
  weights_ = weights_file.empty() ? TRY(SafetensorsFolder::open_folder(folder))
                                  : TRY(SafetensorsFolder::open_file(weights_file));
  return Ok{};
}

Status Checkpoint::open_gguf(const std::string& path) {
  kind_ = CheckpointKind::kGguf;
  auto file = TRY(GgufFile::open(path));
  gguf_metadata_ = &file->metadata();
  generation_config_ = TRY(read_gguf_sampling(*gguf_metadata_));
  weights_ = std::move(file);
  return Ok{};
}

Status Checkpoint::open_llama2c(const std::string& path) {
  kind_ = CheckpointKind::kLlama2c;
  auto file = Llama2cFile::open(path);
  if (!file.ok()) {
    return with_context(std::move(file).error(),
                        "taken for a llama2.c file; supported are: " + std::string(kSupported));
  }
  llama2c_config_ = &file.value()->config();
  weights_ = std::move(file).value();
  return Ok{};
}

Status Checkpoint::open_packed(const std::string& path) {
  kind_ = CheckpointKind::kPacked;
  auto file = TRY(PackedModelFile::open(path));
  const auto read_json = [&](PackedSection section) -> Result<Json> {
    const auto bytes = file->section(section);
    if (bytes.empty()) return Json();
    return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path,
                      {.bytes_max = kConfigBytesMax});
  };
  config_ = TRY(read_json(PackedSection::kConfig));
  generation_config_ = TRY(read_json(PackedSection::kGenerationConfig));
  packed_ = file.get();
  weights_ = std::move(file);
  return Ok{};
}

Result<Checkpoint> open_checkpoint(const std::string& path) {
  Checkpoint checkpoint;
  checkpoint.path_ = path;
  if (is_directory(path)) {
    const bool has_config = file_exists(path + "/config.json");
    const bool has_weights = file_exists(path + "/model.safetensors") ||
                             file_exists(path + "/model.safetensors.index.json");
    if (!has_weights) return open_checkpoint(TRY(model_file_in(path)));
    if (!has_config) {
      return Error{ErrorCode::kNotFound, path + " holds safetensors but no config.json"};
    }
    TRY(checkpoint.open_hugging_face(path, ""));
    return checkpoint;
  }
  const Leading leading = TRY(leading_bytes(path));
  checkpoint.folder_ = folder_of(path);
  if (leading == Leading::kPickle) return refuse_pickle(path);
  if (leading == Leading::kOldGgml) {
    return Error{ErrorCode::kUnsupported,
                 path + " is in a GGML format from before GGUF; convert it to GGUF"};
  }
  if (leading == Leading::kPacked) {
    TRY(checkpoint.open_packed(path));
  } else if (leading == Leading::kGguf || path.ends_with(".gguf")) {
    TRY(checkpoint.open_gguf(path));
  } else if (path.ends_with(".safetensors")) {
    if (!file_exists(checkpoint.folder_ + "/config.json")) {
      return Error{ErrorCode::kNotFound, path + " has no config.json beside it"};
    }
    TRY(checkpoint.open_hugging_face(checkpoint.folder_, path));
  } else if (path.ends_with(".bin")) {
    TRY(checkpoint.open_llama2c(path));
  } else {
    return Error{ErrorCode::kUnsupported,
                 path + " is no checkpoint that can be read; supported are: " + kSupported};
  }
  return checkpoint;
}

}  // namespace millrace
