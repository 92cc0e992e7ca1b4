// The table of models, who goes when memory is short, and the loop over their engines.
#include "engine/model_registry.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace millrace {

Result<std::unique_ptr<ModelRegistry>> ModelRegistry::create(const RegistryOptions& options,
                                                             ModelLoader& loader,
                                                             const Clock& clock) {
  TRY(check_classes(options.classes));
  return std::unique_ptr<ModelRegistry>(new ModelRegistry(options, loader, clock));
}

ModelRegistry::ModelRegistry(const RegistryOptions& options, ModelLoader& loader,
                             const Clock& clock)
    : options_(options),
      loader_(loader),
      clock_(clock),
      classes_(options.classes),
      arbiter_(share_parts(options.classes)),
      work_(options.classes.size(), 0) {}

ModelRegistry::~ModelRegistry() {
  shutdown(Shutdown::kCancel);
  while (step()) {
  }
}

Status ModelRegistry::load(const std::string& name) {
  const std::lock_guard loading(loading_mutex_);
  const auto model = std::make_shared<Model>();
  model->name = name;
  model->num_bytes = TRY(loader_.num_bytes(name));
  TRY(reserve(model));
  Status status = fill(*model);
  {
    const std::lock_guard lock(mutex_);
    if (status.ok() && is_shut_) {
      status = Error{ErrorCode::kUnavailable, "the models are shutting down"};
    }
    if (!status.ok()) {
      erase(model);
      return status;
    }
    model->engine->set_classes(classes_);  // They may have changed since it was made.
    model->last_use = ++num_uses_;
    model->state.store(ModelState::kServing, std::memory_order_release);
    has_news_ = true;
  }
  changed_.notify_all();
  return Ok{};
}

// Enters the model in the table with its bytes, making idle ones go where they do not fit.
Status ModelRegistry::reserve(const ModelRef& model) {
  std::unique_lock lock(mutex_);
  if (find(model->name) != nullptr) {
    return Error{ErrorCode::kInvalidArgument, "model " + model->name + " is there already"};
  }
  const auto fits = [&] {
    return model->num_bytes <= options_.bytes_max &&
           num_bytes_ <= options_.bytes_max - model->num_bytes;
  };
  while (!fits()) {
    const bool could_fit = model->num_bytes <= options_.bytes_max && !is_shut_;
    if (could_fit && retire_idle(lock)) continue;
    return Error{ErrorCode::kResourceExhausted,
                 "model " + model->name + " needs " + std::to_string(model->num_bytes) +
                     " bytes, " + std::to_string(options_.bytes_max - num_bytes_) + " of " +
                     std::to_string(options_.bytes_max) + " are free and no idle model can go"};
  }
  if (is_shut_) return Error{ErrorCode::kUnavailable, "the models are shutting down"};
  models_.push_back(model);
  num_bytes_ += model->num_bytes;
  return Ok{};
}

// Returns when the model that was idle longest has gone; false when none was.
bool ModelRegistry::retire_idle(std::unique_lock<std::mutex>& lock) {
  ModelRef idle;
  for (const ModelRef& model : models_) {
    if (model->state.load(std::memory_order_relaxed) != ModelState::kServing) continue;
    if (model->engine->num_live() > 0) continue;
    if (idle == nullptr || model->last_use < idle->last_use) idle = model;
  }
  if (idle == nullptr) return false;
  idle->engine->shutdown(Shutdown::kDrain);
  idle->state.store(ModelState::kRetiring, std::memory_order_release);
  has_news_ = true;
  changed_.notify_all();
  if (!has_thread_) {  // Turned by hand, by this very thread.
    lock.unlock();
    while (step()) {
    }
    lock.lock();
    return true;
  }
  const std::string& name = idle->name;
  changed_.wait(lock, [&] { return find(name) != idle || is_shut_; });
  return true;
}

