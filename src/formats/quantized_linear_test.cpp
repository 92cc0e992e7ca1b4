// Quantised linears put together by hand: what is refused, and what small ones stand for.
#include "formats/quantized_linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <list>

#include "formats/safetensors_types.h"

namespace millrace {
namespace {

// Tensors in memory.
class MemorySource final : public WeightSource {
 public:
  template <class T>
  void add(const std::string& name, const std::string& type, const Shape& shape,
           const std::vector<T>& values) {
    TensorInfo info;
    info.name = name;
    info.type_name = type;
    info.dtype = safetensors_type(type)->dtype;
    info.shape = shape;
    const auto bytes = std::as_bytes(std::span(values));
    info.bytes = storage_.emplace_back(bytes.begin(), bytes.end());
    std::erase_if(tensors_, [&](const TensorInfo& old) { return old.name == name; });
    tensors_.push_back(info);
  }
  void remove(const std::string& name) {
    std::erase_if(tensors_, [&](const TensorInfo& old) { return old.name == name; });
  }

  std::string_view format_name() const override { return "memory"; }
  const std::string& path() const override { return path_; }
  std::span<const TensorInfo> tensors() const override { return tensors_; }
  const TensorInfo* find(std::string_view name) const override {
    for (const TensorInfo& info : tensors_) {
      if (info.name == name) return &info;
    }
    return nullptr;
  }
  std::span<const SourceFile> files() const override { return {}; }
  Status check_intact() const override { return Ok{}; }
  void release_pages(std::span<const std::byte>) const override {}

