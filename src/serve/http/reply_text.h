// The bytes of a reply's head and of the pieces of a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/http/http_message.h"

namespace millrace {

enum class KeepAlive : std::uint8_t { kNo, kYes };
enum class BodyFraming : std::uint8_t {
  kLength,      // Content-Length
  kChunked,     // a stream, HTTP/1.1
  kUntilClose,  // a stream, HTTP/1.0
};

// Status line and headers with the empty line after them. Line ends inside values become spaces.
std::string head_text(const HttpReply& reply, const std::vector<HttpHeader>& more,
                      BodyFraming framing, KeepAlive keep_alive);

// One piece of a chunked body, appended; an empty one is none.
void append_chunk(std::string_view bytes, std::string& out);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

std::string_view reason_phrase(int status);

}  // namespace millrace
