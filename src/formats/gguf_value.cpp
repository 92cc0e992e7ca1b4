// Values of GGUF metadata: sizes, conversion to native types, arrays.
#include "formats/gguf_value.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/checked.h"

namespace millrace {
namespace {

constexpr std::array<std::string_view, kNumGgufTypes> kTypeNames = {
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
constexpr std::array<std::size_t, kNumGgufTypes> kScalarBytes = {1, 1, 2, 2, 4, 4, 4,
                                                                 1, 0, 0, 8, 8, 8};

// The number as To, from whichever integer type lies at `bytes`.
template <class To>
std::optional<To> integer_at(GgufType type, const std::byte* bytes) {
  switch (type) {
    case GgufType::kU8:
      return checked_cast<To>(load<std::uint8_t>(bytes));
    case GgufType::kI8:
      return checked_cast<To>(load<std::int8_t>(bytes));
    case GgufType::kU16:
      return checked_cast<To>(load<std::uint16_t>(bytes));
    case GgufType::kI16:
      return checked_cast<To>(load<std::int16_t>(bytes));
    case GgufType::kU32:
      return checked_cast<To>(load<std::uint32_t>(bytes));
    case GgufType::kI32:
      return checked_cast<To>(load<std::int32_t>(bytes));
    case GgufType::kU64:
      return checked_cast<To>(load<std::uint64_t>(bytes));
    case GgufType::kI64:
      return checked_cast<To>(load<std::int64_t>(bytes));
    case GgufType::kF32:
    case GgufType::kBool:
    case GgufType::kString:
    case GgufType::kArray:
    case GgufType::kF64:
      return std::nullopt;
  }
  return std::nullopt;
}

// The bytes after an array's own header, when it is one.
std::optional<GgufArray> array_at(std::span<const std::byte> payload) {
  ByteReader reader(payload);
  const auto number = reader.read<std::uint32_t>();
  const auto count = reader.read<std::uint64_t>();
  if (!number || !count) return std::nullopt;
  const auto element_type = gguf_type_from_number(*number);
  if (!element_type) return std::nullopt;
  return GgufArray(*element_type, *count, payload.subspan(reader.offset()));
}

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  const auto index = static_cast<std::size_t>(type);
  CHECK(index < kTypeNames.size());
  return kTypeNames[index];
}

std::optional<std::size_t> gguf_scalar_bytes(GgufType type) {
  const std::size_t num_bytes = kScalarBytes[static_cast<std::size_t>(type)];
  if (num_bytes == 0) return std::nullopt;
  return num_bytes;
}

std::optional<GgufType> gguf_type_from_number(std::uint32_t number) {
  if (number >= kNumGgufTypes) return std::nullopt;
  return static_cast<GgufType>(number);
}

std::optional<std::span<const std::byte>> take_gguf_value(ByteReader& reader, GgufType type,
                                                          std::string& fault, std::uint64_t depth) {
  const auto reach = [&reader, &fault](std::uint64_t num_bytes) {
    auto taken = reader.take(num_bytes);
    if (!taken) {
      fault = "needs " + std::to_string(num_bytes) + " bytes where " +
              std::to_string(reader.num_left()) + " are left";
    }
    return taken;
  };
  if (const auto num_bytes = gguf_scalar_bytes(type)) return reach(*num_bytes);

  ByteReader walk = reader;
  if (type == GgufType::kString) {
    const auto length = walk.read<std::uint64_t>();
    const auto total = checked_add(length.value_or(0), sizeof(std::uint64_t));
    return reach(total.value_or(std::numeric_limits<std::uint64_t>::max()));
  }
  if (depth >= kGgufArrayDepthMax) {
    fault = "nests arrays deeper than " + std::to_string(kGgufArrayDepthMax);
    return std::nullopt;
  }
  const auto number = walk.read<std::uint32_t>();
  const auto count = walk.read<std::uint64_t>();
  if (!number || !count) return reach(sizeof(std::uint32_t) + sizeof(std::uint64_t));
  const auto element_type = gguf_type_from_number(*number);
  if (!element_type) {
    fault = "has elements of type number " + std::to_string(*number) + ", expected 0 to " +
            std::to_string(kNumGgufTypes - 1);
    return std::nullopt;
  }
  if (const auto element_bytes = gguf_scalar_bytes(*element_type)) {
    const auto elements = checked_mul(*count, *element_bytes);
    const auto total = checked_add(walk.offset() - reader.offset(),
                                   elements.value_or(std::numeric_limits<std::uint64_t>::max()));
    return reach(total.value_or(std::numeric_limits<std::uint64_t>::max()));
  }
  // Every element has a header of at least 8 bytes, so the loop is bounded by the range.
  for (std::uint64_t i = 0; i < *count; ++i) {
    if (!take_gguf_value(walk, *element_type, fault, depth + 1)) {
      if (depth == 0) fault = "element " + std::to_string(i) + " of its array " + fault;
      return std::nullopt;
    }
  }
  return reader.take(walk.offset() - reader.offset());
}

std::optional<std::uint64_t> GgufValue::as_unsigned() const {
  return integer_at<std::uint64_t>(type, payload.data());
}

std::optional<std::int64_t> GgufValue::as_signed() const {
  return integer_at<std::int64_t>(type, payload.data());
}

std::optional<double> GgufValue::as_float() const {
  if (type == GgufType::kF32) return double{load<float>(payload.data())};
  if (type == GgufType::kF64) return load<double>(payload.data());
  return std::nullopt;
}

std::optional<bool> GgufValue::as_bool() const {
  if (type != GgufType::kBool) return std::nullopt;
  return load<std::uint8_t>(payload.data()) != 0;
}

std::optional<std::string_view> GgufValue::as_string() const {
  if (type != GgufType::kString) return std::nullopt;
  return ByteReader(payload).read_string();
}

std::optional<GgufArray> GgufValue::as_array() const {
  if (type != GgufType::kArray) return std::nullopt;
  return array_at(payload);
}

// One pass over the elements. `convert` yields an optional<T>, empty for a wrong type.
template <class T, class Convert>
Result<std::vector<T>> GgufArray::converted(const char* expected, Convert convert) const {
  std::vector<T> out;
  ByteReader reader(elements_);
  std::string fault;
  // A count that lies cannot reserve more than the bytes justify.
  const std::uint64_t element_bytes_min =
      gguf_scalar_bytes(element_type_).value_or(sizeof(std::uint64_t));
  out.reserve(static_cast<std::size_t>(std::min(count_, elements_.size() / element_bytes_min)));
  for (std::uint64_t i = 0; i < count_; ++i) {
    // An array inside this one is one level deep already.
    const auto payload = take_gguf_value(reader, element_type_, fault, 1);
    if (!payload) {
      return Error{ErrorCode::kCorruptData, "GGUF array: element " + std::to_string(i) + " of " +
                                                std::to_string(count_) + " " + fault};
    }
    const auto value = convert(GgufValue{element_type_, *payload});
    if (!value) {
      return Error{ErrorCode::kInvalidArgument,
                   "GGUF array: element " + std::to_string(i) + " is " +
                       std::string(gguf_type_name(element_type_)) + ", expected " + expected};
    }
    out.push_back(*value);
  }
  return out;
}

Result<std::vector<GgufValue>> GgufArray::values() const {
  return converted<GgufValue>("a value", [](const GgufValue& v) { return std::optional(v); });
}

Result<std::vector<std::string_view>> GgufArray::strings() const {
  return converted<std::string_view>("a string", [](const GgufValue& v) { return v.as_string(); });
}

Result<std::vector<std::uint64_t>> GgufArray::unsigned_values() const {
  return converted<std::uint64_t>("an integer that is not negative",
                                  [](const GgufValue& v) { return v.as_unsigned(); });
}

Result<std::vector<std::int64_t>> GgufArray::signed_values() const {
  return converted<std::int64_t>("an integer", [](const GgufValue& v) { return v.as_signed(); });
}

Result<std::vector<double>> GgufArray::float_values() const {
  return converted<double>("a float", [](const GgufValue& v) { return v.as_float(); });
}

Result<std::vector<bool>> GgufArray::bool_values() const {
  return converted<bool>("a bool", [](const GgufValue& v) { return v.as_bool(); });
}

}  // namespace millrace
