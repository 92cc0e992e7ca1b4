// Where the engine's news of streams becomes work on answers, without holding the engine up.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/host_pool.h"
#include "engine/token_stream.h"

namespace millrace {

// What waits for news. On the hub's thread only.
class AnswerTask {
 public:
  virtual ~AnswerTask() = default;
  // Takes what there is and writes it on; true when nothing more will come.
  virtual bool pump() = 0;
};

// One thread that pumps answers: detokenising, formatting, handing bytes to sockets, a few
// microseconds a token. The engine's news of a step is one lock, a copy of ids, and one task for
// the thread unless it is already at work: not one for each stream or token.
class AnswerHub final : public StreamListener {
 public:
  // Room for news of so many streams; more grows it.
  explicit AnswerHub(std::size_t num_streams);
  ~AnswerHub() override;

  // A fresh number to watch by; never 0.
  std::uint64_t next_watch();
  // From here on news of `watch` reach the task, which is pumped once now.
  void add(std::uint64_t watch, std::shared_ptr<AnswerTask> task);
  // News that do not come from the engine. Any thread.
  void notify(std::uint64_t watch) { streams_changed(std::span(&watch, 1)); }
  void streams_changed(std::span<const std::uint64_t> watches) override;

  std::size_t num_tasks() const;
  // Ends the thread and drops all tasks; news are of no use from here on.
  void stop();

 private:
  void drain();

  mutable std::mutex mutex_;  // Guards what follows, to the next empty line.
  std::vector<std::uint64_t> changed_;
  bool is_scheduled_ = false;
  std::uint64_t num_watches_ = 0;
  // Shared with whoever tells the task of other things: a client that went.
  std::unordered_map<std::uint64_t, std::shared_ptr<AnswerTask>> tasks_;

  std::vector<std::uint64_t> draining_;  // the hub's thread
  std::vector<std::shared_ptr<AnswerTask>> due_;
  HostPool pool_;  // ends first
};

}  // namespace millrace
