// Models for a server: checkpoints loaded for many sequences, on demand, by name.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cli/model_session.h"
#include "cli/model_text.h"
#include "cli/served_text.h"
#include "engine/adapter_store.h"
#include "engine/decoder_runner.h"
#include "engine/hot_prompt_store.h"
#include "engine/model_registry.h"
#include "memory/block_pool.h"
#include "serve/config/server_config.h"
#include "serve/service/model_directory.h"

namespace millrace {

// One checkpoint with all that its engine needs. Stays where it is made.
class ServedCheckpoint final : public ServedModel {
 public:
  static Result<std::unique_ptr<ServedCheckpoint>> open(const Checkpoint& checkpoint,
                                                        const ModelOptions& options,
                                                        const SchedulerOptions& scheduler);
  BlockPool& pool() override { return *pool_; }
  ModelRunner& runner() override { return *runner_; }
  EngineOptions engine_options() const override { return engine_; }
  const ModelSession& session() const { return *session_; }
  // What is left of the last run's hot prompts comes back before the model serves.
  void prepare(Engine& engine) override;
  // Before the registry has it. The path is that of their file; empty: none.
  void set_hot_prompts(std::vector<std::vector<TokenId>> prompts, std::string path);
  // For its engine's use only, so while the model is there.
  std::shared_ptr<HotPromptStore> hot_prompts() const { return hot_prompts_; }
  // Shared with the text side, which may outlive the model.
  std::shared_ptr<AdapterStore> adapters() const { return adapters_; }

 private:
  ServedCheckpoint() = default;

  std::unique_ptr<ModelSession> session_;
  std::shared_ptr<AdapterStore> adapters_;
  std::optional<BlockPool> pool_;
  std::unique_ptr<DecoderRunner> runner_;
  EngineOptions engine_;
  std::shared_ptr<HotPromptStore> hot_prompts_;
};

// Loads what the configuration names; the registry asks for weights, the directory for the text
// side of what the registry has just loaded. Any thread.
class CheckpointLoader final : public ModelLoader, public ModelCatalog {
 public:
  explicit CheckpointLoader(const ServerConfig& config);

  Result<std::uint64_t> num_bytes(const std::string& name) override;
  Result<std::unique_ptr<ServedModel>> load(const std::string& name) override;
  Result<ModelFacts> facts(const std::string& name) override;
  Result<std::optional<ModelFacts>> facts_again(const std::string& name, ModelFacts facts) override;

  // Of a model that the registry has just loaded: computes the hot prompts that are missing, and
  // saves all. Gives lines for the log: what could not be had is no reason not to serve.
  std::vector<std::string> warm(const std::string& name, ModelRegistry& registry);
  // Saves what is hot by now, of all models.
  std::vector<std::string> save_hot_prompts(const ModelRegistry& registry);

  // A model that may be loaded by its name, from here on this one.
  void add(ModelConfig model);
  // For facts_again: what the configuration says about texts now.
  void set_texts(const ServerConfig& fresh);

 private:
  struct Source {
    ModelConfig config;
    ModelOptions options;
  };
  struct Loaded {
    std::size_t context_tokens = 0;
    std::size_t vocabulary = 0;
    std::vector<TokenId> eos_ids;
    OwnText own = {};
    TextChoice choice = {};                  // in effect
    std::shared_ptr<AdapterStore> adapters;  // until facts() has handed it on
  };

  Result<Source> source(const std::string& name) const;
  std::vector<HookConfig> hooks() const;
  Status add_hot_prompts(ServedCheckpoint& served, const Checkpoint& checkpoint,
                         const ModelConfig& model) const;
  ModelOptions options_of(const ModelConfig& model) const;

  const ServerConfig config_;
  const SchedulerOptions scheduler_;
  mutable std::mutex mutex_;  // Guards what follows.
  std::vector<HookConfig> hooks_;
  std::map<std::string, Source> sources_;
  std::map<std::string, Loaded> loaded_;
  std::map<std::string, std::shared_ptr<HotPromptStore>> hot_prompts_;  // see ServedCheckpoint
};

}  // namespace millrace
