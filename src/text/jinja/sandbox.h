// What one rendering may spend, and the only maker of its values: nothing grows without being paid.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/chat_template_limits.h"
#include "text/jinja/value.h"

namespace millrace::jinja {

// Lives for one rendering, on one thread. Every value made here must be gone before it is.
class Sandbox {
 public:
  Sandbox(const ChatTemplateLimits& limits, std::int64_t unix_seconds)
      : limits_(limits),
        unix_seconds_(unix_seconds),
        num_steps_max_(limits.num_steps_max),
        num_steps_left_(limits.num_steps_max) {}
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  ~Sandbox();

  const ChatTemplateLimits& limits() const { return limits_; }
  std::int64_t unix_seconds() const { return unix_seconds_; }

  // Grants more steps for the values that there are now, which are the input.
  void allow_for_input();

  // kTooLarge when the steps are used up.
  Status spend(std::uint64_t num_steps) {
    if (num_steps > num_steps_left_) return out_of_steps();
    num_steps_left_ -= num_steps;
    return Ok{};
  }
  // Reading, copying or searching that many bytes of text. What a step buys bounds all memory too:
  // no text comes into being without being paid for.
  Status spend_bytes(std::uint64_t num_bytes) { return spend(1 + num_bytes / 64); }
  // Walking over that many characters or items, one by one.
  Status spend_items(std::uint64_t num_items) { return spend(1 + num_items / 4); }

  // Appends within the limit on one string's size.
  Status append(std::string& out, std::string_view piece);
  Status append_repeated(std::string& out, std::string_view piece, std::uint64_t times);

  Result<Value> string(std::string text);
  Result<Value> markup(std::string text);
  // Markup when the string `like` is.
  Result<Value> string_like(const Value& like, std::string text);
  Result<Value> list(std::vector<Value> items);
  Result<Value> tuple(std::vector<Value> items);
  // A tuple with names for its items, as the groupby filter gives.
  Result<Value> group(Value grouper, Value list);
  // Later entries replace earlier ones of the same key, in the earlier one's place.
  Result<Value> dict(std::vector<std::pair<Value, Value>> entries);
  Result<Value> range(std::int64_t start, std::int64_t stop, std::int64_t step);
  Result<Value> dict_view(const Value& dict, DictViewKind kind);
  Result<Value> name_space();
  Result<Value> undefined(std::string message);
  // 'x' is undefined
  Result<Value> undefined_name(std::string_view name);
  // 'dict object' has no attribute 'x'
  Result<Value> undefined_attribute(const Value& of, const Value& name);

  // Room in memory for something made elsewhere, and the reference to it.
  Result<Value> adopt(Kind kind, ObjectPtr object, std::uint64_t num_bytes);
  // For what may come to hold a reference to itself: forget() is called when the rendering ends.
  void track(ObjectPtr object) { tracked_.push_back(std::move(object)); }
  // kTooLarge when the memory limit would be passed.
  Status reserve(std::uint64_t num_bytes);
  Meter& meter() { return meter_; }
  // Finding a key in a dict.
  Status spend_key(const Value& key);

  // Set by raise_exception: the error's message is the template author's, to be passed on as it is.
  void note_raised() { raised_ = true; }
  bool raised() const { return raised_; }

  // One more thing in progress inside another; leave() ends it.
  Status enter() {
    if (depth_ == limits_.depth_max) return too_deep();
    ++depth_;
    return Ok{};
  }
  void leave() { --depth_; }

 private:
  Error out_of_steps() const;
  Error text_too_long() const;
  Error too_deep() const;
  Result<Value> sequence(Kind kind, std::vector<Value> items, SequencePtr into);
  Result<std::uint32_t> nesting(std::uint32_t deepest) const;

  ChatTemplateLimits limits_;
  std::int64_t unix_seconds_;
  std::uint64_t num_steps_max_;
  std::uint64_t num_steps_left_;
  std::size_t depth_ = 0;
  bool raised_ = false;
  Meter meter_;
  std::vector<ObjectPtr> tracked_;
};

// A name as messages show it: its first 100 bytes at most.
std::string shown_name(std::string_view name);

// Ends a Sandbox::enter().
class DepthGuard {
 public:
  explicit DepthGuard(Sandbox& sandbox) : sandbox_(sandbox) {}
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;
  ~DepthGuard() { sandbox_.leave(); }

 private:
  Sandbox& sandbox_;
};

}  // namespace millrace::jinja
