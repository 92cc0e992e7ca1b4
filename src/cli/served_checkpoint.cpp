// Sizing for many sequences, loading, and the text side.
#include "cli/served_checkpoint.h"

#include <algorithm>
#include <utility>

#include "cli/hot_prompt_text.h"
#include "cli/hub_models.h"
#include "cli/template_choice.h"
#include "memory/block_table.h"
#include "model/read_spec.h"
#include "serve/config/service_classes.h"

namespace millrace {
namespace {

// As large as published adapters are; what it costs is three short rows for each token of a step.
constexpr std::size_t kAdapterRankMax = 256;

Result<SessionDemand> demand_of(const Checkpoint& checkpoint, const ModelOptions& options,
                                const SchedulerOptions& scheduler) {
  const MachineChoice machine = TRY(choose_machine(options));
  const ModelSpec spec = TRY(read_spec(checkpoint));
  SessionDemand demand;
  demand.num_sequences = 1;  // The longest request fits alone; how many fit at once depends.
  demand.num_sequences_max = scheduler.num_sequences_max;
  demand.limits = {.tokens_max = scheduler.step_tokens_max,
                   .logit_rows_max = scheduler.num_sequences_max,
                   .adapter_rank_max = kAdapterRankMax};
  demand.extra_bytes =
      DecoderRunner::scratch_bytes(spec.vocabulary, machine.num_threads, scheduler);
  return demand;
}

// Pins take of the cache what the longest request leaves: half of that, an eighth for prefixes that
// are found hot.
HotPrefixOptions hot_options(const ModelSession& session) {
  const std::size_t num_blocks = session.cache().num_blocks();
  const std::size_t num_needed =
      blocks_for_tokens(session.context_tokens(), session.cache().spec().block_tokens);
  const std::size_t num_spare = num_blocks - std::min(num_blocks, num_needed);
  HotPrefixOptions hot;
  hot.pinned_blocks_max = num_spare / 2;
  hot.found_blocks_max = num_spare / 8;
  return hot;
}

// One file for each model's name, whatever is in it.
std::string hot_prompt_path(const std::string& folder, const std::string& name) {
  if (folder.empty()) return "";
  std::string file = name;
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.';
  };
  for (char& c : file) c = is_plain(c) ? c : '_';
  return folder + "/hot-" + file + ".kv";
}

std::string describe_hot(const HotPromptReport& report) {
  return std::to_string(report.num_prompts) + " hot prompts are there, " +
         std::to_string(report.num_restored_tokens) + " tokens restored and " +
         std::to_string(report.num_computed_tokens) + " computed";
}

}  // namespace

void ServedCheckpoint::set_hot_prompts(std::vector<std::vector<TokenId>> prompts,
                                       std::string path) {
  hot_prompts_ = std::make_shared<HotPromptStore>(std::move(prompts), session_->cache(),
                                                  session_->snapshot_key(), std::move(path));
}

void ServedCheckpoint::prepare(Engine& engine) {
  if (hot_prompts_ != nullptr) hot_prompts_->restore(engine);
}

Result<std::unique_ptr<ServedCheckpoint>> ServedCheckpoint::open(
    const Checkpoint& checkpoint, const ModelOptions& options, const SchedulerOptions& scheduler) {
  std::unique_ptr<ServedCheckpoint> served(new ServedCheckpoint());
  const SessionDemand demand = TRY(demand_of(checkpoint, options, scheduler));
  served->session_ = TRY(ModelSession::open(checkpoint, options, demand));
  ModelSession& session = *served->session_;
  served->engine_.scheduler = scheduler;
  served->engine_.scheduler.block_tokens = session.cache().spec().block_tokens;
  if (scheduler.prefix_reuse == PrefixReuse::kOn) {
    served->engine_.scheduler.hot = hot_options(session);
  }
  served->engine_.vocabulary = session.spec().vocabulary;
  served->engine_.context_tokens = session.context_tokens();
  served->engine_.block_bytes = TRY(kv_bytes_per_block(session.cache().spec()));
  served->engine_.pooled_width = session.spec().hidden;
  served->engine_.adapter_rank_max = kAdapterRankMax;
  served->adapters_ = std::make_shared<AdapterStore>(
      session.spec(), AdapterStoreOptions{.rank_max = kAdapterRankMax});
  // Another text at every start, unless a request brings its seed.
  served->engine_.seed = static_cast<std::uint64_t>(SystemClock().now().time_since_epoch().count());
  served->pool_.emplace(session.cache().num_blocks());
  served->runner_ = TRY(DecoderRunner::create(session.decoder(), session.context(), session.cache(),
                                              served->engine_.scheduler));
  return served;
}

