// Sizes of GGUF values and the walk over one: shared by the parser, the getters and the writer.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "formats/byte_reader.h"
#include "formats/gguf.h"

namespace millrace {

// Bytes of a scalar; nothing for strings and arrays.
std::optional<std::size_t> gguf_scalar_bytes(GgufType type);

// The type that bears a number from a file, if there is one.
std::optional<GgufType> gguf_type_from_number(std::uint32_t number);

// Steps over a value and returns its bytes. Nothing, with the reason in `fault`, when it leaves the
// reader's range, has an unknown element type or nests deeper than kGgufArrayDepthMax. Touches
// lengths, not contents.
std::optional<std::span<const std::byte>> take_gguf_value(ByteReader& reader, GgufType type,
                                                          std::string& fault,
                                                          std::uint64_t depth = 0);

}  // namespace millrace
