// The requests that are on their way, for operators to see and to end.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "serve/service/service_reply.h"

namespace millrace {

struct RunningRequest {
  std::string request_id;
  std::string peer;
  std::string method;
  std::string path;
  Duration age{0};
};

// Any thread; the clock outlives it.
class RunningRequests final : public RequestObserver {
 public:
  explicit RunningRequests(const Clock& clock) : clock_(clock) {}

  void request_began(const RequestRecord& record, const HttpExchangeRef& exchange) override;
  void request_ended(const RequestRecord& record) override;

  // Oldest first.
  std::vector<RunningRequest> list() const;
  // Closes its connection, which frees its work at the next step. How many had this id.
  std::size_t cancel(const std::string& request_id);

 private:
  struct Entry {
    RunningRequest request;
    TimePoint began;
    HttpExchangeRef exchange;  // shared with the connection
  };

  const Clock& clock_;
  mutable std::mutex mutex_;  // Guards entries_.
  // By the record, which stays where it is until the end: ids may come twice from clients.
  std::map<const RequestRecord*, Entry> entries_;
};

}  // namespace millrace
