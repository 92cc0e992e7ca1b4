// Keeping the list.
#include "serve/operate/running_requests.h"

#include <algorithm>
#include <utility>

namespace millrace {

void RunningRequests::request_began(const RequestRecord& record, const HttpExchangeRef& exchange) {
  Entry entry;
  entry.request = {.request_id = record.request_id,
                   .peer = record.peer,
                   .method = record.method,
                   .path = record.path};
  entry.began = clock_.now();
  entry.exchange = exchange;
  const std::lock_guard lock(mutex_);
  entries_[&record] = std::move(entry);
}

void RunningRequests::request_ended(const RequestRecord& record) {
  HttpExchangeRef last;  // Goes without the lock.
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(&record);
  if (found == entries_.end()) return;
  last = std::move(found->second.exchange);
  entries_.erase(found);
}

std::vector<RunningRequest> RunningRequests::list() const {
  const TimePoint now = clock_.now();
  std::vector<RunningRequest> requests;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [record, entry] : entries_) {
      requests.push_back(entry.request);
      requests.back().age = now - entry.began;
    }
  }
  std::sort(requests.begin(), requests.end(),
            [](const RunningRequest& a, const RunningRequest& b) { return a.age > b.age; });
  return requests;
}

std::size_t RunningRequests::cancel(const std::string& request_id) {
  std::vector<HttpExchangeRef> exchanges;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [record, entry] : entries_) {
      if (entry.request.request_id == request_id) exchanges.push_back(entry.exchange);
    }
  }
  for (const HttpExchangeRef& exchange : exchanges) exchange->break_off();
  return exchanges.size();
}

}  // namespace millrace
