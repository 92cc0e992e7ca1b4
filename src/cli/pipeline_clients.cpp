// Requests, waiting for news, and what a host does with a token.
#include "cli/pipeline_clients.h"

#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

namespace millrace {
namespace {

// Of the calling thread, user and system.
double thread_cpu_seconds() {
  rusage usage{};
  if (::getrusage(RUSAGE_THREAD, &usage) != 0) return 0;
  const auto seconds_of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

}  // namespace

void NewsWaiter::streams_changed(std::span<const std::uint64_t> watches) {
  {
    const std::lock_guard lock(mutex_);
    changed_.insert(changed_.end(), watches.begin(), watches.end());
  }
  changes_.notify_one();
}

void NewsWaiter::wait(std::vector<std::uint64_t>& watches) {
  watches.clear();
  std::unique_lock lock(mutex_);
  changes_.wait(lock, [this] { return !changed_.empty(); });
  std::swap(watches, changed_);
}

Status PipelineClients::run(Engine& engine, NewsWaiter& news, const PipelineLoad& load,
                            HostWork work) {
  const double cpu_before = thread_cpu_seconds();
  std::vector<Client> clients;
  for (std::size_t i = 0; i < load.num_sequences; ++i) {
    Client client;
    client.stream.emplace(TRY(engine.submit(TRY(make_request(i, load, work)))));
    if (text_ != nullptr) client.detokenizer.emplace(text_->tokenizer);
    clients.push_back(std::move(client));
  }
  if (work == HostWork::kOn) {
    read_all(clients, news);
  } else {
    for (Client& client : clients) {
      while (!client.stream->has_ended()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  cpu_seconds_ += thread_cpu_seconds() - cpu_before;
  return Ok{};
}

Result<Request> PipelineClients::make_request(std::size_t number, const PipelineLoad& load,
                                              HostWork work) const {
  Request request;
  request.max_tokens = load.num_tokens;
  request.sampling.temperature = 0;
  request.salt.low = number + 1;
  if (work == HostWork::kOn) request.watch = number;
  if (work == HostWork::kOn && text_ != nullptr) {
    request.prompt = TRY(text_->tokenizer.encode(std::string(4 * load.num_prompt, 'a')));
  }
  request.prompt.resize(load.num_prompt, static_cast<TokenId>(number % vocabulary_));
  return request;
}

void PipelineClients::read_all(std::vector<Client>& clients, NewsWaiter& news) {
  std::vector<std::uint64_t> watches;
  for (std::size_t num_left = clients.size(); num_left > 0;) {
    news.wait(watches);
    for (const std::uint64_t watch : watches) {
      if (pump(clients[watch])) --num_left;
    }
  }
}

// Takes what there is; true when that was the last of it.
bool PipelineClients::pump(Client& client) {
  while (const auto token = client.stream->try_pop()) {
    const std::string piece =
        client.detokenizer ? client.detokenizer->push(token->token) : std::to_string(token->token);
    const OrderedJson frame = {{"object", "chat.completion.chunk"},
                               {"choices", {{{"index", 0}, {"delta", {{"content", piece}}}}}}};
    num_bytes_ += ("data: " + frame.dump() + "\n\n").size();
  }
  if (client.has_ended || !client.stream->finished()) return false;
  client.has_ended = true;
  return true;
}

}  // namespace millrace
