// Beast's parser behind limits, with the checks of RFC 9112 that it leaves to us.
#include "serve/http/request_reader.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/parser.hpp>
#include <utility>

#include "base/check.h"

namespace millrace {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;

// Grows with what has come: a Content-Length alone reserves nothing.
struct GrowingBody {
  using value_type = std::string;
  class reader {
   public:
    template <bool IsRequest, class Fields>
    reader(http::header<IsRequest, Fields>&, value_type& body) : body_(body) {}
    void init(const boost::optional<std::uint64_t>&, error_code& error) { error = {}; }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, error_code& error) {
      error = {};
      std::size_t num_bytes = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        const boost::asio::const_buffer buffer(*it);
        body_.append(static_cast<const char*>(buffer.data()), buffer.size());
        num_bytes += buffer.size();
      }
      return num_bytes;
    }
    void finish(error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

std::string_view to_view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return std::nullopt;
}

// Nothing for a broken escape, or one that hides a control character.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const std::optional<unsigned> high = hex_digit(text[i + 1]);
    const std::optional<unsigned> low = hex_digit(text[i + 2]);
    if (!high || !low || *high * 16 + *low < 0x20) return std::nullopt;
    decoded += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return decoded;
}

HttpFault fault_of(const error_code& error) {
  if (error == http::error::header_limit) return {431, "the request's headers are too long"};
  if (error == http::error::body_limit) return {413, "the request's body is too long"};
  if (error == http::error::bad_version) {
    return {505, "the request is not HTTP/1.0 or HTTP/1.1"};
  }
  return {400, "the request is not HTTP/1.1: " + error.message()};
}

}  // namespace

struct RequestReader::Parser : http::request_parser<GrowingBody> {};

RequestReader::RequestReader(std::size_t header_bytes_max, std::uint64_t body_bytes_max)
    : header_bytes_max_(header_bytes_max), parser_(std::make_unique<Parser>()) {
  parser_->header_limit(static_cast<std::uint32_t>(header_bytes_max));
  parser_->body_limit(body_bytes_max);
  parser_->eager(false);  // It stops behind the header, see check_header.
}

RequestReader::~RequestReader() = default;

std::size_t RequestReader::feed(std::string_view bytes) {
  std::size_t num_taken = 0;
  while (!fault_ && !parser_->is_done() && num_taken < bytes.size()) {
    // A line end or two before a request are allowed; RFC 9112, 2.2.
    if (!has_begun_ && (bytes[num_taken] == '\r' || bytes[num_taken] == '\n')) {
      ++num_taken;
      continue;
    }
    has_begun_ = true;
    error_code error;
    const std::string_view rest = bytes.substr(num_taken);
    const std::size_t num_parsed =
        parser_->put(boost::asio::const_buffer(rest.data(), rest.size()), error);
    num_taken += num_parsed;
    if (parser_->is_header_done() && !is_checked_) check_header();
    if (error == http::error::need_more) {
      // Beast would wait for the end of a chunk's first line, or of trailers, however long.
      if (!fault_ && bytes.size() - num_taken > header_bytes_max_) {
        fault_ = HttpFault{431, "the head of a chunk or the request's trailers are too long"};
      }
      return num_taken;
    }
    if (error) {
      fault_ = fault_of(error);
    } else if (num_parsed == 0 && !parser_->is_done()) {
      return num_taken;
    }
  }
  return num_taken;
}

void RequestReader::check_header() {
  is_checked_ = true;
  const auto& message = parser_->get();
  // Beast adds the trailers of a body in chunks to these; they are no headers (RFC 9110, 6.5.1).
  for (const auto& field : message) {
    headers_.push_back(
        {std::string(to_view(field.name_string())), std::string(to_view(field.value()))});
  }
  parser_->eager(true);
  if (message.version() != 10 && message.version() != 11) {
    fault_ = HttpFault{505, "the request is not HTTP/1.0 or HTTP/1.1"};
    return;
  }
  if (message.version() == 11 && message.count(http::field::host) != 1) {
    fault_ = HttpFault{400, "a request of HTTP/1.1 has one Host header, found " +
                                std::to_string(message.count(http::field::host))};
    return;
  }
  // Two ways to say where the body ends are how requests are smuggled past a proxy.
  if (message.count(http::field::transfer_encoding) > 0 &&
      (message.count(http::field::content_length) > 0 || !parser_->chunked())) {
    fault_ = HttpFault{400, "the only Transfer-Encoding is chunked, without a Content-Length"};
    return;
  }
  std::string_view target = to_view(message.target());
  if (const std::size_t scheme = target.find("://");
      target.substr(0, 1) != "/" && scheme != std::string_view::npos) {
    const std::size_t slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  const std::size_t question = target.find('?');
  std::optional<std::string> path = percent_decoded(target.substr(0, question));
  if (!path || path->empty() || ((*path)[0] != '/' && *path != "*")) {
    fault_ = HttpFault{400, "the request's target is not a path"};
    return;
  }
  path_ = std::move(*path);
  if (question != std::string_view::npos) query_ = std::string(target.substr(question + 1));
}

bool RequestReader::has_header() const {
  return parser_->is_header_done();
}
bool RequestReader::is_complete() const {
  return !fault_ && parser_->is_done();
}

bool RequestReader::wants_continue() const {
  if (fault_ || !parser_->is_header_done() || parser_->is_done()) return false;
  const auto& message = parser_->get();
  return message.version() == 11 &&
         boost::beast::iequals(message[http::field::expect], "100-continue");
}

bool RequestReader::keeps_alive() const {
  return !fault_ && parser_->is_header_done() && parser_->get().keep_alive();
}
bool RequestReader::is_http_1_0() const {
  return parser_->is_header_done() && parser_->get().version() == 10;
}
bool RequestReader::is_head() const {
  return parser_->is_header_done() && parser_->get().method() == http::verb::head;
}

HttpRequest RequestReader::take() {
  CHECK(is_complete());
  auto& message = parser_->get();
  HttpRequest request;
  request.method = std::string(to_view(message.method_string()));
  request.path = std::move(path_);
  request.query = std::move(query_);
  request.headers = std::move(headers_);
  request.body = std::move(message.body());
  return request;
}

}  // namespace millrace
