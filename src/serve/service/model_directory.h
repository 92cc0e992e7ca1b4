// The models of a server by name: the engine's registry with the text side of each.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/model_registry.h"
#include "serve/service/model_service.h"

namespace millrace {

// How the text side of a model that the registry has just loaded is found; injected by cli.
class ModelCatalog {
 public:
  virtual ~ModelCatalog() = default;
  virtual Result<ModelFacts> facts(const std::string& name) = 0;
  // The same of a model that serves, whose facts these are, when what the operator says of it may
  // have changed; nothing when it has not.
  virtual Result<std::optional<ModelFacts>> facts_again(const std::string&, ModelFacts) {
    return std::optional<ModelFacts>();
  }
};

// Any thread. Registry and catalog outlive it.
class ModelDirectory {
 public:
  ModelDirectory(ModelRegistry& registry, ModelCatalog& catalog)
      : registry_(registry), catalog_(catalog) {}

  // Takes as long as loading does. As ModelRegistry::load and retire.
  Status load(const std::string& name);
  Status retire(const std::string& name);

  // Asks the catalog again about all models that serve; all or none. Requests on their way go on as
  // they began.
  Status refresh();

  // Adds an adapter to a model, under a name of its own, while others serve; as AdapterStore::load
  // and unload. kNotFound when there is no such model or adapter, kUnsupported when the model takes
  // none.
  Status load_adapter(const std::string& model, const std::string& name, const std::string& path);
  Status unload_adapter(const std::string& name);
  // Gives back the memory of adapters that nobody uses any more.
  void sweep() const;

  // The model of that name, or that has an adapter of that name; the first one for an empty name;
  // kNotFound.
  Result<std::shared_ptr<const ModelService>> find(const std::string& name) const;
  // Those that serve, in the order in which they were loaded.
  std::vector<std::shared_ptr<const ModelService>> models() const;
  ModelRegistry& registry() { return registry_; }

 private:
  ModelRegistry& registry_;
  ModelCatalog& catalog_;
  mutable std::mutex mutex_;                                 // Guards what follows.
  std::vector<std::shared_ptr<const ModelService>> models_;  // shared with requests on their way
};

}  // namespace millrace
