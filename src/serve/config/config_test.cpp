// The configuration: what is read, what is refused and how, and that every form of it agrees.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "serve/config/config_apply.h"
#include "serve/config/config_check.h"
#include "serve/config/config_documentation.h"
#include "serve/config/config_printer.h"
#include "serve/config/config_reader.h"
#include "serve/config/profile.h"
#include "serve/config/schema.h"
#include "serve/config/service_classes.h"
#include "serve/config/setting_value.h"
#include "serve/config/yaml_reader.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Result<LoadedConfig> read(const std::string& text, std::vector<ConfigOverride> overrides = {}) {
  ConfigSource source;
  source.text = text;
  source.name = "c.yaml";
  source.overrides = std::move(overrides);
  source.variable = [](const std::string& name) -> std::optional<std::string> {
    if (name == "SECRET" || name == "SHOP_KEY") return "from-the-environment";
    if (name == "PORT") return "9000";
    return std::nullopt;
  };
  return read_config(source);
}

std::string refusal(const std::string& text, std::vector<ConfigOverride> overrides = {}) {
  const auto loaded = read(text, std::move(overrides));
  return loaded.ok() ? "accepted" : loaded.error().message;
}

ServerConfig config_of(const std::string& text, std::vector<ConfigOverride> overrides = {}) {
  Result<LoadedConfig> loaded = read(text, std::move(overrides));
  EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().message);
  return loaded.ok() ? loaded.value().config : ServerConfig{};
}

TEST(ConfigTest, AnEmptyFileIsTheDefaults) {
  for (const char* text : {"", "# nothing\n", "---\n", "{}", "listen:\n"}) {
    const ServerConfig config = config_of(text);
    EXPECT_EQ(config.listen.port, 8080) << text;
    EXPECT_EQ(config.listen.address, "127.0.0.1");
    EXPECT_FALSE(config.admin.port);
  }
}

TEST(ConfigTest, EverySectionIsRead) {
  const ServerConfig config = config_of(R"(
profile: none
listen: {address: "::1", port: 0}
models:
  - path: /models/one.gguf
    context: 4096
    kv_dtype: int8
    memory_bytes: 1.5G
    overlong_prompt: truncate_left
    sampling: {temperature: 0, top_p: 0.5, presence_penalty: -1.5}
    adapters:
      - {name: pirate, path: /adapters/pirate}
    hot_prompts:
      - {text: "You are helpful.", kind: system}
  - {name: second, path: "hf://owner/Model-1B@main/q4.gguf", threads: ~}
  - path: hf://owner/Model-1B@main/q4.gguf
classes:
  - {name: fast, share: 3, token_target: 50ms}
  - {name: slow, first_token_target: 1m, cache_part_max: 0.25, kv_bytes_max: 2M, threads_max: 1}
api_keys:
  - {key: 12345678, class: slow, tokens_per_day: 1000, models: [pirate, second]}
limits: {body_bytes_max: 4M, request_time_max: 90s}
cors: {origins: "*"}
hooks:
  - {kind: redact, pattern: "[0-9]{16}", replacement: "a number"}
)");
  EXPECT_EQ(config.listen.address, "::1");
  ASSERT_EQ(config.models.size(), 3u);
  EXPECT_EQ(config.models[0].name, "one");
  EXPECT_EQ(config.models[0].memory_bytes, std::uint64_t{3} << 29);
  EXPECT_EQ(config.models[0].overlong_prompt, OverlongPrompt::kTruncateLeft);
  EXPECT_EQ(config.models[0].sampling.temperature, 0.0);
  EXPECT_EQ(config.models[0].sampling.presence_penalty, -1.5);
  EXPECT_FALSE(config.models[0].sampling.top_k);
  EXPECT_EQ(config.models[0].adapters.at(0).name, "pirate");
  EXPECT_EQ(config.models[0].hot_prompts.at(0).kind, HotPromptKind::kSystem);
  EXPECT_EQ(config.models[1].name, "second");
  EXPECT_FALSE(config.models[1].threads);
  EXPECT_EQ(config.models[2].name, "Model-1B");
  EXPECT_EQ(config.api_keys.at(0).name, "key1");
  EXPECT_EQ(config.api_keys.at(0).key, "12345678");
  EXPECT_EQ(config.api_keys.at(0).models, (std::vector<std::string>{"pirate", "second"}));
  EXPECT_EQ(config.limits.body_bytes_max, 4u << 20);
  EXPECT_EQ(config.limits.request_time_max, std::chrono::seconds(90));
  EXPECT_EQ(config.cors.origins, std::vector<std::string>{"*"});
  const std::vector<ServiceClass> classes = service_classes(config);
  ASSERT_EQ(classes.size(), 2u);
  EXPECT_EQ(classes[0].share, 3.0);
  EXPECT_EQ(classes[0].token_target, std::chrono::milliseconds(50));
  EXPECT_FALSE(classes[0].kv_part_max);
  EXPECT_FALSE(classes[0].threads_max);
  EXPECT_EQ(classes[1].kv_part_max, 0.25);
  EXPECT_EQ(classes[1].kv_bytes_max, std::uint64_t{2} << 20);
  EXPECT_EQ(classes[1].threads_max, 1u);
}

