// The wire format of protocol buffers, as far as reading one known message needs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millrace {

// One field of a message. Borrowed from the message's bytes.
struct ProtobufField {
  std::uint32_t number = 0;
  enum class Kind : std::uint8_t { kVarint, kFixed32, kFixed64, kBytes } kind = Kind::kVarint;
  std::uint64_t value = 0;  // Varint and fixed; a float's bits.
  std::string_view bytes;   // Strings, byte strings and nested messages.

  bool is_varint() const { return kind == Kind::kVarint; }
  bool is_bytes() const { return kind == Kind::kBytes; }
  std::optional<float> as_float() const;
};

// Walks the fields of one message in the order of the file; unknown ones are the caller's to skip.
// Source: protobuf.dev, "Encoding". Groups, which are deprecated, are refused.
class ProtobufReader {
 public:
  ProtobufReader(std::string_view bytes, std::string name) : rest_(bytes), name_(std::move(name)) {}

  // Nothing at the end of the message; kCorruptData when a field does not fit.
  Result<std::optional<ProtobufField>> next();

 private:
  Result<std::uint64_t> read_varint();
  Result<std::uint64_t> read_fixed(std::size_t num_bytes);

  std::string_view rest_;
  std::string name_;
};

}  // namespace millrace
