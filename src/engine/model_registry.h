// Several models in one process: loaded, warmed and retired while others serve, on one thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/function_ref.h"
#include "base/result.h"
#include "engine/arbiter.h"
#include "engine/engine.h"

namespace millrace {

// Weights, cache and runner of one model, made by a loader; owned by the registry, dropped by it.
class ServedModel {
 public:
  virtual ~ServedModel() = default;
  virtual BlockPool& pool() = 0;
  virtual ModelRunner& runner() = 0;
  // The registry puts its own classes and listener in.
  virtual EngineOptions engine_options() const = 0;
  // On the thread that loads it, before anybody else has the engine: hot prompts may be brought
  // back here (HotPromptStore::restore).
  virtual void prepare(Engine&) {}
};

// How models come into memory; injected by cli. Called by whoever calls ModelRegistry::load, from
// any thread, one call at a time.
class ModelLoader {
 public:
  virtual ~ModelLoader() = default;
  // What the model will hold: weights, activations, KV cache.
  virtual Result<std::uint64_t> num_bytes(const std::string& name) = 0;
  // Ready for its first request: pages touched, kernels chosen.
  virtual Result<std::unique_ptr<ServedModel>> load(const std::string& name) = 0;
};

struct RegistryOptions {
  std::uint64_t bytes_max = 0;  // of all models together
  std::vector<ServiceClass> classes = default_service_classes();
  StreamListener* listener = nullptr;  // as in EngineOptions, for all models
};

enum class ModelState : std::uint8_t { kLoading, kServing, kRetiring };

struct ModelStatus {
  std::string name;
  ModelState state = ModelState::kLoading;
  std::uint64_t num_bytes = 0;
  std::size_t num_live = 0;  // requests
  EngineStats stats;         // while it does not load
  std::optional<ShareDecision> last_share_decision;
};

// One engine thread steps the engines of all models in the order that the Arbiter says. Everything
// but step() may be called from any thread.
class ModelRegistry {
 public:
  // Loader and clock outlive the registry.
  static Result<std::unique_ptr<ModelRegistry>> create(const RegistryOptions& options,
                                                       ModelLoader& loader, const Clock& clock);
  // Cancels what is live.
  ~ModelRegistry();
  ModelRegistry(const ModelRegistry&) = delete;
  ModelRegistry& operator=(const ModelRegistry&) = delete;

  // Loads on the calling thread while others serve. What does not fit makes idle models retire,
  // the one that was used least lately first; kResourceExhausted with both numbers when that is
  // not enough, kInvalidArgument when the name is taken, or what the loader says.
  Status load(const std::string& name);
  // Takes no more requests and goes when the last one has ended; kNotFound.
  Status retire(const std::string& name);
  // As Engine::submit_choices; kNotFound when there is no such model or it does not serve.
  Result<std::vector<TokenStream>> submit(const std::string& name, Request request,
                                          std::size_t num_choices = 1);
  // As Engine::pin, of a model that serves; kNotFound.
  Result<TokenStream> pin(const std::string& name, std::vector<TokenId> prefix);
  // Lets the caller look at the engine of a model that serves, which stays until `look` returns;
  // kNotFound.
  Status with_engine(const std::string& name, FunctionRef<Status(const Engine& engine)> look) const;
  std::vector<ModelStatus> models() const;

  std::vector<ServiceClass> classes() const;
  // As Engine::set_classes, for all models and those that come, and for their shares of the device.
  // kInvalidArgument when a value is wrong or names or order differ.
  Status set_classes(std::vector<ServiceClass> classes);

  // As Admission::retry_after in that model; 0 when there is none.
  Duration retry_after(const std::string& name, ClassId id) const;

  // Runs the loop on a thread of its own until shutdown.
  void start();
  // No new requests and no new models from here on; as Engine::shutdown.
  void shutdown(Shutdown how);
  // One turn by hand; false when there was nothing to do.
  bool step();

 private:
  struct Model {
    std::string name;
    std::uint64_t num_bytes = 0;
    std::uint64_t last_use = 0;  // guarded by mutex_
    std::atomic<ModelState> state{ModelState::kLoading};
    std::unique_ptr<ServedModel> loaded;
    std::unique_ptr<Engine> engine;  // goes before what it runs on
  };
  // Shared between the table, the engine thread and a submit in progress: whoever is last drops a
  // retired model, whose engine has nothing left to do.
  using ModelRef = std::shared_ptr<Model>;

  ModelRegistry(const RegistryOptions& options, ModelLoader& loader, const Clock& clock);
  void run_loop();
  Status reserve(const ModelRef& model);
  bool retire_idle(std::unique_lock<std::mutex>& lock);
  Status fill(Model& model);
  ModelRef find(const std::string& name) const;                  // with mutex_ held
  Result<ModelRef> find_serving(const std::string& name) const;  // with mutex_ held
  Result<ModelRef> use(const std::string& name);
  void refresh_lanes();
  void poll_lanes();
  void drop(std::size_t lane);
  void step_lane(std::size_t at);
  void wake();
  void erase(const ModelRef& model);

  const RegistryOptions options_;
  ModelLoader& loader_;
  const Clock& clock_;

  std::mutex loading_mutex_;  // One load at a time; guards nothing else.

  mutable std::mutex mutex_;  // Guards what follows, to the next empty line.
  std::condition_variable changed_;
  std::vector<ModelRef> models_;
  std::vector<ServiceClass> classes_;
  bool has_new_classes_ = false;  // for the arbiter
  std::uint64_t num_bytes_ = 0;
  std::uint64_t num_uses_ = 0;
  bool is_shut_ = false;
  bool has_news_ = false;  // for the engine thread
  bool has_thread_ = false;

  // Engine thread.
  Arbiter arbiter_;
  std::vector<ModelRef> lanes_;
  std::vector<ArbiterLane> arbiter_lanes_;
  Engine* last_stepped_ = nullptr;  // of lanes_; null when it has gone
  std::vector<std::uint64_t> work_;
  std::thread thread_;
};

}  // namespace millrace
