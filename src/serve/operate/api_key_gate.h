// Who may use the server: keys, the class and models of each, and how much of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "serve/config/server_config.h"
#include "serve/operate/digest.h"
#include "serve/operate/token_bucket.h"
#include "serve/service/server.h"

namespace millrace {

// The key of "Authorization: Bearer KEY" or "x-api-key: KEY".
std::optional<std::string_view> presented_key(const HttpRequest& request);

// Without keys everybody may do everything. Tokens are charged when a request has ended, so a key
// that owes some waits until its bucket has filled; how far below zero it gets is bounded by what
// it has running. Any thread; the clock outlives the gate.
class ApiKeyGate final : public RequestGate, public RequestObserver {
 public:
  explicit ApiKeyGate(const Clock& clock) : clock_(clock) {}

  // Checked keys, as read_config gives them. What a key of the same name and limit has used so far
  // stays used. Requests on their way go on.
  void set_keys(const std::vector<ApiKeyConfig>& keys);

  // kUnauthenticated without a known key; kResourceExhausted, with retry_after in the record, when
  // it has used up what it may. Puts name and class into the record.
  Status admit(const HttpRequest& request, RequestRecord& record) override;
  // kPermissionDenied when its list of models has not this one.
  Status admit_model(const RequestRecord& record, const std::string& model) override;
  // Charges what it came to.
  void request_ended(const RequestRecord& record) override;

 private:
  struct Key {
    std::string name;
    Sha256 digest{};
    std::string service_class;
    std::vector<std::string> models;  // empty: all
    std::optional<TokenBucket> tokens_per_minute;
    std::optional<TokenBucket> tokens_per_day;
    std::optional<TokenBucket> requests_per_minute;
  };

  Key* find(const Sha256& digest);
  Key* find(const std::string& name);
  Status check_quota(Key& key, RequestRecord& record, TimePoint now) const;

  const Clock& clock_;
  std::mutex mutex_;            // Guards keys_.
  std::map<Sha256, Key> keys_;  // by the digest's digest: see find()
};

// Whether the request has this key; for the admin listener.
Status check_admin_key(const HttpRequest& request, const Sha256& digest);

}  // namespace millrace
