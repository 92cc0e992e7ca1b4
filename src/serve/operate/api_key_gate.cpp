// Looking keys up and charging them.
#include "serve/operate/api_key_gate.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace millrace {
namespace {

constexpr Duration kMinute = std::chrono::minutes(1);
constexpr Duration kDay = std::chrono::hours(24);

// The table is ordered by a digest of the digest, so that the time of a look-up tells nothing about
// the digests themselves.
Sha256 place_of(const Sha256& digest) {
  return sha256({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::optional<TokenBucket> bucket_of(const std::optional<std::uint64_t>& amount, Duration window,
                                     const std::optional<TokenBucket>& before, TimePoint now) {
  if (!amount) return std::nullopt;
  if (before && before->amount() == *amount) return before;
  return TokenBucket(*amount, window, now);
}

bool starts_with_word(std::string_view text, std::string_view word) {
  if (text.size() < word.size()) return false;
  return std::equal(word.begin(), word.end(), text.begin(), [](char a, char b) {
    return a == std::tolower(static_cast<unsigned char>(b));
  });
}

}  // namespace

std::optional<std::string_view> presented_key(const HttpRequest& request) {
  constexpr std::string_view kScheme = "bearer ";
  if (const auto header = request.header("authorization")) {
    std::string_view text = *header;
    if (!starts_with_word(text, kScheme)) return std::nullopt;
    text.remove_prefix(kScheme.size());
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
  }
  return request.header("x-api-key");
}

void ApiKeyGate::set_keys(const std::vector<ApiKeyConfig>& keys) {
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  std::map<Sha256, Key> table;
  for (const ApiKeyConfig& config : keys) {
    Key key;
    key.name = config.name;
    if (config.key_sha256.empty()) {
      key.digest = sha256(config.key);
    } else {
      const std::optional<Sha256> digest = sha256_from_hex(config.key_sha256);
      CHECK(digest.has_value());
      key.digest = *digest;
    }
    key.service_class = config.service_class;
    key.models = config.models;
    const Key* before = find(config.name);
    const Key none;
    if (before == nullptr) before = &none;
    key.tokens_per_minute =
        bucket_of(config.tokens_per_minute, kMinute, before->tokens_per_minute, now);
    key.tokens_per_day = bucket_of(config.tokens_per_day, kDay, before->tokens_per_day, now);
    key.requests_per_minute =
        bucket_of(config.requests_per_minute, kMinute, before->requests_per_minute, now);
    table.emplace(place_of(key.digest), std::move(key));
  }
  keys_ = std::move(table);
}

ApiKeyGate::Key* ApiKeyGate::find(const Sha256& digest) {
  const auto found = keys_.find(place_of(digest));
  if (found == keys_.end() || !equal_in_constant_time(found->second.digest, digest)) return nullptr;
  return &found->second;
}

ApiKeyGate::Key* ApiKeyGate::find(const std::string& name) {
  for (auto& [place, key] : keys_) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

Status ApiKeyGate::admit(const HttpRequest& request, RequestRecord& record) {
  const std::optional<std::string_view> presented = presented_key(request);
  const Sha256 digest = sha256(presented.value_or(""));
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  if (keys_.empty()) return Ok{};
  if (!presented) {
    return Error{ErrorCode::kUnauthenticated,
                 "there is no API key in the request, expected Authorization: Bearer KEY"};
  }
  Key* const key = find(digest);
  if (key == nullptr) return Error{ErrorCode::kUnauthenticated, "the API key is not known"};
  record.key_name = key->name;
  record.class_name = key->service_class;
  return check_quota(*key, record, now);
}

Status ApiKeyGate::check_quota(Key& key, RequestRecord& record, TimePoint now) const {
  struct Limit {
    std::optional<TokenBucket>* bucket;
    const char* name;
  };
  Duration wait{0};
  std::string spent;
  for (const Limit& limit : {Limit{&key.requests_per_minute, " requests per minute"},
                             Limit{&key.tokens_per_minute, " tokens per minute"},
                             Limit{&key.tokens_per_day, " tokens per day"}}) {
    std::optional<TokenBucket>& bucket = *limit.bucket;
    if (!bucket || bucket->has_some(now)) continue;
    const Duration needed = bucket->wait(now);
    if (needed > wait) spent = std::to_string(bucket->amount()) + limit.name;
    wait = std::max(wait, needed);
  }
  if (!spent.empty()) {
    record.retry_after = std::chrono::ceil<std::chrono::seconds>(wait);
    return Error{ErrorCode::kResourceExhausted,
                 "key " + key.name + " has used up its " + spent + ", retry in " +
                     std::to_string(record.retry_after->count()) + " s"};
  }
  if (key.requests_per_minute) key.requests_per_minute->take(1, now);
  return Ok{};
}

Status ApiKeyGate::admit_model(const RequestRecord& record, const std::string& model) {
  const std::lock_guard lock(mutex_);
  const Key* const key = find(record.key_name);
  if (key == nullptr || key->models.empty()) return Ok{};
  if (std::find(key->models.begin(), key->models.end(), model) != key->models.end()) return Ok{};
  return Error{ErrorCode::kPermissionDenied,
               "key " + key->name + " may not use the model " + model};
}

void ApiKeyGate::request_ended(const RequestRecord& record) {
  if (record.key_name.empty()) return;
  const std::uint64_t num_tokens = record.num_prompt_tokens + record.num_completion_tokens;
  if (num_tokens == 0) return;
  const TimePoint now = clock_.now();
  const std::lock_guard lock(mutex_);
  Key* const key = find(record.key_name);
  if (key == nullptr) return;
  if (key->tokens_per_minute) key->tokens_per_minute->take(num_tokens, now);
  if (key->tokens_per_day) key->tokens_per_day->take(num_tokens, now);
}

Status check_admin_key(const HttpRequest& request, const Sha256& digest) {
  const std::optional<std::string_view> presented = presented_key(request);
  if (!presented) {
    return Error{ErrorCode::kUnauthenticated,
                 "there is no admin key in the request, expected Authorization: Bearer KEY"};
  }
  if (equal_in_constant_time(sha256(*presented), digest)) return Ok{};
  return Error{ErrorCode::kUnauthenticated, "the admin key is wrong"};
}

}  // namespace millrace