Status ModelRegistry::fill(Model& model) {
  model.loaded = TRY(loader_.load(model.name));
  EngineOptions options = model.loaded->engine_options();
  options.scheduler.classes = classes();
  options.listener = options_.listener;
  model.engine = TRY(Engine::create(options, model.loaded->pool(), model.loaded->runner(), clock_));
  model.loaded->prepare(*model.engine);
  return Ok{};
}

ModelRegistry::ModelRef ModelRegistry::find(const std::string& name) const {
  const auto found = std::find_if(models_.begin(), models_.end(),
                                  [&](const ModelRef& model) { return model->name == name; });
  return found == models_.end() ? nullptr : *found;
}

void ModelRegistry::erase(const ModelRef& model) {
  const auto found = std::find(models_.begin(), models_.end(), model);
  CHECK(found != models_.end());
  CHECK(num_bytes_ >= model->num_bytes);
  num_bytes_ -= model->num_bytes;
  models_.erase(found);
}

Status ModelRegistry::retire(const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    const ModelRef model = TRY(find_serving(name));
    model->engine->shutdown(Shutdown::kDrain);
    model->state.store(ModelState::kRetiring, std::memory_order_release);
    has_news_ = true;
  }
  changed_.notify_all();
  return Ok{};
}

Result<ModelRegistry::ModelRef> ModelRegistry::find_serving(const std::string& name) const {
  ModelRef model = find(name);
  if (model != nullptr && model->state.load() == ModelState::kServing) return model;
  return Error{ErrorCode::kNotFound, "there is no model " + name + " that serves"};
}

Result<ModelRegistry::ModelRef> ModelRegistry::use(const std::string& name) {
  const std::lock_guard lock(mutex_);
  ModelRef model = TRY(find_serving(name));
  model->last_use = ++num_uses_;
  return model;
}

Result<std::vector<TokenStream>> ModelRegistry::submit(const std::string& name, Request request,
                                                       std::size_t num_choices) {
  const ModelRef model = TRY(use(name));
  auto streams = model->engine->submit_choices(std::move(request), num_choices);
  wake();
  return streams;
}

Result<TokenStream> ModelRegistry::pin(const std::string& name, std::vector<TokenId> prefix) {
  const ModelRef model = TRY(use(name));
  Result<TokenStream> stream = model->engine->pin(std::move(prefix));
  wake();
  return stream;
}

Status ModelRegistry::with_engine(const std::string& name,
                                  FunctionRef<Status(const Engine&)> look) const {
  ModelRef model;
  {
    const std::lock_guard lock(mutex_);
    model = TRY(find_serving(name));
  }
  return look(*model->engine);
}

void ModelRegistry::wake() {
  {
    const std::lock_guard lock(mutex_);
    has_news_ = true;
  }
  changed_.notify_all();
}

std::vector<ModelStatus> ModelRegistry::models() const {
  const std::lock_guard lock(mutex_);
  std::vector<ModelStatus> models;
  for (const ModelRef& model : models_) {
    const ModelState state = model->state.load(std::memory_order_acquire);
    ModelStatus& status = models.emplace_back();
    status.name = model->name;
    status.state = state;
    status.num_bytes = model->num_bytes;
    if (state == ModelState::kLoading) continue;
    status.num_live = model->engine->num_live();
    status.stats = model->engine->stats();
    status.last_share_decision = model->engine->last_share_decision();
  }
  return models;
}

std::vector<ServiceClass> ModelRegistry::classes() const {
  const std::lock_guard lock(mutex_);
  return classes_;
}

Status ModelRegistry::set_classes(std::vector<ServiceClass> classes) {
  TRY(check_classes(classes));
  {
    const std::lock_guard lock(mutex_);
    const bool are_same =
        std::equal(classes.begin(), classes.end(), classes_.begin(), classes_.end(),
                   [](const ServiceClass& a, const ServiceClass& b) { return a.name == b.name; });
    if (!are_same) {
      return Error{ErrorCode::kInvalidArgument,
                   "classes are added, renamed and dropped at the next start only"};
    }
    classes_ = std::move(classes);
    has_new_classes_ = true;
    has_news_ = true;
    for (const ModelRef& model : models_) {
      if (model->state.load() != ModelState::kLoading) model->engine->set_classes(classes_);
    }
  }
  changed_.notify_all();
  return Ok{};
}

