// Varints of at most ten bytes and lengths that are compared with what is left.
#include "formats/protobuf_reader.h"

#include <bit>

namespace millrace {

std::optional<float> ProtobufField::as_float() const {
  if (kind != Kind::kFixed32) return std::nullopt;
  return std::bit_cast<float>(static_cast<std::uint32_t>(value));
}

Result<std::uint64_t> ProtobufReader::read_varint() {
  constexpr std::size_t kVarintBytesMax = 10;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kVarintBytesMax && i < rest_.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(rest_[i]);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << (7 * i);
    if ((byte & 0x80) == 0) {
      rest_.remove_prefix(i + 1);
      return value;
    }
  }
  return Error{ErrorCode::kCorruptData, name_ + ": a number runs past its message"};
}

Result<std::uint64_t> ProtobufReader::read_fixed(std::size_t num_bytes) {
  if (rest_.size() < num_bytes) {
    return Error{ErrorCode::kCorruptData, name_ + ": a number runs past its message"};
  }
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < num_bytes; ++i) {
    value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(rest_[i])) << (8 * i);
  }
  rest_.remove_prefix(num_bytes);
  return value;
}

Result<std::optional<ProtobufField>> ProtobufReader::next() {
  if (rest_.empty()) return std::optional<ProtobufField>();
  const std::uint64_t tag = TRY(read_varint());
  constexpr std::uint64_t kFieldNumberMax = (1u << 29) - 1;
  if (tag >> 3 == 0 || tag >> 3 > kFieldNumberMax) {
    return Error{ErrorCode::kCorruptData,
                 name_ + ": field number " + std::to_string(tag >> 3) + " is out of range"};
  }
  ProtobufField field;
  field.number = static_cast<std::uint32_t>(tag >> 3);
  switch (tag & 7) {
    case 0:
      field.kind = ProtobufField::Kind::kVarint;
      field.value = TRY(read_varint());
      break;
    case 1:
      field.kind = ProtobufField::Kind::kFixed64;
      field.value = TRY(read_fixed(8));
      break;
    case 2: {
      field.kind = ProtobufField::Kind::kBytes;
      const std::uint64_t num_bytes = TRY(read_varint());
      if (num_bytes > rest_.size()) {
        return Error{ErrorCode::kCorruptData, name_ + ": field " + std::to_string(field.number) +
                                                  " of " + std::to_string(num_bytes) +
                                                  " bytes exceeds the " +
                                                  std::to_string(rest_.size()) + " that are left"};
      }
      field.bytes = rest_.substr(0, num_bytes);
      rest_.remove_prefix(num_bytes);
      break;
    }
    case 5:
      field.kind = ProtobufField::Kind::kFixed32;
      field.value = TRY(read_fixed(4));
      break;
    default:
      return Error{ErrorCode::kCorruptData,
                   name_ + ": wire type " + std::to_string(tag & 7) + " is not supported"};
  }
  return std::optional<ProtobufField>(field);
}

}  // namespace millrace
