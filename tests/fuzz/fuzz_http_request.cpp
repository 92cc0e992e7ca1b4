// Fuzzes what a connection reads: the first byte says how the rest is cut into pieces. However it
// is cut, the same requests come out, within the limits, and what waits for more bytes is bounded.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "serve/http/request_reader.h"

namespace {

using millrace::HttpRequest;
using millrace::RequestReader;

constexpr std::size_t kHeaderBytesMax = 256;
constexpr std::uint64_t kBodyBytesMax = 512;
constexpr int kTooLong = 431;

struct Reading {
  std::vector<HttpRequest> requests;
  int fault_status = 0;
};

void check_request(const HttpRequest& request) {
  CHECK(!request.method.empty());
  CHECK(request.path.starts_with("/") || request.path == "*");
  CHECK(request.body.size() <= kBodyBytesMax);
  std::size_t header_bytes = 0;
  for (const auto& header : request.headers) {
    header_bytes += header.name.size() + header.value.size();
    CHECK(header.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
  }
  CHECK(header_bytes <= 2 * kHeaderBytesMax + kBodyBytesMax);
}

void use_state(const RequestReader& reader) {
  CHECK(!(reader.fault() && reader.is_complete()));
  CHECK(!(reader.wants_continue() && reader.is_complete()));
  if (reader.fault()) CHECK(reader.fault()->status >= 400 && reader.fault()->status < 600);
  if (reader.is_complete()) CHECK(reader.has_header() && reader.has_begun());
  static_cast<void>(reader.keeps_alive() || reader.is_http_1_0() || reader.is_head());
}

// As a connection does: what the reader leaves comes again, with more behind it.
Reading read_all(std::string_view bytes, std::size_t piece_bytes) {
  Reading reading;
  std::string input;
  while (true) {
    RequestReader reader(kHeaderBytesMax, kBodyBytesMax);
    while (true) {
      const std::size_t num_taken = reader.feed(input);
      CHECK(num_taken <= input.size());
      input.erase(0, num_taken);
      use_state(reader);
      if (reader.fault() || reader.is_complete()) break;
      CHECK(input.size() <= kHeaderBytesMax);
      if (bytes.empty()) return reading;
      input += bytes.substr(0, piece_bytes);
      bytes.remove_prefix(std::min(piece_bytes, bytes.size()));
    }
    if (reader.fault()) {
      reading.fault_status = reader.fault()->status;
      return reading;
    }
    reading.requests.push_back(reader.take());
    check_request(reading.requests.back());
  }
}

void check_equal(const HttpRequest& a, const HttpRequest& b) {
  CHECK(a.method == b.method && a.path == b.path && a.query == b.query && a.body == b.body);
  CHECK(a.headers.size() == b.headers.size());
  for (std::size_t i = 0; i < a.headers.size(); ++i) {
    CHECK(a.headers[i].name == b.headers[i].name && a.headers[i].value == b.headers[i].value);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Reading whole = read_all(bytes, std::max<std::size_t>(bytes.size(), 1));
  const Reading pieces = read_all(bytes, data[0] % 64 + 1);
  for (std::size_t i = 0; i < std::min(whole.requests.size(), pieces.requests.size()); ++i) {
    check_equal(whole.requests[i], pieces.requests[i]);
  }
  // What is wrong may be seen in one of them while its end is still missing, what is too long also
  // when its end comes at last.
  if (whole.fault_status == kTooLong || pieces.fault_status == kTooLong) return 0;
  CHECK(whole.requests.size() == pieces.requests.size());
  return 0;
}