TEST(ConfigTest, WhatIsWrongIsNamedWithItsLine) {
  EXPECT_EQ(refusal("listen:\n  prot: 80\n"),
            "c.yaml:2: listen.prot is unknown, did you mean port?");
  EXPECT_EQ(refusal("listen:\n  host: a\n"),
            "c.yaml:2: listen.host is unknown, expected one of address, port");
  EXPECT_THAT(refusal("zzzzzzzz: 1\n"),
              HasSubstr("c.yaml:1: zzzzzzzz is unknown, expected one of"));
  EXPECT_EQ(refusal("listen:\n  port: 80\n  address: a\n  port: 81\n"),
            "c.yaml:4: key \"port\" comes twice, first in line 2");
  EXPECT_EQ(refusal("listen: {port: 65536}"),
            "c.yaml:1: listen.port: \"65536\" is not allowed, expected a whole number: 0 to 65535");
  EXPECT_EQ(refusal("limits:\n  drain_timeout: 10\n"),
            "c.yaml:2: limits.drain_timeout: \"10\" is not allowed, expected a time such as 250ms "
            "or 10s: 0s to 1d");
  EXPECT_EQ(refusal("limits: {body_bytes_max: 2G}"),
            "c.yaml:1: limits.body_bytes_max: \"2G\" is not allowed, expected a size such as 512M: "
            "1K to 1G");
  EXPECT_EQ(
      refusal("log: {level: loud}"),
      "c.yaml:1: log.level: \"loud\" is not allowed, expected one of: debug, info, warning or "
      "error");
  EXPECT_THAT(refusal("engine: {overlap: maybe}"), HasSubstr("expected true or false"));
  EXPECT_THAT(refusal("listen: {port: -1}"), HasSubstr("\"-1\" is not allowed"));
  EXPECT_THAT(refusal("listen: {port: }"), HasSubstr("nothing is not allowed"));
  EXPECT_THAT(refusal("listen: [1]"), HasSubstr("expected keys: address, port"));
  EXPECT_THAT(refusal("models: {path: x}"), HasSubstr("models is not a list"));
  EXPECT_THAT(refusal("listen: {port: {a: 1}}"), HasSubstr("listen.port has keys"));
  EXPECT_THAT(refusal("classes: [{name: a, share: nan}]"), HasSubstr("\"nan\" is not allowed"));
  EXPECT_THAT(refusal("- a\n- b\n"), HasSubstr("expected keys: profile"));
  EXPECT_THAT(refusal("listen: {port: 80"), HasSubstr("c.yaml:1:"));
}

