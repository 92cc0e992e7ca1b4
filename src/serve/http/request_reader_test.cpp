// What becomes of a request's headers, read in one piece and byte by byte.
#include "serve/http/request_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace millrace {
namespace {

constexpr std::string_view kWithTrailers =
    "POST /v1/completions HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3\r\nabc\r\n0\r\nAuthorization: Bearer other\r\nX-Late: 1\r\n\r\n";

void expect_no_trailers(RequestReader& reader) {
  ASSERT_TRUE(reader.is_complete());
  const HttpRequest request = reader.take();
  EXPECT_EQ(request.body, "abc");
  EXPECT_EQ(request.header("host"), "t");
  EXPECT_FALSE(request.header("authorization").has_value());
  EXPECT_FALSE(request.header("x-late").has_value());
}

TEST(RequestReaderTest, TrailersAreNoHeaders) {
  RequestReader reader(4096, 4096);
  EXPECT_EQ(reader.feed(kWithTrailers), kWithTrailers.size());
  expect_no_trailers(reader);
}

TEST(RequestReaderTest, TrailersAreNoHeadersByteByByte) {
  RequestReader reader(4096, 4096);
  std::string waiting;
  for (const char c : kWithTrailers) {
    waiting += c;
    waiting.erase(0, reader.feed(waiting));
  }
  expect_no_trailers(reader);
}

}  // namespace
}  // namespace millrace
