// `millrace serve`: wires models, engine and sockets together, and takes them apart in order.
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/machine.h"
#include "cli/command.h"
#include "cli/serve_operations.h"
#include "cli/serve_options.h"
#include "cli/serve_settings.h"
#include "cli/served_checkpoint.h"
#include "cli/signals.h"
#include "serve/config/config_check.h"
#include "serve/config/config_printer.h"
#include "serve/config/service_classes.h"
#include "serve/service/server.h"

namespace millrace {
namespace {

constexpr Duration kTidyInterval = std::chrono::seconds(1);
constexpr Duration kDrainPoll = std::chrono::milliseconds(20);
// What is cancelled at the end of a drain has so long to tell its clients.
constexpr Duration kFarewellTime = std::chrono::seconds(1);

// As many sockets as the system allows us: the usual soft limit of 1,024 is for select().
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void tell(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) std::fprintf(stderr, "millrace: %s\n", line.c_str());
}

// Everything that serves, in the order in which it is made; it goes in the opposite one.
class Service {
 public:
  static Result<std::unique_ptr<Service>> create(const ServeOptions& typed,
                                                 const ServerConfig& config) {
    std::unique_ptr<Service> service(new Service(config));
    service->operations_ = TRY(ServeOperations::create(config, service->clock_));
    RegistryOptions options;
    options.bytes_max = config.engine.memory_bytes.value_or(memory_available_bytes());
    options.classes = service_classes(config);
    options.listener = &service->hub_;
    service->registry_ = TRY(ModelRegistry::create(options, service->loader_, service->clock_));
    service->directory_.emplace(*service->registry_, service->loader_);
    service->server_ =
        TRY(Server::create(server_options(config, service->clock_), *service->directory_,
                           service->hub_, service->operations_->hooks(), service->clock_));
    Service* const self = service.get();
    const ServedParts parts = {
        .server = service->server_.get(),
        .directory = &*service->directory_,
        .add_model = [self](ModelConfig model) { self->loader_.add(std::move(model)); },
        .set_texts = [self](const ServerConfig& fresh) { self->loader_.set_texts(fresh); },
        .read_again = [typed] { return load_serve_config(typed); },
        .shut_down = [] { ::kill(::getpid(), SIGTERM); }};
    TRY(service->operations_->attach(parts));
    return service;
  }
  ~Service() {
    if (server_ != nullptr) server_->stop();
    if (operations_ != nullptr) operations_->detach();
    if (registry_ != nullptr) registry_->shutdown(Shutdown::kCancel);
  }

  // Health can be asked for while models load.
  Status start() {
    server_->start();
    registry_->start();
    for (const ModelConfig& model : config_.models) {
      TRY(directory_->load(model.name));
      tell(loader_.warm(model.name, *registry_));
    }
    server_->set_ready();
    return Ok{};
  }

  // New requests are refused, accepted ones end; those that do not in time, or once `hurry` says
  // so, are cancelled.
  void drain(FunctionRef<bool()> hurry) {
    server_->begin_drain();
    const TimePoint end = clock_.now() + operations_->drain_timeout();
    while (!server_->is_drained() && clock_.now() < end) {
      if (hurry()) return;
    }
    tell(loader_.save_hot_prompts(*registry_));
    registry_->shutdown(Shutdown::kCancel);
    const TimePoint farewell_end = clock_.now() + kFarewellTime;
    while (!server_->is_drained() && clock_.now() < farewell_end) {
      if (hurry()) return;
    }
  }

  // What waits to be done when nobody waits for it.
  void tidy() { directory_->sweep(); }

  Server& server() { return *server_; }
  ServeOperations& operations() { return *operations_; }

 private:
  explicit Service(const ServerConfig& config)
      : config_(config), loader_(config), hub_(config.engine.requests_max) {}

  SystemClock clock_;
  const ServerConfig config_;
  CheckpointLoader loader_;
  std::unique_ptr<ServeOperations> operations_;
  AnswerHub hub_;
  std::unique_ptr<ModelRegistry> registry_;
  std::optional<ModelDirectory> directory_;
  std::unique_ptr<Server> server_;
};

void print_ready(const ServerConfig& config, Server& server) {
  const std::string url = server.http().url();
  const std::string name = config.models.front().name;
  std::printf("millrace: serving %s at %s\n", name.c_str(), url.c_str());
  std::printf(
      "try: curl %s/v1/chat/completions -d '{\"model\":\"%s\",\"stream\":true,"
      "\"max_tokens\":64,\"messages\":[{\"role\":\"user\",\"content\":\"Once upon a "
      "time\"}]}' -H 'Content-Type: application/json' -N\n",
      url.c_str(), name.c_str());
  std::fflush(stdout);
}

Status serve(const ServeOptions& typed, const ServerConfig& config) {
  SignalQueue signals;
  raise_descriptor_limit();
  std::unique_ptr<Service> service = TRY(Service::create(typed, config));
  {
    const SignalWatch watch;
    TRY(service->start());
  }
  print_ready(config, service->server());
  for (;;) {
    const std::optional<int> signal = signals.wait_for(kTidyInterval);
    if (!signal) service->tidy();
    if (!signal) continue;
    if (*signal != SIGHUP) break;
    (void)service->operations().reload();  // It says itself what went wrong.
  }
  std::fprintf(stderr, "millrace: shutting down; a second signal ends it at once\n");
  service->drain([&] {
    const std::optional<int> signal = signals.wait_for(kDrainPoll);
    return signal && *signal != SIGHUP;
  });
  return Ok{};
}

Status run(const ServeOptions& options) {
  const LoadedConfig loaded = TRY(load_serve_config(options));
  if (options.prints) {
    std::fputs(print_config(loaded).c_str(), stdout);
    return Ok{};
  }
  if (options.checks) {
    TRY(check_paths(loaded.config));
    std::printf("the configuration is right\n");
    return Ok{};
  }
  return serve(options, loaded.config);
}

}  // namespace

void add_serve_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("serve", "Serve models to OpenAI's and Anthropic's clients");
  auto options = std::make_shared<ServeOptions>();
  add_serve_options(*command, *options);
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace millrace
