// Reads quantization_config: one small reader per method, and refusals by name.
#include "formats/quantization_config.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/file.h"
#include "formats/text_quote.h"

namespace millrace {
namespace {

constexpr const char* kInstead =
    "use the model's unquantised checkpoint, or one in GPTQ, AWQ, compressed-tensors, FP8 or GGUF";
constexpr std::uint64_t kGroupSizeMax = 1u << 20;

// The value of a whole number that is not negative.
std::optional<std::uint64_t> whole_number(const Json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (!value.is_number_integer() || value.get<std::int64_t>() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(value.get<std::int64_t>());
}

// An object of the config; a field that is null counts as absent.
class Fields {
 public:
  Fields(const Json& object, std::string name) : object_(&object), name_(std::move(name)) {}

  const Json* find(const char* key) const {
    if (!object_->is_object()) return nullptr;
    const auto found = object_->find(key);
    return found == object_->end() || found->is_null() ? nullptr : &*found;
  }
  const std::string& name() const { return name_; }

  Error wrong(const char* key, const std::string& expected) const {
    const Json* found = find(key);
    return Error{ErrorCode::kCorruptData,
                 name_ + ": \"" + key + "\" is " +
                     (found == nullptr ? std::string("absent") : shown(*found)) + ", expected " +
                     expected};
  }
  Error unsupported(const char* key, const std::string& instead) const {
    const Json* found = find(key);
    return Error{ErrorCode::kUnsupported,
                 name_ + ": \"" + key +
                     "\": " + (found == nullptr ? std::string("null") : shown(*found)) +
                     " is not supported: " + instead};
  }

  // Absent fields read as the fallback.
  Result<std::string> text(const char* key, const std::string& fallback) const {
    const Json* found = find(key);
    if (found == nullptr) return fallback;
    if (!found->is_string()) return wrong(key, "a string");
    return lower(found->get<std::string>());
  }
  Result<bool> flag(const char* key, std::optional<bool> fallback) const {
    const Json* found = find(key);
    if (found == nullptr && fallback.has_value()) return *fallback;
    if (found == nullptr || !found->is_boolean()) return wrong(key, "true or false");
    return found->get<bool>();
  }
  Result<std::uint64_t> count(const char* key, std::uint64_t max) const {
    const Json* found = find(key);
    const auto value = found == nullptr ? std::nullopt : whole_number(*found);
    if (!value || *value == 0 || *value > max)
      return wrong(key, "a whole number from 1 to " + std::to_string(max));
    return *value;
  }
  // Columns of a group; 0 for the -1 that means the whole row.
  Result<std::uint64_t> group_size(const char* key) const {
    const Json* found = find(key);
    if (found != nullptr && !found->is_number_unsigned() && *found == -1) return std::uint64_t{0};
    auto size = count(key, kGroupSizeMax);
    return size.ok() ? size : Result<std::uint64_t>(wrong(key, "-1 or a size of groups"));
  }

 private:
  static std::string shown(const Json& value) {
    constexpr std::size_t kShownMax = 60;
    std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
    return text.size() > kShownMax ? text.substr(0, kShownMax) + "…" : text;
  }
  static std::string lower(std::string text) {
    for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return text;
  }

  const Json* object_;
  std::string name_;
};

bool is_one_of(const std::string& text, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return text == name; });
}

// An option that changes what the weights mean, unless it is absent or empty.
Status refuse_option(const Fields& fields, const char* key) {
  const Json* found = fields.find(key);
  if (found == nullptr || found->empty() || *found == false || *found == "") return Ok{};
  return fields.unsupported(key, kInstead);
}

std::string groups_text(std::uint64_t group_size) {
  return group_size == 0 ? "in whole rows" : "in groups of " + std::to_string(group_size);
}

Status check_bits(const Fields& fields, const char* key, std::uint64_t bits) {
  if (bits == 2 || bits == 3 || bits == 4 || bits == 8) return Ok{};
  return fields.unsupported(key, "expected 2, 3, 4 or 8");
}

// AutoGPTQ, GPTQModel, optimum; AutoRound in GPTQ's layout.
Result<QuantizationConfig> read_gptq(const Fields& fields, const std::string& label) {
  QuantizationConfig config;
  config.method = QuantizationMethod::kGptq;
  const std::uint64_t bits = TRY(fields.count("bits", 64));
  TRY(check_bits(fields, "bits", bits));
  config.bits = {static_cast<std::uint32_t>(bits)};
  config.group_size = TRY(fields.group_size("group_size"));
  config.needs_column_groups = TRY(fields.flag("desc_act", false));
  const char* format_key =
      fields.find("checkpoint_format") != nullptr ? "checkpoint_format" : "format";
  const std::string format = TRY(fields.text(format_key, "gptq"));
  if (!is_one_of(format, {"gptq", "gptq_v2"})) {
    return fields.unsupported(format_key, "expected gptq or gptq_v2");
  }
  config.stores_zeros_less_one = format == "gptq";
  const std::string pack_type = TRY(fields.text("pack_dtype", "int32"));
  if (pack_type != "int32") return fields.unsupported("pack_dtype", "expected int32");
  for (const char* option : {"is_marlin_format", "adapter", "rotation"})
    TRY(refuse_option(fields, option));
  for (const char* overrides : {"dynamic", "extra_config"}) {
    const Json* found = fields.find(overrides);
    config.has_overrides = config.has_overrides || (found != nullptr && !found->empty());
  }
  config.summary = label + ", " + std::to_string(bits) + " bits " + groups_text(config.group_size);
  if (config.needs_column_groups) config.summary += ", columns reordered";
  return config;
}

// AutoAWQ's fields, in config.json's spelling and in that of its older quant_config.json.
Result<QuantizationConfig> read_awq(const Fields& fields, const std::string& label) {
  QuantizationConfig config;
  config.method = QuantizationMethod::kAwq;
  const char* bits_key = fields.find("w_bit") != nullptr ? "w_bit" : "bits";
  const std::uint64_t bits = TRY(fields.count(bits_key, 64));
  if (bits != 4) return fields.unsupported(bits_key, "expected 4");
  config.bits = {4};
  config.group_size = TRY(
      fields.group_size(fields.find("q_group_size") != nullptr ? "q_group_size" : "group_size"));
  const char* format_key = fields.find("version") != nullptr ? "version" : "format";
  const std::string format = TRY(fields.text(format_key, "gemm"));
  // "exllama" and "ipex" name kernels that read gemm's layout.
  if (!is_one_of(format, {"gemm", "exllama", "exllamav2", "ipex"})) {
    return fields.unsupported(format_key, "expected gemm; use the model's gemm version, or " +
                                              std::string(kInstead).substr(4));
  }
  const std::string backend = TRY(fields.text("backend", "autoawq"));
  if (backend == "llm-awq") return fields.unsupported("backend", kInstead);
  config.summary = label + ", 4 bits " + groups_text(config.group_size);
  return config;
}

// AutoRound says which of the two layouts it wrote.
Result<QuantizationConfig> read_auto_round(const Fields& fields) {
  const std::string packing = TRY(fields.text("packing_format", "auto_round"));
  if (packing == "auto_round:auto_gptq") return read_gptq(fields, "AutoRound in GPTQ's layout");
  if (packing == "auto_round:auto_awq") return read_awq(fields, "AutoRound in AWQ's layout");
  return fields.unsupported("packing_format",
                            "expected auto_round:auto_gptq or auto_round:auto_awq");
}

// [128, 128], or compressed-tensors' older "128x128".
Status read_block(const Fields& fields, const char* key, QuantizationConfig& config) {
  const Json* found = fields.find(key);
  if (found == nullptr) return Ok{};
  std::array<std::uint64_t, 2> sizes = {};
  if (found->is_array() && found->size() == 2) {
    sizes = {whole_number((*found)[0]).value_or(0), whole_number((*found)[1]).value_or(0)};
  } else if (*found == "128x128") {
    sizes = {128, 128};
  }
  if (sizes[0] == 0 || sizes[1] == 0 || sizes[0] > kGroupSizeMax || sizes[1] > kGroupSizeMax)
    return fields.wrong(key, "two sizes, as in [128, 128]");
  const bool differs = config.block_rows != sizes[0] || config.block_cols != sizes[1];
  if (config.block_rows != 0 && differs) {
    return fields.unsupported(key, "expected the same blocks in all groups");
  }
  config.block_rows = sizes[0];
  config.block_cols = sizes[1];
  return Ok{};
}

Status check_format(const Fields& fields, const std::string& format) {
  if (is_one_of(format, {"pack-quantized", "int-quantized", "float-quantized", "naive-quantized"}))
    return Ok{};
  return fields.unsupported("format",
                            "expected pack-quantized, int-quantized, float-quantized or "
                            "naive-quantized");
}

// "4-bit integers in groups of 128", "FP8 E4M3 in whole rows".
std::string scheme_text(std::uint64_t bits, const std::string& type, const std::string& strategy,
                        std::uint64_t group_size) {
  std::string text = type == "float" ? "FP8 E4M3" : std::to_string(bits) + "-bit integers";
  if (strategy == "group") return text + " " + groups_text(group_size);
  if (strategy == "channel") return text + " in whole rows";
  return text + (strategy == "block" ? " in blocks" : " with one scale");
}

// The weights of one of compressed-tensors' groups of modules.
Status read_group_weights(const Fields& weights, QuantizationConfig& config, std::string& text) {
  const std::string type = TRY(weights.text("type", "int"));
  const std::uint64_t bits =
      weights.find("num_bits") == nullptr ? 8 : TRY(weights.count("num_bits", 64));
  const bool is_known = type == "int" ? bits <= 8 : type == "float" && bits == 8;
  if (!is_known) {
    return weights.unsupported(type == "int" || type == "float" ? "num_bits" : "type",
                               "expected integers of at most 8 bits or floats of 8");
  }
  const std::uint64_t group_size =
      weights.find("group_size") == nullptr ? 0 : TRY(weights.group_size("group_size"));
  const std::string strategy = TRY(weights.text("strategy", group_size == 0 ? "tensor" : "group"));
  if (!is_one_of(strategy, {"tensor", "channel", "group", "block"}))
    return weights.unsupported("strategy", "expected tensor, channel, group or block");
  TRY(read_block(weights, "block_structure", config));
  const auto added = static_cast<std::uint32_t>(bits);
  if (type == "int" &&
      std::find(config.bits.begin(), config.bits.end(), added) == config.bits.end()) {
    config.bits.push_back(added);
  }
  const std::string scheme = scheme_text(bits, type, strategy, group_size);
  if (text.find(scheme) == std::string::npos) text += (text.empty() ? "" : "; ") + scheme;
  return Ok{};
}

Status read_groups(const Fields& fields, bool has_one_format, QuantizationConfig& config,
                   std::string& text) {
  const Json* groups = fields.find("config_groups");
  if (groups == nullptr || !groups->is_object() || groups->empty())
    return fields.wrong("config_groups", "an object with groups");
  for (const auto& [key, value] : groups->items()) {
    const Fields group(value, fields.name() + ": config_groups: " + in_quotes(key));
    if (!value.is_object()) {
      return Error{ErrorCode::kUnsupported, group.name() +
                                                " names a preset instead of giving its fields, "
                                                "which is not supported: " +
                                                kInstead};
    }
    const Json* weights = group.find("weights");
    if (weights == nullptr) continue;
    if (!weights->is_object()) return group.wrong("weights", "an object");
    const std::string format = TRY(group.text("format", ""));
    if (!has_one_format || !format.empty()) TRY(check_format(group, format));
    TRY(read_group_weights(Fields(*weights, group.name() + ": weights"), config, text));
  }
  return Ok{};
}

Result<QuantizationConfig> read_compressed_tensors(const Fields& fields) {
  QuantizationConfig config;
  config.method = QuantizationMethod::kCompressedTensors;
  const std::string format = TRY(fields.text("format", "dense"));
  const bool has_one_format = format != "mixed-precision";
  if (has_one_format) TRY(check_format(fields, format));
  for (const char* option : {"transform_config"}) TRY(refuse_option(fields, option));
  const Json* sparsity = fields.find("sparsity_config");
  if (sparsity != nullptr && !sparsity->empty()) {
    if (!sparsity->is_object()) return fields.wrong("sparsity_config", "an object");
    const Fields sparse(*sparsity, fields.name() + ": sparsity_config");
    const std::string sparse_format = TRY(sparse.text("format", "dense"));
    if (sparse_format != "dense") return sparse.unsupported("format", kInstead);
  }
  std::string text;
  TRY(read_groups(fields, has_one_format, config, text));
  config.summary = "compressed-tensors, " + format + ": " + text;
  return config;
}

// DeepSeek's, Qwen's and transformers' blocks; AutoFP8's one scale for a tensor.
Result<QuantizationConfig> read_fp8(const Fields& fields) {
  QuantizationConfig config;
  config.method = QuantizationMethod::kFp8;
  const std::string format = TRY(fields.text("fmt", "e4m3"));
  if (format != "e4m3") return fields.unsupported("fmt", "expected e4m3");
  TRY(read_block(fields, "weight_block_size", config));
  config.summary = "FP8 E4M3";
  if (config.block_rows != 0) {
    config.summary += " in blocks of " + std::to_string(config.block_rows) + " x " +
                      std::to_string(config.block_cols);
  } else {
    config.summary += " with one scale";
  }
  return config;
}

Result<QuantizationConfig> read_method(const Fields& fields, const std::string& method) {
  if (method == "gptq") return read_gptq(fields, "GPTQ");
  if (method == "awq") return read_awq(fields, "AWQ");
  if (method == "auto-round" || method == "intel/auto-round") return read_auto_round(fields);
  if (method == "compressed-tensors" || method == "compressed_tensors")
    return read_compressed_tensors(fields);
  if (method == "fp8") return read_fp8(fields);
  if (method == "fbgemm_fp8") {
    QuantizationConfig config;
    config.method = QuantizationMethod::kFp8;
    config.summary = "FP8 E4M3 in whole rows (FBGEMM)";
    return config;
  }
  return fields.unsupported("quant_method", kInstead);
}

// Files of bitsandbytes' early versions name no method.
std::string implied_method(const Fields& fields) {
  for (const char* key : {"load_in_8bit", "load_in_4bit"}) {
    const Json* found = fields.find(key);
    if (found != nullptr && *found == true) return "bitsandbytes";
  }
  if (fields.find("config_groups") != nullptr) return "compressed-tensors";
  return "";
}

}  // namespace

