// Who is hot, who gets a place, and who gives one up.
#include "engine/hot_prefixes.h"

#include <algorithm>
#include <string>

#include "base/check.h"

namespace millrace {
namespace {

// 4 rows of 32,768 counters of 16 bits: 256 KB, which a thousand prompts of 40 unlike blocks each
// leave four fifths empty.
constexpr std::size_t kCounters = std::size_t{1} << 15;
// Longer than counters last.
constexpr std::uint32_t kHalvingsMax = 16;

bool is_everybodys(const Request& request) {
  return request.salt == PrefixSalt{};
}

}  // namespace

Status check_hot_options(const HotPrefixOptions& options) {
  if (options.found_blocks_max > options.pinned_blocks_max) {
    return Error{ErrorCode::kInvalidArgument, "found_blocks_max is " +
                                                  std::to_string(options.found_blocks_max) +
                                                  ", expected at most pinned_blocks_max of " +
                                                  std::to_string(options.pinned_blocks_max)};
  }
  if (options.requests_min < 2) {
    return Error{
        ErrorCode::kInvalidArgument,
        "requests_min is " + std::to_string(options.requests_min) + ", expected at least 2"};
  }
  if (options.half_life <= Duration{0}) {
    return Error{ErrorCode::kInvalidArgument, "half_life is 0 or less, expected more"};
  }
  return Ok{};
}

HotPrefixes::HotPrefixes(const HotPrefixOptions& options, std::size_t block_tokens,
                         PrefixIndex& index)
    : options_(options),
      block_tokens_(block_tokens),
      index_(index),
      sketch_(options.found_blocks_max > 0 ? kCounters : 1) {
  CHECK(check_hot_options(options).ok());
  pins_.reserve(kAskedMax + options.found_blocks_max);
}

void HotPrefixes::cool(TimePoint now) {
  if (options_.found_blocks_max == 0) return;
  if (!halved_) halved_ = now;
  std::uint32_t num_halvings = 0;
  for (; num_halvings < kHalvingsMax && now - *halved_ >= options_.half_life; ++num_halvings) {
    sketch_.halve();
    *halved_ += options_.half_life;
  }
  if (num_halvings == 0) return;
  if (num_halvings == kHalvingsMax) halved_ = now;
  const std::lock_guard lock(mutex_);
  for (std::size_t i = pins_.size(); i > 0 && num_visits_ == 0; --i) {
    const Pin& pin = pins_[i - 1];
    if (pin.source != HotSource::kFound) continue;
    if (sketch_.estimate(pin.hash) < std::max(1u, options_.requests_min / 4)) drop(i - 1);
  }
}

void HotPrefixes::note_start(Sequence& sequence) {
  if (options_.found_blocks_max == 0 || !is_everybodys(sequence.request)) return;
  // Generated tokens of a sequence that returns are its prompt's by then.
  const std::size_t num_full = std::min({sequence.num_prompt() / block_tokens_,
                                         options_.found_blocks_max, sequence.prefix_hashes.size()});
  const auto hashes = std::span(sequence.prefix_hashes).first(num_full);
  const std::size_t num_hot = sketch_.count(hashes, options_.requests_min);
  if (num_hot * block_tokens_ < std::max<std::size_t>(1, options_.found_tokens_min)) return;
  if (sequence.pin_blocks > 0) return;  // It pins what was asked for.
  if (index_.num_to_pin(sequence.prefix_key(), num_hot) == 0) return;
  sequence.pin_blocks = static_cast<std::uint32_t>(num_hot);
  sequence.pin_source = HotSource::kFound;
}

Status HotPrefixes::note_published(Sequence& sequence) {
  if (sequence.pin_blocks == 0 || sequence.num_published < sequence.pin_blocks) return Ok{};
  const auto path = sequence.blocks.blocks().first(sequence.pin_blocks);
  const std::uint64_t hash = sequence.prefix_hashes[sequence.pin_blocks - 1];
  sequence.pin_blocks = 0;
  const Status pinned = pin(path, hash, sequence.pin_source);
  if (sequence.pin_source == HotSource::kFound) return Ok{};  // There was no room: so be it.
  return pinned;
}

Status HotPrefixes::check_asked(const PrefixKey& key, std::size_t num_blocks) const {
  // Found ones make room.
  const std::size_t num_new = index_.num_to_pin(key, num_blocks);
  if (num_new <= options_.pinned_blocks_max) return Ok{};
  return Error{ErrorCode::kTooLarge,
               "hot prompt of " + std::to_string(num_blocks) + " blocks of KV cache exceeds the " +
                   std::to_string(options_.pinned_blocks_max) + " that may be pinned"};
}

Status HotPrefixes::pin(std::span<const BlockId> path, std::uint64_t hash, HotSource source) {
  const std::lock_guard lock(mutex_);
  const bool is_there = std::any_of(pins_.begin(), pins_.end(), [&](const Pin& pin) {
    return pin.leaf == path.back() && pin.source == source;
  });
  if (is_there) return Ok{};
  if (source == HotSource::kFound) {
    if (!try_find_place(path, hash)) return Ok{};
    ++num_found_;
    num_found_blocks_ += path.size();
  } else {
    TRY(find_asked_place(path));
  }
  MUST(index_.pin(path));  // There is a place.
  pins_.push_back({source, path.back(), path.size(), hash});
  return Ok{};
}

bool HotPrefixes::fits(std::span<const BlockId> path) const {
  return index_.num_to_pin(path) <= options_.pinned_blocks_max - index_.num_pinned();
}

// For a prefix that was asked for; found ones give way.
Status HotPrefixes::find_asked_place(std::span<const BlockId> path) {
  if (pins_.size() - num_found_ == kAskedMax) {
    return Error{ErrorCode::kResourceExhausted,
                 "there are " + std::to_string(kAskedMax) + " hot prompts, more are not taken"};
  }
  while (!fits(path) && num_visits_ == 0 && num_found_ > 0) drop(*coldest_found());
  if (fits(path)) return Ok{};
  return Error{ErrorCode::kResourceExhausted,
               "hot prompt needs " + std::to_string(index_.num_to_pin(path)) +
                   " more blocks of KV cache beside the " + std::to_string(index_.num_pinned()) +
                   " that are pinned, at most " + std::to_string(options_.pinned_blocks_max) +
                   " may be"};
}

// For one that is hot: those that are less so give way.
bool HotPrefixes::try_find_place(std::span<const BlockId> path, std::uint64_t hash) {
  if (path.size() > options_.found_blocks_max || index_.num_to_pin(path) == 0) return false;
  // What the longer one holds needs no pin of its own.
  for (std::size_t i = pins_.size(); i > 0 && num_visits_ == 0; --i) {
    if (pins_[i - 1].source != HotSource::kFound) continue;
    if (std::find(path.begin(), path.end(), pins_[i - 1].leaf) != path.end()) drop(i - 1);
  }
  const std::uint32_t num_requests = sketch_.estimate(hash);
  while (num_found_blocks_ + path.size() > options_.found_blocks_max || !fits(path)) {
    if (num_visits_ > 0 || num_found_ == 0) return false;
    const std::size_t coldest = *coldest_found();
    if (sketch_.estimate(pins_[coldest].hash) >= num_requests) return false;
    drop(coldest);
  }
  return true;
}

std::optional<std::size_t> HotPrefixes::coldest_found() const {
  std::optional<std::size_t> coldest;
  for (std::size_t i = 0; i < pins_.size(); ++i) {
    if (pins_[i].source != HotSource::kFound) continue;
    if (!coldest || sketch_.estimate(pins_[i].hash) < sketch_.estimate(pins_[*coldest].hash)) {
      coldest = i;
    }
  }
  return coldest;
}

// With mutex_ held and no visit in progress.
void HotPrefixes::drop(std::size_t at) {
  CHECK(num_visits_ == 0);
  const Pin pin = pins_[at];
  pins_.erase(pins_.begin() + static_cast<std::ptrdiff_t>(at));
  index_.unpin(pin.leaf);
  CHECK(pin.source == HotSource::kFound);
  --num_found_;
  num_found_blocks_ -= pin.num_blocks;
}

HotPrefix HotPrefixes::prefix_of(const Pin& pin) const {
  HotPrefix prefix{.source = pin.source, .tokens = {}, .blocks = {}};
  std::optional<BlockId> block = pin.leaf;
  for (; block; block = index_.pinned_parent(*block)) prefix.blocks.push_back(*block);
  std::reverse(prefix.blocks.begin(), prefix.blocks.end());
  for (const BlockId id : prefix.blocks) {
    const auto tokens = index_.pinned_tokens(id);
    prefix.tokens.insert(prefix.tokens.end(), tokens.begin(), tokens.end());
  }
  return prefix;
}

Status HotPrefixes::visit(FunctionRef<Status(std::span<const HotPrefix>)> visit) const {
  std::vector<HotPrefix> prefixes;
  {
    const std::lock_guard lock(mutex_);
    ++num_visits_;
    for (const Pin& pin : pins_) prefixes.push_back(prefix_of(pin));
  }
  const Status status = visit(prefixes);
  const std::lock_guard lock(mutex_);
  --num_visits_;
  return status;
}

}  // namespace millrace