TEST(ConfigTest, YamlThatHidesThingsIsRefused) {
  EXPECT_THAT(refusal("listen: &a {port: 80}\n"), HasSubstr("anchors"));
  EXPECT_THAT(refusal("listen: *a\n"), Not(HasSubstr("accepted")));
  EXPECT_THAT(refusal("listen: {port: !!int 80}\n"), HasSubstr("tags"));
  EXPECT_THAT(refusal("listen: {port: 80}\n---\nlisten: {port: 81}\n"), HasSubstr("second"));
  EXPECT_THAT(refusal(",mreads: \nrs: : \"*\"}\n"), HasSubstr("c.yaml:"));  // once ran forever
  EXPECT_THAT(refusal("? [a]\n: b\n"), HasSubstr("a key is no text"));
  EXPECT_THAT(refusal(std::string(100'000, '[')), Not(HasSubstr("accepted")));
  EXPECT_THAT(refusal("a: " + std::string(20, '[') + std::string(20, ']')), HasSubstr("deeper"));
  EXPECT_THAT(refusal(std::string((1u << 20) + 1, '#')), HasSubstr("at most 1048576"));
  std::string many = "models: [";
  for (int i = 0; i < 65; ++i) many += "{path: a},";
  EXPECT_THAT(refusal(many + "]"), HasSubstr("models has 65 items, at most 64"));
}

TEST(ConfigTest, PartsMustAgree) {
  EXPECT_THAT(refusal("admin: {port: 1}"), HasSubstr("expected admin.key"));
  EXPECT_THAT(refusal("admin: {port: 8080, key: 12345678}"), HasSubstr("expected two ports"));
  EXPECT_THAT(refusal("admin: {port: 1, key: short}"), HasSubstr("expected at least 8"));
  EXPECT_THAT(refusal("tls: {certificate: a}"), HasSubstr("expected both"));
  EXPECT_THAT(refusal("metrics: {listener: admin}"), HasSubstr("admin.port is not set"));
  EXPECT_THAT(refusal("api_keys: [{name: a}]"), HasSubstr("found none"));
  EXPECT_THAT(refusal("api_keys: [{key: 12345678}, {key: 12345678}]"), HasSubstr("the same key"));
  EXPECT_THAT(refusal("api_keys: [{key_sha256: abc}]"), HasSubstr("64 hexadecimal"));
  EXPECT_THAT(refusal("api_keys: [{key: 12345678, class: none}]"), HasSubstr("no class none"));
  EXPECT_THAT(refusal("models: [{path: a}, {path: b/a}]"), HasSubstr("is taken"));
  EXPECT_THAT(refusal("models: [{name: a}]"), HasSubstr("models.0.path is not set"));
  EXPECT_THAT(refusal("classes: [{name: a}, {name: a}]"), HasSubstr("named twice"));
  EXPECT_THAT(refusal("engine: {sequences_max: 64, step_tokens_max: 32}"), HasSubstr("engine:"));
  EXPECT_THAT(refusal("hooks: [{kind: redact}]"), HasSubstr("needs a pattern"));
  EXPECT_THAT(refusal("hooks: [{kind: trim, pattern: a}]"), HasSubstr("redact only"));
}

TEST(ConfigTest, VariablesAreReplacedAndSecretsHidden) {
  Result<LoadedConfig> loaded =
      read("listen: {port: \"${PORT}\"}\napi_keys: [{key: \"x${SECRET}\", name: \"$${a}\"}]\n");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded.value().config.listen.port, 9000);
  EXPECT_EQ(loaded.value().config.api_keys.at(0).key, "xfrom-the-environment");
  EXPECT_EQ(loaded.value().config.api_keys.at(0).name, "${a}");
  const std::string printed = print_config(loaded.value());
  EXPECT_THAT(printed, Not(HasSubstr("from-the-environment")));
  EXPECT_THAT(refusal(printed), HasSubstr("hidden"));
  EXPECT_THAT(refusal("listen: {port: \"${NONE}\"}"), HasSubstr("NONE is not set"));
  EXPECT_THAT(refusal("listen: {address: \"${a\"}"), HasSubstr("not followed by a name"));
  // A key that is refused is not repeated.
  EXPECT_THAT(refusal("api_keys: [{key: [a-secret-key]}]"), Not(HasSubstr("a-secret-key")));
}

TEST(ConfigTest, FlagsGoBeforeTheFileAndTheFileBeforeTheProfile) {
  const auto port_of = [](const std::string& text, std::vector<ConfigOverride> flags) {
    return config_of(text, std::move(flags)).engine.sequences_max;
  };
  const ConfigOverride flag = {"engine.sequences_max", "7", "--max-sequences"};
  EXPECT_EQ(port_of("", {}), 32u);
  EXPECT_EQ(port_of("profile: batch", {}), 128u);
  EXPECT_EQ(port_of("engine: {sequences_max: 9}\nprofile: batch", {}), 9u);
  EXPECT_EQ(port_of("engine: {sequences_max: 9}\nprofile: batch", {flag}), 7u);
  const ConfigOverride profile = {"profile", "realtime", "--profile"};
  EXPECT_EQ(port_of("profile: batch", {profile}), 16u);
  // A list in the file replaces the profile's.
  const ServerConfig config = config_of("profile: realtime\nclasses: [{name: only}]");
  ASSERT_EQ(config.classes.size(), 1u);
  EXPECT_FALSE(config.classes[0].token_target);
}

TEST(ConfigTest, OverridesReachIntoLists) {
  const ServerConfig config =
      config_of("models: [{path: a}, {path: b}]", {{"models.1.context", "64", "--set"},
                                                   {"models.2.path", "c", "--set"},
                                                   {"cors.origins", "http://a,http://b", "--set"}});
  EXPECT_EQ(config.models.at(1).context, 64u);
  EXPECT_EQ(config.models.at(2).name, "c");
  EXPECT_EQ(config.cors.origins.size(), 2u);
  EXPECT_THAT(refusal("", {{"models.1.path", "a", "--set"}}),
              HasSubstr("--set: models has no item"));
  EXPECT_THAT(refusal("", {{"models.x.path", "a", "--set"}}), HasSubstr("no item \"x\""));
  EXPECT_THAT(refusal("", {{"models", "a", "--set"}}), HasSubstr("no single value"));
  EXPECT_THAT(refusal("", {{"listen.port.x", "a", "--set"}}), HasSubstr("has no keys"));
  EXPECT_THAT(refusal("", {{"listen.prt", "a", "--set"}}), HasSubstr("did you mean port?"));
  ConfigOverride flag = {"models.0.context", "64", "--context", ConfigOverride::Item::kOnly};
  EXPECT_THAT(refusal("models: [{path: a}, {path: b}]", {flag}),
              HasSubstr("--context: c.yaml has 2 models"));
}

TEST(ConfigTest, WhatIsPrintedReadsBackAsTheSame) {
  const std::string text = R"(
profile: realtime
models:
  - {path: /a b/"c", sampling: {top_k: 5}, adapters: [{name: "true", path: "/x #y"}]}
hooks: [{kind: redact, pattern: "a\\b${SECRET}\n\u00e9"}, {kind: trim, models: [a, "b, c"]}]
access_log: {path: "-", fields: [time, status]}
)";
  Result<LoadedConfig> first = read(text);
  ASSERT_TRUE(first.ok()) << first.error().message;
  const std::string printed = print_config(first.value());
  Result<LoadedConfig> second = read(printed);
  ASSERT_TRUE(second.ok()) << second.error().message << "\n" << printed;
  const auto without_origins = [](LoadedConfig loaded) {
    loaded.origins.clear();
    return print_config(loaded);
  };
  EXPECT_EQ(without_origins(first.value()), without_origins(second.value()));
  EXPECT_EQ(second.value().config.hooks.at(0).pattern, first.value().config.hooks.at(0).pattern);
  EXPECT_THAT(printed, HasSubstr("# c.yaml:4"));
  EXPECT_THAT(printed, HasSubstr("# profile"));
  EXPECT_THAT(printed, HasSubstr("# default"));
}

TEST(ConfigTest, EveryProfileIsRight) {
  for (const char* name : {"none", "realtime", "batch"}) {
    const ServerConfig config = config_of("profile: " + std::string(name));
    EXPECT_TRUE(check_config(config).ok()) << name;
  }
}

TEST(ConfigTest, PlacesAreRelativeToTheFileAndChecked) {
  const std::string folder = ::testing::TempDir() + "/millrace_config_test";
  std::filesystem::create_directories(folder + "/model");
  MUST(write_file(folder + "/key", "secret-of-file\n"));  // the folder was made just now
  const std::string path = folder + "/c.yaml";
  const std::string text =
      "models: [{path: model}]\napi_keys: [{key_file: key}]\naccess_log: {path: log/a}\n";
  MUST(write_file(path, text));  // the folder was made just now
  Result<LoadedConfig> loaded = read_config_file(path, {});
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded.value().config.models.at(0).path, folder + "/model");
  EXPECT_EQ(loaded.value().config.api_keys.at(0).key, "secret-of-file");
  EXPECT_EQ(check_paths(loaded.value().config).error().message,
            "access_log.path: there is no folder for " + folder + "/log/a");
  loaded.value().config.access_log.path = "-";
  EXPECT_TRUE(check_paths(loaded.value().config).ok());
  loaded.value().config.models[0].path = "hf://a/b";
  EXPECT_TRUE(check_paths(loaded.value().config).ok());
  loaded.value().config.models[0].path = folder + "/none";
  EXPECT_EQ(check_paths(loaded.value().config).error().code, ErrorCode::kNotFound);
  EXPECT_THAT(print_config(loaded.value()), Not(HasSubstr("secret-of-file")));
  std::filesystem::remove_all(folder);
}

// ---- The table ------------------------------------------------------------------------------

void check_section(const Section& section, void* owner, std::set<std::string>& flags) {
  std::set<std::string> keys;
  for (const Setting& setting : section.settings) {
    EXPECT_TRUE(keys.insert(setting.key).second) << setting.key;
    if (setting.flag != nullptr) {
      EXPECT_TRUE(flags.insert(setting.flag).second) << setting.flag;
    }
    // Each default is a value that would be accepted.
    const std::vector<std::string> texts = value_texts(setting, owner);
    RawValue value{texts.empty() ? RawValue::Kind::kNone : RawValue::Kind::kText, texts};
    if (is_list(setting, owner)) value.kind = RawValue::Kind::kList;
    if (texts.empty() && !is_plain(setting, owner) && value.kind != RawValue::Kind::kList) continue;
    const Status done = set_value(setting, owner, value);
    EXPECT_TRUE(done.ok()) << setting.key << ": " << (done.ok() ? "" : done.error().message);
    EXPECT_EQ(std::string(setting.help).back(), '.') << setting.key;
  }
  for (const Section& inner : section.sections) {
    EXPECT_TRUE(keys.insert(inner.key).second) << inner.key;
    check_section(inner, inner.open(owner), flags);
  }
}

TEST(ConfigTest, KeysAndFlagsAreUniqueAndDefaultsAllowed) {
  ServerConfig defaults;
  std::set<std::string> flags;
  check_section(config_schema(), &defaults, flags);
  EXPECT_EQ(flags.size(), config_flags().size());
}

TEST(ConfigTest, TheNearestWordIsOneThatIsNear) {
  EXPECT_EQ(nearest_word("adress", {"port", "address"}), "address");
  EXPECT_EQ(nearest_word("xyz", {"port", "address"}), "");
  EXPECT_EQ(nearest_word("", {"port"}), "");
  EXPECT_EQ(nearest_word("host", {"port", "address"}), "");
}

std::string docs_file(const std::string& name) {
  return std::string(MILLRACE_DOCS) + "/" + name;
}

// The file's text; with UPDATE_GOLDEN=1 it is written first.
void expect_file(const std::string& name, const std::string& text) {
  if (std::getenv("UPDATE_GOLDEN") != nullptr) MUST(write_file(docs_file(name), text));  // asked to
  const Result<std::string> found = read_file(docs_file(name), 1u << 20);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_TRUE(found.value() == text) << name << " is not what the table of settings says; "
                                     << "UPDATE_GOLDEN=1 writes it anew";
}

TEST(ConfigTest, TheDocumentationIsTrue) {
  const std::string page = MUST(read_file(docs_file("configuration.md"), 1u << 20));  // it is there
  const std::size_t mark = page.find(kGeneratedMark);
  ASSERT_NE(mark, std::string::npos);
  expect_file("configuration.md", page.substr(0, mark) + kGeneratedMark + configuration_markdown());
  expect_file("configuration.schema.json", configuration_json_schema());
}

TEST(ConfigTest, TheExampleOfTheDocumentationIsRead) {
  const std::string page = MUST(read_file(docs_file("configuration.md"), 1u << 20));  // it is there
  const std::string fence = "```yaml\n";
  const std::size_t begin = page.find(fence) + fence.size();
  const ServerConfig config = config_of(page.substr(begin, page.find("```", begin) - begin));
  EXPECT_EQ(config.models.at(0).name, "Qwen3-0.6B");
  EXPECT_EQ(config.api_keys.at(0).key, "from-the-environment");
}

}  // namespace
}  // namespace millrace
