// Bounds on size and nesting before nlohmann's parser sees the text, and its exceptions turned to
// values.
#include "base/json.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "base/file.h"

namespace millrace {
namespace {

// The deepest nesting of brackets outside strings. A linear scan, so hostile depth costs no stack.
std::size_t nesting_depth(std::string_view text) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

// Builds an OrderedJson from the parser's events without looking members up while they come.
// OrderedJson walks over all members of an object to find one, so the library's own builder takes
// quadratic time over an object of many: 100,000 members in 1.3 MB took 7 s.
class OrderedBuilder final : public nlohmann::json_sax<OrderedJson> {
 public:
  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // JSON has none.
  bool start_object(std::size_t) override { return open(OrderedJson::object()); }
  bool start_array(std::size_t) override { return open(OrderedJson::array()); }
  bool key(string_t& value) override {
    open_.back().key = std::move(value);
    return true;
  }
  bool end_object() override {
    drop_repeated(open_.back().value.get_ref<OrderedJson::object_t&>());
    return close();
  }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::json::exception& exception) override {
    message_ = exception.what();
    return false;
  }

  OrderedJson take() { return std::move(root_); }
  const std::string& message() const { return message_; }

 private:
  struct Open {
    OrderedJson value;
    std::string key;  // of the member that comes next
  };

  bool open(OrderedJson value) {
    open_.push_back({std::move(value), {}});
    return true;
  }

  bool close() {
    OrderedJson value = std::move(open_.back().value);
    open_.pop_back();
    return add(std::move(value));
  }

  bool add(OrderedJson value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return true;
    }
    Open& parent = open_.back();
    if (parent.value.is_array()) {
      parent.value.get_ref<OrderedJson::array_t&>().push_back(std::move(value));
    } else {
      // The vector's own, which does not look for an equal key.
      parent.value.get_ref<OrderedJson::object_t&>().emplace_back(std::move(parent.key),
                                                                  std::move(value));
      parent.key.clear();
    }
    return true;
  }

  // Of members with one key the last value counts, in the first one's place.
  static void drop_repeated(OrderedJson::object_t& members) {
    const auto at = [&](std::size_t i) -> auto& {
      return members.data()[i];
    };
    std::vector<std::size_t> order(members.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const int by_key = at(a).first.compare(at(b).first);
      return by_key != 0 ? by_key < 0 : a < b;
    });
    std::vector<bool> drops(members.size(), false);
    for (std::size_t i = 0; i < order.size();) {
      std::size_t end = i + 1;
      while (end < order.size() && at(order[end]).first == at(order[i]).first) ++end;
      for (std::size_t j = i + 1; j < end; ++j) drops[order[j]] = true;
      if (end - i > 1) at(order[i]).second = std::move(at(order[end - 1]).second);
      i = end;
    }
    if (std::find(drops.begin(), drops.end(), true) == drops.end()) return;
    OrderedJson::object_t kept;
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (!drops[i]) kept.emplace_back(at(i).first, std::move(at(i).second));
    }
    members = std::move(kept);
  }

  OrderedJson root_;
  std::vector<Open> open_;
  std::string message_;
};

Status check_text(std::string_view text, const std::string& name, const JsonLimits& limits) {
  if (text.size() > limits.bytes_max) {
    return Error{ErrorCode::kTooLarge, name + ": JSON of " + std::to_string(text.size()) +
                                           " bytes exceeds " + std::to_string(limits.bytes_max)};
  }
  // nlohmann's parser takes a zero byte for the end of the text and ignores what follows.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    return Error{ErrorCode::kCorruptData,
                 name + ": not valid JSON: zero at byte " + std::to_string(zero)};
  }
  const std::size_t depth = nesting_depth(text);
  if (depth > limits.depth_max) {
    return Error{ErrorCode::kTooLarge, name + ": JSON nested " + std::to_string(depth) +
                                           " deep exceeds " + std::to_string(limits.depth_max)};
  }
  return Ok{};
}

}  // namespace

Result<Json> parse_json(std::string_view text, const std::string& name, const JsonLimits& limits) {
  TRY(check_text(text, name, limits));
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& exception) {
    return Error{ErrorCode::kCorruptData, name + ": not valid JSON: " + exception.what()};
  }
}

Result<OrderedJson> parse_ordered_json(std::string_view text, const std::string& name,
                                       const JsonLimits& limits) {
  TRY(check_text(text, name, limits));
  OrderedBuilder builder;
  if (!OrderedJson::sax_parse(text, &builder)) {
    return Error{ErrorCode::kCorruptData, name + ": not valid JSON: " + builder.message()};
  }
  return builder.take();
}

Result<Json> read_json_file(const std::string& path, const JsonLimits& limits) {
  const std::string text = TRY(read_file(path, limits.bytes_max));
  return parse_json(text, path, limits);
}

}  // namespace millrace
