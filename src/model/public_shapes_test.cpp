// The table of shapes against published parameter counts, and through config.json and back.
#include "model/public_shapes.h"

#include <gtest/gtest.h>

#include <map>

#include "model/export_config.h"
#include "model/export_gguf.h"
#include "model/read_spec.h"

namespace millrace {
namespace {

// Totals of the published safetensors files, as their model pages show them.
const std::map<std::string_view, std::uint64_t>& published_counts() {
  static const std::map<std::string_view, std::uint64_t> counts = {
      {"llama-2-7b", 6'738'415'616},      {"llama-2-13b", 13'015'864'320},
      {"llama-3-8b", 8'030'261'248},      {"llama-3.1-8b", 8'030'261'248},
      {"llama-3.1-70b", 70'553'706'496},  {"llama-3.2-1b", 1'235'814'400},
      {"llama-3.2-3b", 3'212'749'824},    {"mistral-7b", 7'248'023'552},
      {"mistral-7b-v0.1", 7'241'732'096}, {"mixtral-8x7b", 46'702'792'704},
      {"qwen2.5-0.5b", 494'032'768},      {"qwen2.5-1.5b", 1'543'714'304},
      {"qwen2.5-3b", 3'085'938'688},      {"qwen2.5-7b", 7'615'616'512},
      {"qwen2.5-14b", 14'770'033'664},    {"qwen2.5-32b", 32'763'876'352},
      {"qwen2.5-72b", 72'706'203'648},    {"qwen3-0.6b", 596'049'920},
      {"qwen3-4b", 4'022'468'096},        {"qwen3-8b", 8'190'735'360},
      {"qwen3-14b", 14'768'307'200},      {"qwen3-32b", 32'762'123'264},
      {"qwen3-30b-a3b", 30'532'122'624},  {"smollm2-135m", 134'515'008},
      {"smollm2-360m", 361'821'120},      {"smollm2-1.7b", 1'711'376'384},
      {"tinyllama-1.1b", 1'100'048'384},
  };
  return counts;
}

TEST(PublicShapes, HaveThePublishedNumbersOfParameters) {
  std::size_t num_checked = 0;
  for (const PublicShape& shape : public_shapes()) {
    const auto published = published_counts().find(shape.name);
    if (published == published_counts().end()) continue;
    const ModelSpec spec = MUST(spec_of(shape));  // a table of ours
    EXPECT_EQ(count_parameters(spec).total, published->second) << shape.name;
    ++num_checked;
  }
  EXPECT_EQ(num_checked, published_counts().size());
}

TEST(PublicShapes, SurviveConfigJson) {
  for (const PublicShape& shape : public_shapes()) {
    ModelSpec spec = MUST(spec_of(shape));  // a table of ours
    spec.bos_id = 1;
    spec.eos_ids = {2, 7};
    const auto config = config_json_of(spec, facts_of(shape), DType::kBF16);
    ASSERT_TRUE(config.ok()) << shape.name << ": " << config.error().message;
    const Json parsed = Json::parse(config.value().dump());
    EXPECT_EQ(parsed["intermediate_size"], shape.feed_forward);
    const auto back = spec_from_config(parsed, nullptr, "config.json");
    ASSERT_TRUE(back.ok()) << shape.name << ": " << back.error().message;
    EXPECT_TRUE(back.value() == spec) << shape.name << "\n" << config.value().dump(2);
  }
}

TEST(PublicShapes, GgufWarnsOnlyAboutTheWindow) {
  for (const PublicShape& shape : public_shapes()) {
    const ModelSpec spec = MUST(spec_of(shape));  // a table of ours
    const auto gguf = gguf_metadata_of(spec, facts_of(shape), DType::kBF16);
    ASSERT_TRUE(gguf.ok()) << shape.name << ": " << gguf.error().message;
    EXPECT_EQ(gguf.value().warnings.size(), shape.window > 0 ? 1u : 0u) << shape.name;
  }
}

TEST(PublicShapes, ChangesAreCheckedAndNamesSuggested) {
  const PublicShape& shape = *MUST(find_public_shape("qwen2.5-0.5b"));  // in the table
  EXPECT_EQ(MUST(spec_of(shape, {.num_layers = 3})).layers.size(), 3u);
  const auto none = spec_of(shape, {.num_layers = 0});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().message, "number of layers is 0, expected 1 to 1024");
  EXPECT_FALSE(spec_of(shape, {.num_layers = std::size_t{1} << 60}).ok());
  const auto unknown = find_public_shape("qwen9");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().message.find("qwen3-0.6b"), std::string::npos);
}

}  // namespace
}  // namespace millrace
