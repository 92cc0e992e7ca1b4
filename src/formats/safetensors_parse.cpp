// The parser of safetensors images and of the index over shards.
#include <algorithm>
#include <optional>

#include "base/checked.h"
#include "formats/byte_reader.h"
#include "formats/extents.h"
#include "formats/json_events.h"
#include "formats/safetensors.h"
#include "formats/safetensors_types.h"
#include "formats/text_quote.h"

namespace millrace {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kRankListedMax = 32;

// A tensor as the header describes it.
struct RawTensor {
  std::string name;
  std::optional<std::string> type_name;
  std::optional<std::vector<std::uint64_t>> extents;
  std::optional<std::vector<std::uint64_t>> offsets;
};

//   {"__metadata__": {key: string, …}, tensor: {"dtype": "F32", "shape": […], "data_offsets": […]},
//   …}
class HeaderEvents final : public JsonEvents {
 public:
  std::vector<RawTensor> tensors;
  std::map<std::string, std::string> metadata;

  bool start_object(std::size_t) override {
    if (depth() == 0 || (depth() == 1 && !top_key_.empty())) return enter();
    return refuse("an object");
  }

  bool key(std::string& key) override {
    if (depth() == 1) return begin_item(key);
    field_ = key;
    if (in_metadata_) {
      if (metadata.contains(key)) return fail(place() + " occurs twice");
      return true;
    }
    const RawTensor& tensor = tensors.back();
    const bool is_known = key == "dtype" || key == "shape" || key == "data_offsets";
    if (!is_known) return fail(place() + " is not one of dtype, shape, data_offsets");
    const bool is_repeated = (key == "dtype" && tensor.type_name) ||
                             (key == "shape" && tensor.extents) ||
                             (key == "data_offsets" && tensor.offsets);
    return is_repeated ? fail(place() + " occurs twice") : true;
  }

  bool string(std::string& text) override {
    if (depth() == 2 && in_metadata_) {
      metadata.emplace(field_, text);
      return true;
    }
    if (depth() != 2 || field_ != "dtype") return refuse("a string");
    tensors.back().type_name = text;
    return true;
  }

  bool start_array(std::size_t) override {
    if (depth() != 2 || in_metadata_ || (field_ != "shape" && field_ != "data_offsets"))
      return refuse("an array");
    list().emplace();
    return enter();
  }

  bool number_unsigned(std::uint64_t number) override {
    if (depth() != 3) return refuse("a number");
    if (list()->size() == kRankListedMax)
      return fail(place() + " holds more than " + std::to_string(kRankListedMax) + " numbers");
    list()->push_back(number);
    return true;
  }

  bool end_object() override {
    if (depth() == 2 && !in_metadata_) {
      const RawTensor& tensor = tensors.back();
      field_.clear();
      if (!tensor.type_name) return fail(place() + " lacks the field dtype");
      if (!tensor.extents) return fail(place() + " lacks the field shape");
      if (!tensor.offsets) return fail(place() + " lacks the field data_offsets");
      if (tensor.offsets->size() != 2) {
        return fail(place() + " has " + std::to_string(tensor.offsets->size()) +
                    " data_offsets, expected 2");
      }
    }
    return leave();
  }

 protected:
  std::string place() const override {
    if (top_key_.empty()) return "header";
    const std::string item = in_metadata_ ? top_key_ : "tensor " + in_quotes(top_key_);
    return field_.empty() ? item : item + ", field " + in_quotes(field_);
  }

 private:
  bool begin_item(const std::string& key) {
    if (key.empty()) return fail("header: a tensor's name is empty");
    top_key_ = key;
    field_.clear();
    in_metadata_ = key == "__metadata__";
    if (in_metadata_) {
      if (std::exchange(has_metadata_, true)) return fail("__metadata__ occurs twice");
      return true;
    }
    if (tensors.size() == kSafetensorsTensorsMax)
      return fail("header lists more than " + std::to_string(kSafetensorsTensorsMax) + " tensors");
    tensors.emplace_back().name = key;
    return true;
  }

