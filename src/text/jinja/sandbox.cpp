// Every value is weighed before it is made.
#include "text/jinja/sandbox.h"

#include <algorithm>
#include <numeric>

#include "base/checked.h"
#include "text/jinja/repr.h"
#include "text/jinja/unicode.h"

namespace millrace::jinja {
namespace {

constexpr std::uint64_t kObjectBytes = 64;  // A shared pointer's counts and an allocator's header.
constexpr std::size_t kScannedEntriesMax = 8;
// Of a name in a message: making it must not cost more than the step that failed.
constexpr std::size_t kShownBytesMax = 100;

std::uint32_t depth_of(const Value& value) {
  switch (value.kind()) {
    case Kind::kList:
    case Kind::kTuple:
      return value.sequence().depth;
    case Kind::kDict:
      return value.dict().depth;
    case Kind::kDictView:
      return value.dict_view().of.dict().depth + 1;
    default:
      return 0;
  }
}

std::uint64_t key_size(const Value& key) {
  if (key.is_string()) return 1 + key.text().size() / 256;
  return key.is(Kind::kTuple) ? 1 + key.sequence().items.size() : 1;
}

// Places of entries in the order of their keys, equal keys in the order of insertion.
std::vector<std::uint32_t> order_by_key(const std::vector<std::pair<Value, Value>>& entries) {
  std::vector<std::uint32_t> order(entries.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return compare_keys(entries[a].first, entries[b].first) < 0;
  });
  return order;
}

std::vector<std::pair<Value, Value>> without_duplicates(
    std::vector<std::pair<Value, Value>> entries) {
  const std::vector<std::uint32_t> order = order_by_key(entries);
  std::vector<bool> is_duplicate(entries.size(), false);
  for (std::size_t i = 0; i < order.size();) {
    const std::uint32_t first = order[i];
    std::uint32_t last = first;
    for (++i; i < order.size(); ++i) {
      if (compare_keys(entries[first].first, entries[order[i]].first) != 0) break;
      is_duplicate[order[i]] = true;
      last = order[i];
    }
    if (last != first) entries[first].second = entries[last].second;
  }
  std::vector<std::pair<Value, Value>> unique;
  unique.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!is_duplicate[i]) unique.push_back(std::move(entries[i]));
  }
  return unique;
}

}  // namespace

std::string shown_name(std::string_view name) {
  std::string shown(name.substr(0, kShownBytesMax));
  if (shown.size() < name.size()) shown.resize(previous_code_point(shown, shown.size()));
  return shown;
}

Sandbox::~Sandbox() {
  for (const ObjectPtr& object : tracked_) object->forget();
}

void Sandbox::allow_for_input() {
  CHECK(num_steps_max_ == limits_.num_steps_max);  // Once.
  if (limits_.num_steps_max >= limits_.num_steps_max_of_all) return;
  // The live bytes are bounded by the memory limit, so this cannot overflow.
  const std::uint64_t num_more = std::min(meter_.live_bytes * limits_.num_steps_per_input_byte,
                                          limits_.num_steps_max_of_all - limits_.num_steps_max);
  num_steps_max_ += num_more;
  num_steps_left_ += num_more;
}

Error Sandbox::out_of_steps() const {
  return Error{ErrorCode::kTooLarge,
               "rendering takes more than " + std::to_string(num_steps_max_) + " steps"};
}

Error Sandbox::text_too_long() const {
  return Error{ErrorCode::kTooLarge,
               "a text exceeds " + std::to_string(limits_.output_bytes_max) + " bytes"};
}

Error Sandbox::too_deep() const {
  return Error{ErrorCode::kTooLarge,
               "rendering goes deeper than " + std::to_string(limits_.depth_max)};
}

Status Sandbox::reserve(std::uint64_t num_bytes) {
  if (num_bytes > limits_.memory_bytes_max ||
      meter_.live_bytes > limits_.memory_bytes_max - num_bytes) {
    return Error{ErrorCode::kTooLarge,
                 "values hold more than " + std::to_string(limits_.memory_bytes_max) + " bytes"};
  }
  return Ok{};
}

Status Sandbox::spend_key(const Value& key) {
  return spend(1 + 4 * key_size(key));
}

Status Sandbox::append(std::string& out, std::string_view piece) {
  TRY(spend_bytes(piece.size()));
  if (piece.size() > limits_.output_bytes_max ||
      out.size() > limits_.output_bytes_max - piece.size()) {
    return text_too_long();
  }
  out += piece;
  return Ok{};
}

Status Sandbox::append_repeated(std::string& out, std::string_view piece, std::uint64_t times) {
  if (piece.empty() || times == 0) return Ok{};
  const auto num_bytes = checked_mul(piece.size(), times);
  if (!num_bytes || *num_bytes > limits_.output_bytes_max) {
    return Error{ErrorCode::kTooLarge, "a text repeated " + std::to_string(times) +
                                           " times exceeds " +
                                           std::to_string(limits_.output_bytes_max) + " bytes"};
  }
  if (out.size() > limits_.output_bytes_max - *num_bytes) return text_too_long();
  TRY(spend_bytes(*num_bytes));
  if (piece.size() == 1) {
    out.append(times, piece[0]);
    return Ok{};
  }
  TRY(spend(times / 16));
  for (std::uint64_t i = 0; i < times; ++i) out += piece;
  return Ok{};
}

Result<Value> Sandbox::adopt(Kind kind, ObjectPtr object, std::uint64_t num_bytes) {
  TRY(reserve(num_bytes + kObjectBytes));
  object->attach(&meter_, num_bytes + kObjectBytes);
  return Value(kind, std::move(object));
}

