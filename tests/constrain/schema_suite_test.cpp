// JSON-Schema-Test-Suite: what the compiler accepts must accept the valid instances and no others.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "constrain/constrain_support.h"
#include "constrain/json_validator.h"
#include "support/shared_data.h"

namespace millrace {
namespace {

// The properties that the schema names come first, in its order; in all parts where that is plain.
OrderedJson in_declared_order(const OrderedJson& schema, const OrderedJson& value) {
  if (!schema.is_object()) return value;
  if (value.is_array()) {
    OrderedJson items = OrderedJson::array();
    for (std::size_t i = 0; i < value.size(); ++i) {
      const bool is_prefix = schema.contains("prefixItems") && i < schema["prefixItems"].size();
      const OrderedJson part = is_prefix                  ? schema["prefixItems"][i]
                               : schema.contains("items") ? schema["items"]
                                                          : OrderedJson(true);
      items.push_back(in_declared_order(part, value[i]));
    }
    return items;
  }
  if (!value.is_object()) return value;
  OrderedJson result = OrderedJson::object();
  std::vector<std::string> order;
  const auto add_names = [&](const OrderedJson& part) {
    if (!part.is_object()) return;
    if (part.contains("properties")) {
      for (const auto& [name, unused] : part["properties"].items()) order.push_back(name);
    }
  };
  add_names(schema);
  for (const char* keyword : {"allOf", "anyOf", "oneOf"}) {
    if (!schema.contains(keyword)) continue;
    for (const OrderedJson& part : schema[keyword]) add_names(part);
  }
  if (schema.contains("required") && schema["required"].is_array()) {
    for (const OrderedJson& name : schema["required"]) order.push_back(name);
  }
  for (const std::string& name : order) {
    if (!value.contains(name)) continue;
    const bool is_named = schema.contains("properties") && schema["properties"].contains(name);
    result[name] =
        is_named ? in_declared_order(schema["properties"][name], value[name]) : value[name];
  }
  for (const auto& [name, item] : value.items()) {
    if (!result.contains(name)) result[name] = item;
  }
  return result;
}

struct Tally {
  std::size_t num_groups = 0, num_compiled = 0, num_valid = 0, num_invalid = 0;
  std::vector<std::string> refused_valid;     // valid instances that the grammar does not have
  std::vector<std::string> accepted_invalid;  // and invalid ones that it has
  std::vector<std::string> validator_differs;
  std::set<std::string> refusals;
};

void run_group(GrammarCompiler& compiler, const std::string& file, const OrderedJson& group,
               Tally& tally) {
  ++tally.num_groups;
  const OrderedJson& schema = group["schema"];
  const auto constraint = compiler.compile(
      ConstraintSpec::json_schema(schema.dump(), {.whitespace = JsonWhitespace::kNone}));
  bool has_valid = false;
  if (!constraint.ok()) {
    const std::string& message = constraint.error().message;
    tally.refusals.insert(message.substr(std::min(message.find(": ") + 2, message.size())));
    if (constraint.error().code == ErrorCode::kInvalidArgument) {
      for (const OrderedJson& test : group["tests"]) has_valid |= test["valid"] == true;
      if (has_valid && message.starts_with("no text")) {
        tally.refused_valid.push_back(file + ": " + group["description"].get<std::string>());
      }
    }
    return;
  }
  ++tally.num_compiled;
  for (const OrderedJson& test : group["tests"]) {
    const bool is_valid = test["valid"];
    const std::string name = file + ": " + group["description"].get<std::string>() + ": " +
                             test["description"].get<std::string>();
    const std::string text = in_declared_order(schema, test["data"]).dump();
    const bool is_accepted = num_accepted(*constraint.value(), text) == text.size() + 1;
    (is_valid ? tally.num_valid : tally.num_invalid) += 1;
    if (is_valid && !is_accepted) tally.refused_valid.push_back(name + "  " + text.substr(0, 60));
    if (!is_valid && is_accepted)
      tally.accepted_invalid.push_back(name + "  " + text.substr(0, 60));
    if (is_valid_json(schema, test["data"]) != is_valid) tally.validator_differs.push_back(name);
  }
}

TEST(SchemaSuiteTest, AcceptedSchemasHaveTheValidInstancesAndNoOthers) {
  const std::string folder = "eval/json-schema-suite/draft2020-12";
  MILLRACE_NEEDS_SHARED_DATA(folder);
  const SystemClock clock;
  GrammarCompilerOptions options;
  options.mask_cache_bytes = 1 << 20;
  GrammarCompiler compiler(byte_vocabulary(), clock, options);
  Tally tally;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(shared_data(folder))) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  for (const char* format : {"date", "time", "date-time", "duration", "uuid", "email", "ipv4",
                             "ipv6", "hostname", "uri", "json-pointer"}) {
    files.push_back(shared_data(folder + "/optional/format/" + format + ".json"));
  }
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    // Formats are tested where they are asserted; elsewhere the suite has them as annotations.
    if (file.filename() == "format.json") continue;
    const std::string bytes = MUST(read_file(file.string(), 1 << 24));  // a file of the suite
    const OrderedJson groups = MUST(parse_ordered_json(bytes, file.string()));  // read above
    for (const OrderedJson& group : groups) {
      run_group(compiler, file.filename().string(), group, tally);
    }
  }
  std::printf(
      "suite: %zu of %zu schemas compiled; %zu valid instances, %zu not accepted; %zu "
      "invalid ones, %zu accepted; validator differs from the suite in %zu\n",
      tally.num_compiled, tally.num_groups, tally.num_valid, tally.refused_valid.size(),
      tally.num_invalid, tally.accepted_invalid.size(), tally.validator_differs.size());
  for (const auto& name : tally.refused_valid)
    std::printf("  valid, not accepted: %s\n", name.c_str());
  for (const auto& name : tally.accepted_invalid)
    std::printf("  INVALID, accepted: %s\n", name.c_str());
  for (const auto& name : tally.validator_differs) std::printf("  validator: %s\n", name.c_str());
  for (const auto& name : tally.refusals)
    std::printf("  refused: %s\n", name.substr(0, 100).c_str());
  EXPECT_TRUE(tally.accepted_invalid.empty());
  EXPECT_GT(tally.num_compiled, 150u);
}

}  // namespace
}  // namespace millrace