 private:
  std::string path_ = "test";
  std::list<std::vector<std::byte>> storage_;
  std::vector<TensorInfo> tensors_;
};

using Words = std::vector<std::uint32_t>;
constexpr std::uint16_t kHalfOne = 0x3C00;

QuantizationConfig config_of(const Json& quantization) {
  // A config of ours.
  return *MUST(read_quantization_config({{"quantization_config", quantization}}, "config.json"));
}

QuantizationConfig gptq_config() {
  return config_of({{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 32}});
}

// [8 rows, 64 columns] in two groups; every q is 9, every zero 8 (stored 7), every scale 1.
MemorySource gptq_source() {
  MemorySource source;
  source.add("m.qweight", "I32", {8, 8}, Words(64, 0x99999999u));
  source.add("m.qzeros", "I32", {2, 1}, Words(2, 0x77777777u));
  source.add("m.scales", "F16", {2, 8}, std::vector<std::uint16_t>(16, kHalfOne));
  return source;
}

std::string error_of(const MemorySource& source, const QuantizationConfig& config,
                     std::size_t num_rows = 8, std::size_t num_cols = 64) {
  const auto linear = find_quantized_linear(source, config, "m", num_rows, num_cols);
  return linear.ok() ? "" : linear.error().message;
}

std::vector<float> decoded(const QuantizedLinear& linear) {
  std::vector<float> values(linear.num_rows * linear.num_cols);
  decode_quantized_rows(linear, 0, linear.num_rows, values);
  return values;
}

TEST(QuantizedLinear, AbsentTensorsAreNoLinear) {
  const MemorySource source;
  EXPECT_FALSE(MUST(find_quantized_linear(source, gptq_config(), "m", 8, 64)).has_value());
}

TEST(QuantizedLinear, GptqSymmetricHasConstantZeros) {
  const MemorySource source = gptq_source();
  const auto linear = MUST(find_quantized_linear(source, gptq_config(), "m", 8, 64));
  ASSERT_TRUE(linear.has_value());
  for (const float value : decoded(*linear)) EXPECT_EQ(value, 1.0f);
  const auto kind = quant_kind(*linear);
  ASSERT_TRUE(kind.has_value());
  EXPECT_FALSE(kind->has_minimum);
  EXPECT_TRUE(kind->has_half_scales);
  EXPECT_EQ(kind->quant_min, -8);
}

TEST(QuantizedLinear, GptqZerosWrapModuloTheirBits) {
  MemorySource source = gptq_source();
  source.add("m.qzeros", "I32", {2, 1}, Words{0x7777777Fu, 0x77777777u});
  const auto linear = MUST(find_quantized_linear(source, gptq_config(), "m", 8, 64));
  ASSERT_TRUE(linear.has_value());
  EXPECT_EQ(linear->zero(0, 0), 0);
  EXPECT_EQ(linear->zero(1, 0), 8);
  const auto kind = quant_kind(*linear);
  ASSERT_TRUE(kind.has_value());
  EXPECT_TRUE(kind->has_minimum);
}

TEST(QuantizedLinear, GptqWrongShapesAreRefused) {
  const QuantizationConfig config = gptq_config();
  EXPECT_EQ(error_of(gptq_source(), config), "");
  EXPECT_NE(error_of(gptq_source(), config, 16), "");
  EXPECT_NE(error_of(gptq_source(), config, 8, 128), "");
  EXPECT_NE(error_of(gptq_source(), config, 0, 64).find("no rows"), std::string::npos);
  for (const char* part : {"m.qzeros", "m.scales"}) {
    MemorySource source = gptq_source();
    source.remove(part);
    EXPECT_NE(error_of(source, config).find("missing"), std::string::npos) << part;
  }
  MemorySource source = gptq_source();
  source.add("m.scales", "F16", {3, 8}, std::vector<std::uint16_t>(24, kHalfOne));
  EXPECT_NE(error_of(source, config).find("[3, 8]"), std::string::npos);
  source = gptq_source();
  source.add("m.scales", "I32", {2, 8}, Words(16, 1));
  EXPECT_NE(error_of(source, config).find("of type I32"), std::string::npos);
  source = gptq_source();
  source.add("m.qweight", "F32", {8, 8}, Words(64, 0));
  EXPECT_NE(error_of(source, config).find("of type F32"), std::string::npos);
  source = gptq_source();
  source.add("m.qzeros", "I32", {1, 1}, Words(1, 0));
  EXPECT_NE(error_of(source, config).find("[1, 1]"), std::string::npos);
  source = gptq_source();
  source.add("m.qweight", "I32", {0, 8}, Words());
  EXPECT_NE(error_of(source, config).find("64 columns of 4 bits in 8 words"), std::string::npos);
  source.add("m.qweight", "I32", {8}, Words(8, 0));
  EXPECT_NE(error_of(source, config), "");
}

TEST(QuantizedLinear, GptqGroupsOfColumnsAreChecked) {
  const QuantizationConfig config = gptq_config();
  MemorySource source = gptq_source();
  std::vector<std::int32_t> groups(64, 0);
  source.add("m.g_idx", "I32", {64}, groups);
  const auto shuffled = MUST(find_quantized_linear(source, config, "m", 8, 64));
  ASSERT_TRUE(shuffled.has_value());
  EXPECT_EQ(shuffled->column_groups.size(), 64u);
  EXPECT_FALSE(quant_kind(*shuffled).has_value());
  for (const std::int32_t wrong : {2, -1, 1 << 30}) {
    groups[63] = wrong;
    source.add("m.g_idx", "I32", {64}, groups);
    EXPECT_NE(error_of(source, config).find("column 63 in group " + std::to_string(wrong)),
              std::string::npos);
  }
  source.add("m.g_idx", "I32", {63}, std::vector<std::int32_t>(63, 0));
  EXPECT_NE(error_of(source, config).find("[63]"), std::string::npos);
  QuantizationConfig reordered = config;
  reordered.needs_column_groups = true;
  EXPECT_NE(error_of(gptq_source(), reordered).find("g_idx"), std::string::npos);
}

TEST(QuantizedLinear, LastGroupMayBeShort) {
  QuantizationConfig config = gptq_config();
  config.group_size = 48;
  const MemorySource source = gptq_source();
  const auto linear = MUST(find_quantized_linear(source, config, "m", 8, 64));
  ASSERT_TRUE(linear.has_value());
  EXPECT_EQ(linear->group_of(63), 1u);
  EXPECT_EQ(quant_kind(*linear)->group_size, 16u);
}

TEST(QuantizedLinear, AwqWithoutZerosIsSymmetric) {
  const QuantizationConfig config = config_of(
      {{"quant_method", "awq"}, {"w_bit", 4}, {"q_group_size", 64}, {"zero_point", false}});
  MemorySource source;
  // Output 1 lies in the fifth place of a word.
  source.add("m.qweight", "I32", {64, 1}, Words(64, 0x888F8888u));
  source.add("m.scales", "F16", {1, 8}, std::vector<std::uint16_t>(8, kHalfOne));
  const auto linear = MUST(find_quantized_linear(source, config, "m", 8, 64));
  ASSERT_TRUE(linear.has_value());
  const std::vector<float> values = decoded(*linear);
  for (std::size_t row = 0; row < 8; ++row) EXPECT_EQ(values[row * 64], row == 1 ? 7.0f : 0.0f);
  EXPECT_NE(error_of(source, config, 12, 64).find("multiple of 8"), std::string::npos);
}

TEST(QuantizedLinear, CompressedShapesAreChecked) {
  const QuantizationConfig config = config_of(
      {{"quant_method", "compressed-tensors"},
       {"format", "pack-quantized"},
       {"config_groups", {{"group_0", {{"weights", {{"num_bits", 4}, {"group_size", 32}}}}}}}});
  MemorySource source;
  source.add("m.weight_packed", "I32", {8, 8}, Words(64, 0x99999999u));
  EXPECT_NE(error_of(source, config).find("weight_scale"), std::string::npos);
  source.add("m.weight_scale", "F32", {8, 2}, std::vector<float>(16, 0.5f));
  const auto linear = MUST(find_quantized_linear(source, config, "m", 8, 64));
  ASSERT_TRUE(linear.has_value());
  for (const float value : decoded(*linear)) EXPECT_EQ(value, 0.5f);
  source.add("m.weight_scale", "F32", {8, 3}, std::vector<float>(24, 0.5f));
  EXPECT_NE(error_of(source, config).find("[8, 3]"), std::string::npos);
  source.add("m.weight_scale", "F32", {8, 0}, std::vector<float>());
  EXPECT_NE(error_of(source, config).find("[8, 0]"), std::string::npos);
  source.add("m.weight_scale", "F32", {8, 2}, std::vector<float>(16, 0.5f));
  source.add("m.weight_shape", "I64", {2}, std::vector<std::int64_t>{8, -64});
  EXPECT_NE(error_of(source, config).find("-64"), std::string::npos);
  source.remove("m.weight_shape");
  source.add("m.weight_zero_point", "I32", {2, 2}, Words(4, 0));
  EXPECT_NE(error_of(source, config).find("[2, 2]"), std::string::npos);
  // A zero that is not constant would need a minimum that f32 scales cannot give exactly.
  source.add("m.weight_zero_point", "I32", {1, 2}, Words(2, 0));
  const auto asymmetric = MUST(find_quantized_linear(source, config, "m", 8, 64));
  EXPECT_FALSE(quant_kind(*asymmetric).has_value());
  EXPECT_EQ(decoded(*asymmetric).front(), 4.5f);
}

TEST(QuantizedLinear, Fp8ScalesAreChecked) {
  const QuantizationConfig config =
      config_of({{"quant_method", "fp8"}, {"weight_block_size", {16, 48}}});
  MemorySource source;
  source.add("m.weight", "F8_E4M3", {32, 64}, std::vector<std::uint8_t>(32 * 64, 0x39));
  EXPECT_NE(error_of(source, config, 32).find("missing"), std::string::npos);
  source.add("m.weight_scale_inv", "F32", {2, 2}, std::vector<float>{1, 2, 4, 8});
  const auto linear = MUST(find_quantized_linear(source, config, "m", 32, 64));
  ASSERT_TRUE(linear.has_value());
  EXPECT_FALSE(has_float8_groups(*linear));  // Blocks of 48 columns.
  const std::vector<float> values = decoded(*linear);
  EXPECT_EQ(values[0], 1.125f);
  EXPECT_EQ(values[63], 2.25f);
  EXPECT_EQ(values[31 * 64 + 47], 4.5f);
  EXPECT_EQ(values[31 * 64 + 48], 9.0f);
  source.add("m.weight_scale_inv", "F32", {3, 2}, std::vector<float>(6, 1.0f));
  EXPECT_NE(error_of(source, config, 32).find("[3, 2]"), std::string::npos);
  source.add("m.weight_scale_inv", "F32", {}, std::vector<float>{0.3f});
  EXPECT_EQ(error_of(source, config, 32), "");
  EXPECT_TRUE(has_float8_groups(*MUST(find_quantized_linear(source, config, "m", 32, 64))));
  EXPECT_NE(error_of(source, config, 64), "");
}

// ---- quantization_config ----

std::string refusal_of(const Json& quantization) {
  const auto config = read_quantization_config({{"quantization_config", quantization}}, "c");
  return config.ok() ? "" : config.error().message;
}

TEST(QuantizationConfig, MethodsThatAreNotReadAreRefusedByName) {
  for (const char* method :
       {"bitsandbytes", "hqq", "torchao", "eetq", "quanto", "aqlm", "vptq", "spqr", "higgs",
        "modelopt", "exl2", "exl3", "quark", "bitnet", "fp_quant", "mxfp8", "ternary"}) {
    const std::string message = refusal_of({{"quant_method", method}});
    EXPECT_NE(message.find(method), std::string::npos) << message;
    EXPECT_NE(message.find("GGUF"), std::string::npos) << message;
  }
  EXPECT_NE(refusal_of({{"load_in_8bit", true}}).find("bitsandbytes"), std::string::npos);
  EXPECT_NE(refusal_of(Json::object()).find("quant_method"), std::string::npos);
}

TEST(QuantizationConfig, OptionsThatAreNotReadAreRefusedByName) {
  const Json gptq = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}};
  const Json awq = {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 128}};
  const auto with = [](Json base, const char* key, const Json& value) {
    base[key] = value;
    return base;
  };
  EXPECT_EQ(refusal_of(gptq), "");
  EXPECT_EQ(refusal_of(awq), "");
  EXPECT_NE(refusal_of(with(gptq, "checkpoint_format", "marlin")).find("marlin"),
            std::string::npos);
  EXPECT_NE(refusal_of(with(gptq, "is_marlin_format", true)), "");
  EXPECT_NE(refusal_of(with(gptq, "bits", 5)).find("expected 2, 3, 4 or 8"), std::string::npos);
  EXPECT_NE(refusal_of(with(gptq, "bits", "4")), "");
  EXPECT_NE(refusal_of(with(gptq, "group_size", 0)), "");
  EXPECT_NE(refusal_of(with(gptq, "group_size", -2)), "");
  EXPECT_NE(refusal_of(with(gptq, "group_size", 1e30)), "");
  EXPECT_NE(refusal_of(with(gptq, "adapter", {{"name", "eora"}})), "");
  for (const char* version : {"gemv", "gemv_fast", "marlin"}) {
    EXPECT_NE(refusal_of(with(awq, "version", version)).find(version), std::string::npos);
  }
  EXPECT_EQ(refusal_of(with(awq, "version", "GEMM")), "");
  EXPECT_NE(refusal_of(with(awq, "bits", 3)), "");
}