CheckpointLoader::CheckpointLoader(const ServerConfig& config)
    : config_(config), scheduler_(scheduler_options(config)), hooks_(config.hooks) {
  for (const ModelConfig& model : config.models) {
    sources_[model.name] = {.config = model, .options = options_of(model)};
  }
}

// Models that do not say how much memory they take share what there is for all of them.
ModelOptions CheckpointLoader::options_of(const ModelConfig& model) const {
  ModelOptions options;
  options.model = model.path;
  options.context = model.context;
  options.kv_dtype = model.kv_dtype;
  options.weight_format = model.weight_format;
  options.threads = model.threads;
  options.cpu_isa = config_.engine.cpu_isa;
  options.share_limit = std::to_string(config_.engine.shared_weights_bytes_max);
  if (model.memory_bytes) {
    options.memory = std::to_string(*model.memory_bytes);
  } else if (config_.engine.memory_bytes) {
    const std::size_t num_models = std::max<std::size_t>(1, config_.models.size());
    options.memory = std::to_string(*config_.engine.memory_bytes / num_models);
  }
  return options;
}

void CheckpointLoader::add(ModelConfig model) {
  const std::string name = model.name;
  ModelOptions options = options_of(model);
  const std::lock_guard lock(mutex_);
  sources_[name] = {.config = std::move(model), .options = std::move(options)};
}

void CheckpointLoader::set_texts(const ServerConfig& fresh) {
  const std::lock_guard lock(mutex_);
  hooks_ = fresh.hooks;
  for (const ModelConfig& model : fresh.models) {
    const auto found = sources_.find(model.name);
    if (found == sources_.end()) continue;
    ModelConfig taken = model;
    ModelConfig& own = found->second.config;
    taken.path = own.path;  // What is loaded stays.
    taken.hot_prompts = own.hot_prompts;
    own = std::move(taken);
  }
}

Result<CheckpointLoader::Source> CheckpointLoader::source(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = sources_.find(name);
  if (found != sources_.end()) return found->second;
  return Error{ErrorCode::kNotFound, "no model " + name + " is configured"};
}

// The first that a load asks for. A reference to a hub is looked up here and once, so that weights
// and tokeniser are of the same commit.
Result<std::uint64_t> CheckpointLoader::num_bytes(const std::string& name) {
  Source from = TRY(source(name));
  from.options.model = TRY(local_model(from.config.path));
  {
    const std::lock_guard lock(mutex_);
    sources_[name].options.model = from.options.model;
  }
  const Checkpoint checkpoint = TRY(open_model(from.options));
  const SessionDemand demand = TRY(demand_of(checkpoint, from.options, scheduler_));
  return ModelSession::num_bytes(checkpoint, from.options, demand);
}

Result<std::unique_ptr<ServedModel>> CheckpointLoader::load(const std::string& name) {
  Source from = TRY(source(name));
  const Checkpoint checkpoint = TRY(open_model(from.options));
  auto served = TRY(ServedCheckpoint::open(checkpoint, from.options, scheduler_));
  const ModelSpec& spec = served->session().spec();
  Loaded loaded{.context_tokens = served->session().context_tokens(),
                .vocabulary = spec.vocabulary,
                .eos_ids = {spec.eos_ids.begin(), spec.eos_ids.end()},
                .adapters = served->adapters()};
  for (const AdapterConfig& adapter : from.config.adapters) {
    TRY(served->adapters()->load(adapter.name, adapter.path));
  }
  TRY(add_hot_prompts(*served, checkpoint, from.config));
  const std::lock_guard lock(mutex_);
  hot_prompts_[name] = served->hot_prompts();
  loaded_[name] = std::move(loaded);
  return std::unique_ptr<ServedModel>(std::move(served));
}

