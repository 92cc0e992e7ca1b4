// A table under a mutex; loading happens outside it.
#include "engine/adapter_store.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "model/lora_adapter.h"

namespace millrace {

AdapterStore::AdapterStore(const ModelSpec& spec, const AdapterStoreOptions& options)
    : spec_(std::make_unique<const ModelSpec>(spec)), options_(options) {
  CHECK(options.rank_max <= kLoraRankMax);
}

AdapterStore::~AdapterStore() = default;

std::vector<AdapterStore::Entry>::const_iterator AdapterStore::find_entry(
    std::string_view name) const {
  return std::find_if(entries_.begin(), entries_.end(),
                      [name](const Entry& entry) { return entry.name == name; });
}

std::uint64_t AdapterStore::num_bytes() const {
  std::uint64_t sum = 0;
  for (const Entry& entry : entries_) sum += entry.adapter->num_bytes();
  for (const AdapterRef& leaving : leaving_) sum += leaving->num_bytes();
  return sum;
}

Status AdapterStore::check_room(const std::string& name) const {
  if (name.empty()) return Error{ErrorCode::kInvalidArgument, "an adapter's name is empty"};
  if (find_entry(name) != entries_.end()) {
    return Error{ErrorCode::kInvalidArgument, "adapter " + name + " is loaded already"};
  }
  const std::size_t num_leaving = leaving_.size();
  if (entries_.size() + num_leaving < options_.adapters_max) return Ok{};
  return Error{ErrorCode::kResourceExhausted,
               std::to_string(entries_.size()) + " adapters are loaded and " +
                   std::to_string(num_leaving) + " wait for their last request, at most " +
                   std::to_string(options_.adapters_max) + " are held"};
}

// Nobody can get hold of one that is leaving, so a count that has come down to ours stays there.
std::size_t AdapterStore::sweep() const {
  std::vector<AdapterRef> gone;  // Goes after the lock.
  const std::lock_guard lock(mutex_);
  const auto first_gone = std::partition(leaving_.begin(), leaving_.end(),
                                         [](const AdapterRef& one) { return one.use_count() > 1; });
  std::move(first_gone, leaving_.end(), std::back_inserter(gone));
  leaving_.erase(first_gone, leaving_.end());
  return leaving_.size();
}

Status AdapterStore::load(const std::string& name, const std::string& path) {
  const std::lock_guard loading(loading_mutex_);
  sweep();
  LoraLimits limits{.rank_max = options_.rank_max, .bytes_max = 0};
  {
    const std::lock_guard lock(mutex_);
    TRY(check_room(name));
    const std::uint64_t num_used = num_bytes();
    limits.bytes_max = options_.bytes_max - std::min(options_.bytes_max, num_used);
  }
  AdapterRef adapter = TRY(LoraAdapter::load(path, *spec_, limits, num_loaded_ + 1));
  ++num_loaded_;
  const std::lock_guard lock(mutex_);
  entries_.push_back({name, path, std::move(adapter)});
  return Ok{};
}

Status AdapterStore::unload(const std::string& name) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = find_entry(name);
    if (found == entries_.end()) {
      return Error{ErrorCode::kNotFound, "adapter " + name + " is not loaded"};
    }
    leaving_.push_back(found->adapter);
    entries_.erase(found);
  }
  sweep();
  return Ok{};
}

AdapterRef AdapterStore::find(std::string_view name) const {
  sweep();
  const std::lock_guard lock(mutex_);
  const auto found = find_entry(name);
  return found == entries_.end() ? nullptr : found->adapter;
}

std::vector<AdapterStatus> AdapterStore::adapters() const {
  sweep();
  const std::lock_guard lock(mutex_);
  std::vector<AdapterStatus> all;
  for (const Entry& entry : entries_) {
    all.push_back({.name = entry.name,
                   .path = entry.path,
                   .id = entry.adapter->id(),
                   .rank_max = entry.adapter->rank_max(),
                   .num_bytes = entry.adapter->num_bytes(),
                   .num_users = static_cast<std::size_t>(entry.adapter.use_count()) - 1});
  }
  return all;
}

}  // namespace millrace