Result<Value> Sandbox::string(std::string text) {
  TRY(spend_bytes(text.size()));
  auto string = std::make_shared<String>();
  string->num_code_points = count_code_points(text);
  string->text = std::move(text);
  const std::uint64_t num_bytes = sizeof(String) + string->text.capacity();
  return adopt(Kind::kString, std::move(string), num_bytes);
}

Result<Value> Sandbox::markup(std::string text) {
  TRY(spend_bytes(text.size()));
  auto string = std::make_shared<String>();
  string->num_code_points = count_code_points(text);
  string->is_markup = true;
  string->text = std::move(text);
  const std::uint64_t num_bytes = sizeof(String) + string->text.capacity();
  return adopt(Kind::kString, std::move(string), num_bytes);
}

Result<Value> Sandbox::string_like(const Value& like, std::string text) {
  return like.string().is_markup ? markup(std::move(text)) : string(std::move(text));
}

Result<std::uint32_t> Sandbox::nesting(std::uint32_t deepest) const {
  if (deepest >= limits_.nesting_max) {
    return Error{ErrorCode::kTooLarge,
                 "lists and dicts are nested deeper than " + std::to_string(limits_.nesting_max)};
  }
  return deepest + 1;
}

Result<Value> Sandbox::sequence(Kind kind, std::vector<Value> items, SequencePtr into) {
  TRY(spend_items(items.size()));
  std::uint32_t deepest = 0;
  for (const Value& item : items) deepest = std::max(deepest, depth_of(item));
  into->depth = TRY(nesting(deepest));
  into->items = std::move(items);
  const std::uint64_t num_bytes = sizeof(Sequence) + into->items.capacity() * sizeof(Value);
  return adopt(kind, std::move(into), num_bytes);
}

Result<Value> Sandbox::list(std::vector<Value> items) {
  return sequence(Kind::kList, std::move(items), std::make_shared<Sequence>());
}

Result<Value> Sandbox::tuple(std::vector<Value> items) {
  return sequence(Kind::kTuple, std::move(items), std::make_shared<Sequence>());
}

Result<Value> Sandbox::group(Value grouper, Value list) {
  auto into = std::make_shared<Sequence>();
  into->is_group = true;
  return sequence(Kind::kTuple, {std::move(grouper), std::move(list)}, std::move(into));
}

Result<Value> Sandbox::dict(std::vector<std::pair<Value, Value>> entries) {
  std::uint32_t deepest = 0;
  std::uint64_t key_sizes = 0;
  for (const auto& [key, value] : entries) {
    TRY(check_hashable(key));
    deepest = std::max({deepest, depth_of(key), depth_of(value)});
    key_sizes += key_size(key);
  }
  // Sorting compares each key about log2(2^32) / 2 times.
  TRY(spend(1 + key_sizes * 16));
  auto dict = std::make_shared<Dict>();
  dict->depth = TRY(nesting(deepest));
  dict->entries = without_duplicates(std::move(entries));
  if (dict->entries.size() > kScannedEntriesMax) dict->sorted = order_by_key(dict->entries);
  const std::uint64_t num_bytes =
      sizeof(Dict) + dict->entries.capacity() * (2 * sizeof(Value) + sizeof(std::uint32_t));
  return adopt(Kind::kDict, std::move(dict), num_bytes);
}

Result<Value> Sandbox::range(std::int64_t start, std::int64_t stop, std::int64_t step) {
  if (step == 0) return template_error("range() arg 3 must not be zero");
  // 128 bits hold any difference of two 64-bit numbers.
  __extension__ using Wide = __int128;
  const Wide distance = step > 0 ? Wide{stop} - start : Wide{start} - stop;
  const Wide stride = step > 0 ? Wide{step} : -Wide{step};
  const Wide num_items = distance <= 0 ? 0 : (distance + stride - 1) / stride;
  if (num_items > static_cast<Wide>(limits_.range_items_max)) {
    return Error{ErrorCode::kTooLarge,
                 "range of more than " + std::to_string(limits_.range_items_max) + " items"};
  }
  auto range = std::make_shared<Range>();
  range->start = start;
  range->stop = stop;
  range->step = step;
  range->num_items = static_cast<std::int64_t>(num_items);
  return adopt(Kind::kRange, std::move(range), sizeof(Range));
}

Result<Value> Sandbox::dict_view(const Value& dict, DictViewKind kind) {
  auto view = std::make_shared<DictView>();
  view->of = dict;
  view->view = kind;
  return adopt(Kind::kDictView, std::move(view), sizeof(DictView));
}

Result<Value> Sandbox::name_space() {
  auto space = std::make_shared<Namespace>();
  track(space);
  return adopt(Kind::kNamespace, std::move(space), sizeof(Namespace));
}

Result<Value> Sandbox::undefined(std::string message) {
  auto reason = std::make_shared<UndefinedReason>();
  reason->message = std::move(message);
  const std::uint64_t num_bytes = sizeof(UndefinedReason) + reason->message.capacity();
  return adopt(Kind::kUndefined, std::move(reason), num_bytes);
}

Result<Value> Sandbox::undefined_name(std::string_view name) {
  return undefined("'" + shown_name(name) + "' is undefined");
}

Result<Value> Sandbox::undefined_attribute(const Value& of, const Value& name) {
  const std::string owner = of.is_none() ? "None" : std::string(type_name(of)) + " object";
  if (name.is_string()) {
    return undefined("'" + owner + "' has no attribute '" + shown_name(name.text()) + "'");
  }
  std::string shown;
  TRY(append_repr(*this, name, shown));
  if (shown.size() > kShownBytesMax) shown = std::string(type_name(name));
  return undefined(owner + " has no element " + shown);
}

}  // namespace millrace::jinja