Result<std::optional<QuantizationConfig>> read_quantization_config(const Json& config,
                                                                   const std::string& name) {
  const Fields outer(config, name);
  const char* key =
      outer.find("quantization_config") != nullptr ? "quantization_config" : "compression_config";
  const Json* object = outer.find(key);
  if (object == nullptr) return std::optional<QuantizationConfig>();
  if (!object->is_object()) return outer.wrong(key, "an object");
  const Fields fields(*object, name + ": " + key);
  const std::string method = TRY(fields.text("quant_method", implied_method(fields)));
  if (method.empty()) return fields.wrong("quant_method", "a method's name");
  if (method == "bitsandbytes" && fields.find("quant_method") == nullptr) {
    return Error{ErrorCode::kUnsupported,
                 fields.name() + ": bitsandbytes is not supported: " + kInstead};
  }
  QuantizationConfig read = TRY(read_method(fields, method));
  return std::optional<QuantizationConfig>(std::move(read));
}

Result<Json> read_separate_quantization_config(const std::string& folder) {
  static constexpr std::array<std::pair<const char*, const char*>, 3> kFiles = {{
      {"quantize_config.json", "gptq"},
      {"quant_config.json", "awq"},
      {"hf_quant_config.json", "modelopt"},
  }};
  constexpr std::uint64_t kBytesMax = 1u << 20;
  for (const auto& [file, method] : kFiles) {
    const std::string path = folder + "/" + file;
    if (!file_exists(path)) continue;
    Json json = TRY(read_json_file(path, {.bytes_max = kBytesMax}));
    if (!json.is_object()) {
      return Error{ErrorCode::kCorruptData,
                   path + " holds " + json.type_name() + ", expected an object"};
    }
    if (!json.contains("quant_method")) json["quant_method"] = method;
    return json;
  }
  return Json();
}

}  // namespace millrace
