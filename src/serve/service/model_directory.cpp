// Loading and finding models by name.
#include "serve/service/model_directory.h"

#include <algorithm>
#include <ctime>
#include <utility>

namespace millrace {

Status ModelDirectory::load(const std::string& name) {
  TRY(registry_.load(name));
  Result<ModelFacts> facts = catalog_.facts(name);
  Result<std::shared_ptr<const ModelService>> service =
      facts.ok() ? ModelService::create(name, std::move(facts).value(),
                                        static_cast<std::int64_t>(std::time(nullptr)))
                 : Result<std::shared_ptr<const ModelService>>(facts.error());
  if (!service.ok()) {
    TRY(registry_.retire(name));
    return service.error();
  }
  const std::lock_guard lock(mutex_);
  // The registry may have made one of this name go since.
  std::erase_if(models_, [&](const auto& model) { return model->name() == name; });
  models_.push_back(std::move(service).value());
  return Ok{};
}

Status ModelDirectory::retire(const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(models_, [&](const auto& model) { return model->name() == name; });
  }
  return registry_.retire(name);
}

Status ModelDirectory::refresh() {
  std::vector<std::pair<std::shared_ptr<const ModelService>, std::shared_ptr<const ModelService>>>
      changes;  // shared with the directory
  for (const std::shared_ptr<const ModelService>& old : models()) {
    std::optional<ModelFacts> facts = TRY(catalog_.facts_again(old->name(), old->facts()));
    if (!facts) continue;
    auto fresh = TRY(ModelService::create(old->name(), std::move(*facts), old->loaded_at()));
    changes.emplace_back(old, std::move(fresh));
  }
  const std::lock_guard lock(mutex_);
  for (auto& [old, fresh] : changes) std::replace(models_.begin(), models_.end(), old, fresh);
  return Ok{};
}

void ModelDirectory::sweep() const {
  for (const std::shared_ptr<const ModelService>& model : models()) {
    if (model->facts().adapters != nullptr) model->facts().adapters->sweep();
  }
}

Status ModelDirectory::load_adapter(const std::string& model, const std::string& name,
                                    const std::string& path) {
  if (!name.empty() && find(name).ok()) {
    return Error{ErrorCode::kInvalidArgument, "the name " + name + " is taken"};
  }
  const std::shared_ptr<const ModelService> base = TRY(find(model));
  if (base->facts().adapters == nullptr) {
    return Error{ErrorCode::kUnsupported, "model " + base->name() + " takes no adapters"};
  }
  return base->facts().adapters->load(name, path);
}

Status ModelDirectory::unload_adapter(const std::string& name) {
  const std::shared_ptr<const ModelService> base = TRY(find(name));
  if (base->facts().adapters == nullptr) {
    return Error{ErrorCode::kNotFound, "adapter " + name + " is not loaded"};
  }
  return base->facts().adapters->unload(name);
}

// The registry may have made an idle model go to make room: what it no longer serves is not found.
std::vector<std::shared_ptr<const ModelService>> ModelDirectory::models() const {
  const std::vector<ModelStatus> states = registry_.models();
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<const ModelService>> models;
  for (const auto& model : models_) {
    const bool serves = std::any_of(states.begin(), states.end(), [&](const ModelStatus& status) {
      return status.name == model->name() && status.state == ModelState::kServing;
    });
    if (serves) models.push_back(model);
  }
  return models;
}

Result<std::shared_ptr<const ModelService>> ModelDirectory::find(const std::string& name) const {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& model : models_) {
      if (name.empty() || model->name() == name) return model;
    }
    for (const auto& model : models_) {
      if (model->has_adapter(name)) return model;
    }
  }
  return Error{ErrorCode::kNotFound,
               name.empty() ? "no model is loaded" : "model '" + name + "' is not served here"};
}

}  // namespace millrace