TEST(QuantizationConfig, CompressedTensorsOfOtherFormatsAreRefusedByName) {
  const Json group = {{"weights", {{"num_bits", 4}, {"group_size", 32}}}};
  Json config = {{"quant_method", "compressed-tensors"}, {"config_groups", {{"g", group}}}};
  for (const char* format : {"nvfp4-pack-quantized", "mxfp4-pack-quantized", "marlin-24", "dense",
                             "sparse-24-bitmask"}) {
    config["format"] = format;
    EXPECT_NE(refusal_of(config).find(format), std::string::npos);
  }
  config["format"] = "pack-quantized";
  EXPECT_EQ(refusal_of(config), "");
  config["sparsity_config"] = {{"format", "sparse-24-bitmask"}};
  EXPECT_NE(refusal_of(config).find("sparse-24-bitmask"), std::string::npos);
  config.erase("sparsity_config");
  config["transform_config"] = {{"config_groups", {{"u", 1}}}};
  EXPECT_NE(refusal_of(config).find("transform_config"), std::string::npos);
  config.erase("transform_config");
  config["config_groups"]["g"]["weights"]["strategy"] = "tensor_group";
  EXPECT_NE(refusal_of(config).find("tensor_group"), std::string::npos);
  config["config_groups"]["g"] = "W4A16";
  EXPECT_NE(refusal_of(config).find("preset"), std::string::npos);
  config["config_groups"] = Json::array();
  EXPECT_NE(refusal_of(config), "");
}

}  // namespace
}  // namespace millrace