  std::optional<std::vector<std::uint64_t>>& list() {
    return field_ == "shape" ? tensors.back().extents : tensors.back().offsets;
  }

  std::string top_key_;
  std::string field_;
  bool in_metadata_ = false;
  bool has_metadata_ = false;
};

Error corrupt(const std::string& name, const std::string& what) {
  return Error{ErrorCode::kCorruptData, name + ": " + what};
}

// Checks one tensor's type, shape and range against each other; `data` is what follows the header.
Result<TensorInfo> place_tensor(const RawTensor& raw, std::span<const std::byte> data,
                                const std::string& name) {
  const std::string what = "tensor " + in_quotes(raw.name);
  const std::uint64_t begin = (*raw.offsets)[0];
  const std::uint64_t end = (*raw.offsets)[1];
  const std::string range = "[" + std::to_string(begin) + ", " + std::to_string(end) + "]";
  if (begin > end || end > data.size()) {
    return corrupt(name, what + " has data_offsets " + range + " in " +
                             std::to_string(data.size()) + " bytes of data");
  }
  const auto checked = check_extents(*raw.extents);
  if (!checked)
    return corrupt(name, what + " has shape " + extents_text(*raw.extents) + ": too large");

  TensorInfo info;
  info.name = raw.name;
  info.type_name = *raw.type_name;
  info.shape = checked->shape;
  info.bytes = data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  const SafetensorsType* type = safetensors_type(info.type_name);
  if (type == nullptr) {
    info.refusal = "type " + in_quotes(info.type_name) + " is not known";
    return info;
  }
  const auto num_bits = checked_mul(checked->num_elements, type->bits);
  if (!num_bits || *num_bits % 8 != 0 || *num_bits / 8 != end - begin) {
    return corrupt(
        name, what + " of type " + info.type_name + " and shape " + extents_text(*raw.extents) +
                  " has data_offsets " + range + ", which " + "hold " +
                  std::to_string(end - begin) + " bytes, expected " +
                  (num_bits ? std::to_string(*num_bits / 8) : "more than 64 bits count"));
  }
  info.dtype = type->dtype;
  if (!type->dtype) {
    info.refusal = "type " + info.type_name + " is not supported";
  } else if (raw.extents->size() > Shape::kRankMax) {
    info.refusal = "shape " + extents_text(*raw.extents) + " has more than " +
                   std::to_string(Shape::kRankMax) + " dimensions";
  }
  return info;
}

// Sorts by position and makes sure that the ranges cover the data exactly once.
Status check_coverage(std::vector<TensorInfo>& tensors, std::span<const std::byte> data,
                      const std::string& name) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    if (a.bytes.data() != b.bytes.data()) return a.bytes.data() < b.bytes.data();
    return a.bytes.size() < b.bytes.size();
  });
  std::size_t covered = 0;
  for (const TensorInfo& info : tensors) {
    const auto begin = static_cast<std::size_t>(info.bytes.data() - data.data());
    if (begin != covered) {
      return corrupt(name, "tensor " + in_quotes(info.name) + " begins at byte " +
                               std::to_string(begin) + " of the data, " +
                               (begin < covered ? "inside its predecessor, " : "after a hole, ") +
                               "expected " + std::to_string(covered));
    }
    covered += info.bytes.size();
  }
  if (covered == data.size()) return Ok{};
  return corrupt(name, "tensors cover " + std::to_string(covered) +
                           " bytes of data, the file has " + std::to_string(data.size()));
}

Status check_names(const std::vector<RawTensor>& tensors, const std::string& name) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const RawTensor& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return Ok{};
  return corrupt(name, "tensor " + in_quotes(*twice) + " occurs twice");
}

//   {"metadata": anything, "weight_map": {tensor: file, …}}
class IndexEvents final : public JsonEvents {
 public:
  std::map<std::string, std::string> weight_map;
  bool has_weight_map = false;

