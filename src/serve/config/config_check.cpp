// The rules between settings, one function per section.
#include "serve/config/config_check.h"

#include <algorithm>
#include <functional>
#include <set>

#include "base/file.h"
#include "serve/config/schema.h"
#include "serve/config/service_classes.h"
#include "serve/config/setting_value.h"

namespace millrace {
namespace {

constexpr std::uint64_t kKeyFileBytesMax = 4096;
constexpr std::size_t kKeyBytesMin = 8;  // Shorter ones are guessed.

Error wrong(const std::string& message) {
  return Error{ErrorCode::kInvalidArgument, message};
}

std::string item(const char* list, std::size_t index) {
  return std::string(list) + "." + std::to_string(index);
}

Status read_key_file(const std::string& who, const std::string& file, std::string& key) {
  if (file.empty()) return Ok{};
  if (!key.empty()) return wrong(who + ": expected one of key and key_file, found both");
  Result<std::string> text = read_file(file, kKeyFileBytesMax);
  if (!text.ok()) return with_context(std::move(text).error(), who + ".key_file");
  key = std::move(text).value();
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r')) key.pop_back();
  if (key.empty()) return wrong(who + ".key_file: " + file + " is empty");
  return Ok{};
}

// Keys travel in a header.
Status check_key_text(const std::string& who, const std::string& key) {
  if (key.size() < kKeyBytesMin) {
    return wrong(who + ".key has " + std::to_string(key.size()) + " bytes, expected at least " +
                 std::to_string(kKeyBytesMin));
  }
  const bool is_printable =
      std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!is_printable) return wrong(who + ".key has a space or a character outside ASCII");
  return Ok{};
}

Status check_listeners(const ServerConfig& config) {
  if (config.tls.certificate.empty() != config.tls.key.empty()) {
    return wrong("tls: expected both of certificate and key, found one");
  }
  if (!config.admin.port) {
    if (config.metrics.listener == MetricsListener::kAdmin) {
      return wrong("metrics.listener is admin, but admin.port is not set");
    }
    return Ok{};
  }
  if (config.admin.key.empty()) return wrong("admin.port is set, expected admin.key or key_file");
  TRY(check_key_text("admin", config.admin.key));
  const bool is_same = *config.admin.port == config.listen.port && config.listen.port != 0;
  if (is_same)
    return wrong("admin.port is " + std::to_string(config.listen.port) +
                 " and so is listen.port, expected two ports");
  return Ok{};
}

bool has_class(const ServerConfig& config, const std::string& name) {
  const std::vector<ServiceClass> classes = service_classes(config);
  return std::any_of(classes.begin(), classes.end(),
                     [&](const ServiceClass& known) { return known.name == name; });
}

Status check_sha256(const std::string& who, const std::string& text) {
  const bool is_hex = text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
                        return std::isxdigit(static_cast<unsigned char>(c)) != 0;
                      });
  if (!is_hex) return wrong(who + ".key_sha256 is not 64 hexadecimal digits");
  return Ok{};
}

Status check_api_keys(const ServerConfig& config) {
  std::set<std::string> names;
  std::set<std::string> keys;
  for (std::size_t i = 0; i < config.api_keys.size(); ++i) {
    const ApiKeyConfig& key = config.api_keys[i];
    const std::string who = item("api_keys", i);
    if (key.key.empty() == key.key_sha256.empty()) {
      return wrong(who + ": expected one of key, key_file and key_sha256, found " +
                   (key.key.empty() ? "none" : "two"));
    }
    if (!key.key.empty()) TRY(check_key_text(who, key.key));
    if (!key.key_sha256.empty()) TRY(check_sha256(who, key.key_sha256));
    if (!names.insert(key.name).second) {
      return wrong(who + ".name: " + key.name + " is taken by another key");
    }
    if (!keys.insert(key.key + key.key_sha256).second) {
      return wrong(who + ": is the same key as another's");
    }
    if (!key.service_class.empty() && !has_class(config, key.service_class)) {
      return wrong(who + ".class: there is no class " + key.service_class);
    }
  }
  return Ok{};
}

Status check_model_name(const std::string& who, const std::string& name,
                        std::set<std::string>& names) {
  constexpr std::size_t kNameBytesMax = 256;
  const bool is_printable =
      std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c != 0x7f; });
  if (name.empty() || name.size() > kNameBytesMax || !is_printable) {
    return wrong(who + ".name: expected 1 to 256 printable characters without spaces");
  }
  if (!names.insert(name).second) {
    return wrong(who + ".name: " + name + " is taken by another model or adapter");
  }
  return Ok{};
}

Status check_models(const ServerConfig& config) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    const ModelConfig& model = config.models[i];
    const std::string who = item("models", i);
    if (model.path.empty()) return wrong(who + ".path is not set");
    TRY(check_model_name(who, model.name, names));
    for (std::size_t j = 0; j < model.adapters.size(); ++j) {
      const std::string adapter = who + "." + item("adapters", j);
      if (model.adapters[j].path.empty()) return wrong(adapter + ".path is not set");
      TRY(check_model_name(adapter, model.adapters[j].name, names));
    }
    for (std::size_t j = 0; j < model.hot_prompts.size(); ++j) {
      const HotPromptConfig& prompt = model.hot_prompts[j];
      if (prompt.text.empty() == prompt.file.empty()) {
        return wrong(who + "." + item("hot_prompts", j) + ": expected one of text and file");
      }
    }
  }
  return Ok{};
}