Status CheckpointLoader::add_hot_prompts(ServedCheckpoint& served, const Checkpoint& checkpoint,
                                         const ModelConfig& model) const {
  std::vector<std::vector<TokenId>> prompts;
  if (!model.hot_prompts.empty()) {
    const ModelText text = TRY(load_model_text(checkpoint));
    std::optional<std::string> chat_template = text.chat_template;
    if (!model.chat_template.empty()) {
      chat_template = TRY(read_template_file(model.chat_template));
    }
    for (std::size_t i = 0; i < model.hot_prompts.size(); ++i) {
      Result<std::vector<TokenId>> tokens =
          hot_prompt_tokens(text, chat_template, model.hot_prompts[i]);
      if (!tokens.ok()) {
        return with_context(std::move(tokens).error(), "hot_prompts[" + std::to_string(i) + "]");
      }
      prompts.push_back(std::move(tokens).value());
    }
  }
  if (prompts.empty() && config_.hot_prompt_cache.empty()) return Ok{};
  served.set_hot_prompts(std::move(prompts), hot_prompt_path(config_.hot_prompt_cache, model.name));
  return Ok{};
}

std::vector<std::string> CheckpointLoader::warm(const std::string& name, ModelRegistry& registry) {
  std::shared_ptr<HotPromptStore> store;
  {
    const std::lock_guard lock(mutex_);
    store = hot_prompts_[name];
  }
  if (store == nullptr) return {};
  std::vector<std::string> lines;
  const Status status = registry.with_engine(name, [&](const Engine& engine) -> Status {
    store->warm([&](std::vector<TokenId> prompt) { return registry.pin(name, std::move(prompt)); });
    return store->save(engine);
  });
  const HotPromptReport& report = store->report();
  if (report.file_refused) {
    lines.push_back("hot prompts are computed anew: " + report.file_refused->message);
  }
  for (const Error& error : report.refused) lines.push_back(error.message);
  if (!status.ok()) lines.push_back("hot prompts are not saved: " + status.error().message);
  lines.push_back(describe_hot(report));
  for (std::string& line : lines) line.insert(0, "model " + name + ": ");
  return lines;
}

std::vector<std::string> CheckpointLoader::save_hot_prompts(const ModelRegistry& registry) {
  std::map<std::string, std::shared_ptr<HotPromptStore>> stores;
  {
    const std::lock_guard lock(mutex_);
    stores = hot_prompts_;
  }
  std::vector<std::string> lines;
  for (const auto& [name, store] : stores) {
    if (store == nullptr) continue;
    const std::shared_ptr<HotPromptStore> of_model = store;  // clang 14 captures no bindings.
    const auto save = [of_model](const Engine& engine) { return of_model->save(engine); };
    const Status status = registry.with_engine(name, save);
    if (status.ok() || status.error().code == ErrorCode::kNotFound) continue;
    lines.push_back("model " + name + ": hot prompts are not saved: " + status.error().message);
  }
  return lines;
}

Result<ModelFacts> CheckpointLoader::facts(const std::string& name) {
  Source from = TRY(source(name));
  const Checkpoint checkpoint = TRY(open_model(from.options));
  ModelText text = TRY(load_model_text(checkpoint));
  ModelFacts facts{.tokenizer = std::move(text.tokenizer)};
  facts.bos_text = std::move(text.bos_text);
  facts.eos_text = std::move(text.eos_text);
  OwnText own{.chat_template = std::move(text.chat_template),
              .sampling = default_sampling(checkpoint)};
  TextChoice choice = TRY(text_choice(from.config, hooks()));
  TRY(take_choice(choice, own, facts));
  const std::span<const TokenId> ends = facts.tokenizer.end_of_generation_ids();
  facts.stop_ids.assign(ends.begin(), ends.end());
  const std::lock_guard lock(mutex_);
  Loaded& loaded = loaded_[name];
  loaded.own = std::move(own);
  loaded.choice = std::move(choice);
  facts.context_tokens = loaded.context_tokens;
  facts.vocabulary = loaded.vocabulary;
  facts.adapters = std::move(loaded.adapters);
  for (const TokenId id : loaded.eos_ids) {
    if (std::count(facts.stop_ids.begin(), facts.stop_ids.end(), id) == 0) {
      facts.stop_ids.push_back(id);
    }
  }
  return facts;
}

Result<std::optional<ModelFacts>> CheckpointLoader::facts_again(const std::string& name,
                                                                ModelFacts facts) {
  const Source from = TRY(source(name));
  TextChoice choice = TRY(text_choice(from.config, hooks()));
  const std::lock_guard lock(mutex_);
  Loaded& loaded = loaded_[name];
  if (loaded.choice == choice) return std::optional<ModelFacts>();
  TRY(take_choice(choice, loaded.own, facts));
  loaded.choice = std::move(choice);
  return std::optional<ModelFacts>(std::move(facts));
}

std::vector<HookConfig> CheckpointLoader::hooks() const {
  const std::lock_guard lock(mutex_);
  return hooks_;
}

}  // namespace millrace