  bool null() override { return !in_map() || refuse("null"); }
  bool boolean(bool) override { return !in_map() || refuse("a boolean"); }
  bool number_integer(std::int64_t) override { return !in_map() || refuse("a number"); }
  bool number_unsigned(std::uint64_t) override { return !in_map() || refuse("a number"); }
  bool number_float(double, const std::string&) override { return !in_map() || refuse("a number"); }
  bool start_object(std::size_t) override {
    if (depth() >= 2 && in_map()) return refuse("an object");
    return enter();
  }
  bool start_array(std::size_t) override {
    return depth() == 0 || in_map() ? refuse("an array") : enter();
  }

  bool key(std::string& key) override {
    if (depth() == 1) {
      section_ = key;
      if (key == "weight_map" && std::exchange(has_weight_map, true))
        return fail("weight_map occurs twice");
      tensor_.clear();
    } else if (in_map()) {
      tensor_ = key;
    }
    return true;
  }

  bool string(std::string& file) override {
    if (!in_map()) return depth() > 0 || refuse("a string");
    if (depth() != 2) return refuse("a string");
    const bool is_plain = !file.empty() && file != "." && file != ".." &&
                          file.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
    if (!is_plain)
      return fail(place() + " names the file " + in_quotes(file) +
                  ", expected one without a folder");
    if (weight_map.size() == kSafetensorsTensorsMax)
      return fail("weight_map lists more than " + std::to_string(kSafetensorsTensorsMax));
    if (!weight_map.emplace(tensor_, file).second) return fail(place() + " occurs twice");
    return true;
  }

 protected:
  std::string place() const override {
    if (depth() == 0) return "index";
    return tensor_.empty() ? in_quotes(section_) : "weight_map: tensor " + in_quotes(tensor_);
  }

 private:
  bool in_map() const { return depth() >= 1 && section_ == "weight_map"; }

  std::string section_;
  std::string tensor_;
};

}  // namespace

Result<SafetensorsImage> parse_safetensors(std::span<const std::byte> image,
                                           const std::string& name) {
  ByteReader reader(image);
  const auto header_bytes = reader.read<std::uint64_t>();
  if (!header_bytes) {
    return corrupt(name, "safetensors file has " + std::to_string(image.size()) +
                             " bytes, expected at least " + std::to_string(kLengthBytes));
  }
  if (*header_bytes > kSafetensorsHeaderBytesMax) {
    return Error{ErrorCode::kTooLarge,
                 name + ": safetensors header length is " + std::to_string(*header_bytes) +
                     " bytes, expected at most " + std::to_string(kSafetensorsHeaderBytesMax)};
  }
  const auto header = reader.take(*header_bytes);
  if (!header) {
    return corrupt(name, "safetensors header length is " + std::to_string(*header_bytes) +
                             " bytes, the file has " + std::to_string(reader.num_left()) +
                             " after it");
  }
  const std::string_view text(reinterpret_cast<const char*>(header->data()), header->size());
  if (!text.starts_with('{')) return corrupt(name, "safetensors header does not begin with '{'");

  HeaderEvents events;
  TRY(events.read(text, name + ": safetensors header"));
  TRY(check_names(events.tensors, name));
  SafetensorsImage out;
  out.metadata = std::move(events.metadata);
  out.tensors.reserve(events.tensors.size());
  const auto data = image.subspan(reader.offset());
  for (const RawTensor& raw : events.tensors)
    out.tensors.push_back(TRY(place_tensor(raw, data, name)));
  TRY(check_coverage(out.tensors, data, name));
  return out;
}

Result<std::map<std::string, std::string>> parse_safetensors_index(std::string_view text,
                                                                   const std::string& name) {
  IndexEvents events;
  TRY(events.read(text, name));
  if (!events.has_weight_map) return corrupt(name, "index lacks weight_map");
  return std::move(events.weight_map);
}

}  // namespace millrace