Status check_hooks(const ServerConfig& config) {
  for (std::size_t i = 0; i < config.hooks.size(); ++i) {
    const HookConfig& hook = config.hooks[i];
    const std::string who = item("hooks", i);
    if ((hook.kind == HookKind::kRedact) == hook.pattern.empty()) {
      return wrong(who + (hook.pattern.empty() ? ": redact needs a pattern"
                                               : ".pattern is for redact only"));
    }
    if (hook.kind != HookKind::kRedact && !hook.replacement.empty()) {
      return wrong(who + ".replacement is for redact only");
    }
  }
  return Ok{};
}

// "stories260k" of "models/stories260k/", "Qwen3-0.6B" of "hf://Qwen/Qwen3-0.6B@main".
std::string name_from_path(std::string path) {
  const bool is_hub = path.rfind("hf://", 0) == 0;
  if (is_hub) {
    path = path.substr(0, path.find('@'));
    const std::size_t owner = path.find('/', 5);
    const std::size_t file = owner == std::string::npos ? owner : path.find('/', owner + 1);
    if (file != std::string::npos) path = path.substr(0, file);
  }
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const std::size_t slash = path.rfind('/');
  if (slash != std::string::npos) path = path.substr(slash + 1);
  for (const std::string_view suffix : {".gguf", ".bin"}) {
    if (path.size() > suffix.size() && path.ends_with(suffix)) {
      path.resize(path.size() - suffix.size());
    }
  }
  return path;
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status check_place(const std::string& path, PathKind kind, const std::string& text) {
  const auto missing = [&](const char* what) {
    return Error{ErrorCode::kNotFound, path + ": there is no " + what + " " + text};
  };
  switch (kind) {
    case PathKind::kNone:
      return Ok{};
    case PathKind::kFile:
      if (!file_exists(text)) return missing("file");
      return Ok{};
    case PathKind::kFolder:
      if (!is_directory(text)) return missing("folder");
      return Ok{};
    case PathKind::kModel:
      if (text.rfind("hf://", 0) == 0) return Ok{};
      if (!file_exists(text) && !is_directory(text)) return missing("file or folder");
      return Ok{};
    case PathKind::kNewFile:
    case PathKind::kNewFolder:
      if (text != "-" && !is_directory(parent_of(text))) return missing("folder for");
      return Ok{};
  }
  return Ok{};
}

Status check_section_paths(const Section& section, void* owner, const std::string& path) {
  for (const Setting& setting : section.settings) {
    if (setting.path == PathKind::kNone) continue;
    for (const std::string& text : value_texts(setting, owner)) {
      TRY(check_place(join_path(path, setting.key), setting.path, text));
    }
  }
  for (const Section& inner : section.sections) {
    const std::string inner_path = join_path(path, inner.key);
    if (!inner.is_list()) {
      TRY(check_section_paths(inner, inner.open(owner), inner_path));
      continue;
    }
    for (std::size_t i = 0; i < inner.list.size(owner); ++i) {
      TRY(check_section_paths(inner, inner.list.at(owner, i),
                              join_path(inner_path, std::to_string(i))));
    }
  }
  return Ok{};
}

}  // namespace

Status complete_config(ServerConfig& config) {
  TRY(read_key_file("admin", config.admin.key_file, config.admin.key));
  for (std::size_t i = 0; i < config.api_keys.size(); ++i) {
    ApiKeyConfig& key = config.api_keys[i];
    TRY(read_key_file(item("api_keys", i), key.key_file, key.key));
    if (key.name.empty()) key.name = "key" + std::to_string(i + 1);
  }
  for (ModelConfig& model : config.models) {
    if (model.name.empty()) model.name = name_from_path(model.path);
  }
  return Ok{};
}

Status check_config(const ServerConfig& config) {
  TRY(check_listeners(config));
  const Status classes = check_classes(service_classes(config));
  if (!classes.ok()) return with_context(classes.error(), "classes");
  const Status options = check_options(scheduler_options(config));
  if (!options.ok()) return with_context(options.error(), "engine");
  TRY(check_api_keys(config));
  TRY(check_models(config));
  return check_hooks(config);
}

Status check_paths(const ServerConfig& config) {
  ServerConfig copy = config;  // The table's functions take owners that may change.
  return check_section_paths(config_schema(), &copy, "");
}

Status check_model(const ModelConfig& model) {
  std::set<std::string> names;
  TRY(check_model_name("model", model.name, names));
  return check_place("model.path", PathKind::kModel, model.path);
}

Status check_adapter(const AdapterConfig& adapter) {
  std::set<std::string> names;
  TRY(check_model_name("adapter", adapter.name, names));
  return check_place("adapter.path", PathKind::kFolder, adapter.path);
}

}  // namespace millrace