Duration ModelRegistry::retry_after(const std::string& name, ClassId id) const {
  const std::lock_guard lock(mutex_);
  const ModelRef model = find(name);
  if (model == nullptr || model->state.load() == ModelState::kLoading) return Duration{0};
  return model->engine->admission().retry_after(id);
}

void ModelRegistry::start() {
  {
    const std::lock_guard lock(mutex_);
    CHECK(!has_thread_);
    has_thread_ = true;
  }
  thread_ = std::thread([this] { run_loop(); });
}

void ModelRegistry::shutdown(Shutdown how) {
  {
    const std::lock_guard lock(mutex_);
    is_shut_ = true;
    has_news_ = true;
    for (const ModelRef& model : models_) {
      if (model->state.load() != ModelState::kLoading) model->engine->shutdown(how);
    }
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ModelRegistry::run_loop() {
  for (;;) {
    while (step()) {
    }
    for (const ModelRef& model : lanes_) model->engine->check_idle();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return has_news_ || is_shut_; });
    if (!has_news_) return;  // Shut, and everything has ended.
  }
}

bool ModelRegistry::step() {
  poll_lanes();
  const std::optional<std::size_t> chosen = arbiter_.choose(arbiter_lanes_);
  if (!chosen) return false;
  step_lane(*chosen);
  return true;
}

void ModelRegistry::refresh_lanes() {
  const std::lock_guard lock(mutex_);
  if (!has_news_) return;
  has_news_ = false;
  if (std::exchange(has_new_classes_, false)) arbiter_.set_parts(share_parts(classes_));
  for (const ModelRef& model : models_) {
    if (model->state.load(std::memory_order_acquire) == ModelState::kLoading) continue;
    if (std::find(lanes_.begin(), lanes_.end(), model) != lanes_.end()) continue;
    lanes_.push_back(model);
    arbiter_lanes_.emplace_back();
  }
}

void ModelRegistry::poll_lanes() {
  refresh_lanes();
  for (std::size_t i = lanes_.size(); i > 0; --i) {
    // First the state, then the inbox: once it retires, nothing comes in any more.
    const ModelState state = lanes_[i - 1]->state.load(std::memory_order_acquire);
    arbiter_lanes_[i - 1].live = lanes_[i - 1]->engine->poll();
    if (state == ModelState::kRetiring && arbiter_lanes_[i - 1].live.empty()) drop(i - 1);
  }
}

void ModelRegistry::drop(std::size_t lane) {
  {
    const std::lock_guard lock(mutex_);
    erase(lanes_[lane]);
  }
  if (last_stepped_ == lanes_[lane]->engine.get()) last_stepped_ = nullptr;
  lanes_.erase(lanes_.begin() + static_cast<std::ptrdiff_t>(lane));
  arbiter_lanes_.erase(arbiter_lanes_.begin() + static_cast<std::ptrdiff_t>(lane));
  changed_.notify_all();
}

void ModelRegistry::step_lane(std::size_t at) {
  Engine& engine = *lanes_[at]->engine;
  const auto work_done = [&](std::size_t i) {
    return engine.scheduler().class_stats(ClassId{static_cast<std::uint32_t>(i)}).work_done;
  };
  for (std::size_t i = 0; i < work_.size(); ++i) work_[i] = work_done(i);
  const TimePoint begin = clock_.now();
  // Models share the device: what one has begun ends before another begins.
  if (last_stepped_ != nullptr && last_stepped_ != &engine) last_stepped_->settle();
  last_stepped_ = &engine;
  engine.step();
  const Duration elapsed = clock_.now() - begin;
  for (std::size_t i = 0; i < work_.size(); ++i) work_[i] = work_done(i) - work_[i];
  arbiter_.charge(arbiter_lanes_, at, work_, elapsed);
}

}  // namespace millrace
