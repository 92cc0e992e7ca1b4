// `millrace models list|pull|remove`: what was downloaded from the hub.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/json.h"
#include "cli/command.h"
#include "cli/hub_models.h"
#include "cli/hub_options.h"
#include "cli/quantity.h"

namespace millrace {
namespace {

struct ModelsOptions {
  std::string reference;
  bool as_json = false;
};

std::string revisions_of(const CachedModel& model) {
  std::string list;
  for (const std::string& revision : model.revisions) {
    list += (list.empty() ? "" : ", ") + revision;
  }
  return list.empty() ? "-" : list;
}

Status list_models(const ModelsOptions& options) {
  const HubCache cache(TRY(hub_options()).cache);
  const std::vector<CachedModel> models = cache.list();
  if (options.as_json) {
    OrderedJson list = OrderedJson::array();
    for (const CachedModel& model : models) {
      list.push_back({{"model", "hf://" + model.repository},
                      {"revisions", model.revisions},
                      {"commit", model.commit},
                      {"bytes", model.num_bytes},
                      {"files", model.num_files}});
    }
    std::printf("%s\n", OrderedJson{{"cache", cache.root()}, {"models", list}}.dump(2).c_str());
    return Ok{};
  }
  for (const CachedModel& model : models) {
    std::printf("%-48s %10s  %3zu files  %s  %s\n", ("hf://" + model.repository).c_str(),
                show_bytes(model.num_bytes).c_str(), model.num_files,
                model.commit.substr(0, 12).c_str(), revisions_of(model).c_str());
  }
  if (models.empty()) std::printf("nothing was downloaded to %s yet\n", cache.root().c_str());
  return Ok{};
}

Status pull_model(const ModelsOptions& options) {
  TRY(parse_hub_reference(options.reference));
  const std::string path = TRY(local_model(options.reference));
  std::printf("%s\n", path.c_str());
  return Ok{};
}

Status remove_model(const ModelsOptions& options) {
  const HubReference reference = TRY(parse_hub_reference(options.reference));
  if (reference.revision != "main" || !reference.file.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 options.reference +
                     ": a model is removed with all of its revisions and files, "
                     "expected hf://" +
                     reference.repository()};
  }
  return HubCache(TRY(hub_options()).cache).remove(reference);
}

}  // namespace

void add_models_command(CLI::App& app, Action& action) {
  CLI::App* models = app.add_subcommand("models", "List, download and remove models of the hub");
  models->require_subcommand(1);
  models->footer(
      "Downloads lie in MILLRACE_CACHE, else in ~/.cache/millrace. HF_TOKEN is the token for "
      "private models, HF_ENDPOINT another hub, HF_HUB_OFFLINE=1 asks nobody.");
  const auto options = std::make_shared<ModelsOptions>();  // shared by the three callbacks
  CLI::App* list = models->add_subcommand("list", "What was downloaded");
  list->add_flag("--json", options->as_json, "As JSON");
  list->callback([&action, options] { action = [options] { return list_models(*options); }; });
  const auto add = [&](const char* name, const char* help, Status (*call)(const ModelsOptions&)) {
    CLI::App* command = models->add_subcommand(name, help);
    command->add_option("model", options->reference, "hf://owner/name[@revision][/file]")
        ->required();
    command->callback(
        [&action, options, call] { action = [options, call] { return call(*options); }; });
  };
  add("pull", "Download a model, or what is missing of it, and print where it lies", pull_model);
  add("remove", "Remove a model from the disk", remove_model);
}

}  // namespace millrace
