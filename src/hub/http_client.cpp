// libcurl, and nothing of it outside this file. Redirects are followed here, so that what is sent
// where is ours to say.
#include "hub/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <mutex>

namespace millrace {
namespace {

struct UrlParts {
  std::string scheme;
  std::string host;
  std::string port;

  bool operator==(const UrlParts&) const = default;
  bool is_loopback() const { return host == "127.0.0.1" || host == "[::1]" || host == "localhost"; }
};

using UrlHandle = std::unique_ptr<CURLU, decltype(&::curl_url_cleanup)>;

std::string url_part(CURLU* url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (::curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string result(text);
  ::curl_free(text);
  return result;
}

// The URL that `base` and a reference from it make; empty when it is none.
std::string joined_url(const std::string& base, const std::string& reference) {
  const UrlHandle url(::curl_url(), &::curl_url_cleanup);
  if (url == nullptr || ::curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      ::curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), CURLU_NON_SUPPORT_SCHEME) !=
          CURLUE_OK) {
    return "";
  }
  return url_part(url.get(), CURLUPART_URL, 0);
}

Result<UrlParts> parts_of(const std::string& text) {
  const UrlHandle url(::curl_url(), &::curl_url_cleanup);
  const bool is_url = url != nullptr && ::curl_url_set(url.get(), CURLUPART_URL, text.c_str(),
                                                       CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
  UrlParts parts;
  if (is_url) {
    parts = {.scheme = url_part(url.get(), CURLUPART_SCHEME, 0),
             .host = url_part(url.get(), CURLUPART_HOST, 0),
             .port = url_part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT)};
  }
  if (parts.scheme != "http" && parts.scheme != "https") {
    return Error{ErrorCode::kInvalidArgument, text.substr(0, 200) + " is no http or https URL"};
  }
  if (!url_part(url.get(), CURLUPART_USER, 0).empty()) {
    return Error{ErrorCode::kInvalidArgument, "the URL of " + parts.host + " has a user in it"};
  }
  return parts;
}

}  // namespace

std::string_view HttpHead::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

struct HttpClient::Handle {
  CURL* curl = nullptr;
};

// One request on its way, over all of its redirects.
struct HttpClient::Transfer {
  const HttpGet& request;
  const HttpClientOptions& options;
  Sink sink;
  HttpHead head = {};
  std::vector<std::pair<std::string, std::string>> earlier_headers = {};  // of redirects
  std::size_t num_header_bytes = 0;
  std::optional<Error> problem = std::nullopt;

  static std::size_t on_header(char* data, std::size_t, std::size_t num_bytes, void* self) {
    return static_cast<Transfer*>(self)->take_header({data, num_bytes}) ? num_bytes : 0;
  }
  static std::size_t on_body(char* data, std::size_t, std::size_t num_bytes, void* self) {
    return static_cast<Transfer*>(self)->take_body({data, num_bytes}) ? num_bytes : 0;
  }

  bool take_header(std::string_view line) {
    num_header_bytes += line.size();
    if (num_header_bytes > options.header_bytes_max) {
      problem =
          Error{ErrorCode::kTooLarge, "the headers of an answer have more than " +
                                          std::to_string(options.header_bytes_max) + " bytes"};
      return false;
    }
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) {  // A new answer: an interim one came before.
      head = {};
      const std::size_t space = std::min(line.find(' '), line.size() - 1);
      std::from_chars(line.data() + space + 1, line.data() + line.size(), head.status);
      return true;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return true;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), [](char c) {
      return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    });
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    head.headers.emplace_back(std::move(name), std::string(value));
    return true;
  }

  bool take_body(std::string_view text) {
    if (head.status != 200 && head.status != 206) return true;
    const Status status = sink(head, std::as_bytes(std::span(text.data(), text.size())));
    if (!status.ok()) problem = status.error();
    return status.ok();
  }
};

HttpClient::HttpClient(const HttpClientOptions& options)
    : options_(options), handle_(std::make_unique<Handle>()) {
  static std::once_flag once;
  std::call_once(once, [] { ::curl_global_init(CURL_GLOBAL_DEFAULT); });
  handle_->curl = ::curl_easy_init();
  CHECK(handle_->curl != nullptr);
}

HttpClient::~HttpClient() {
  ::curl_easy_cleanup(handle_->curl);
}

Result<HttpHead> HttpClient::get(const HttpGet& request, Sink sink) {
  const UrlParts first = TRY(parts_of(request.url));
  Transfer transfer{.request = request, .options = options_, .sink = sink};
  std::string url = request.url;
  for (std::size_t num_redirects = 0; num_redirects <= options_.num_redirects_max;
       ++num_redirects) {
    const UrlParts parts = TRY(parts_of(url));
    if (first.scheme == "https" && parts.scheme != "https") {
      return Error{ErrorCode::kInvalidArgument,
                   request.url + " leads from https to " + parts.scheme};
    }
    const bool may_know_token = parts == first && (parts.scheme == "https" || parts.is_loopback());
    const auto next = TRY(get_once(url, may_know_token ? request.token : "", transfer));
    if (!next) {
      for (auto& header : transfer.earlier_headers) {
        if (transfer.head.header(header.first).empty()) {
          transfer.head.headers.push_back(std::move(header));
        }
      }
      return std::move(transfer.head);
    }
    url = joined_url(url, *next);
  }
  return Error{ErrorCode::kUnavailable, request.url + " leads through more than " +
                                            std::to_string(options_.num_redirects_max) +
                                            " redirects"};
}

Result<std::optional<std::string>> HttpClient::get_once(const std::string& url,
                                                        const std::string& token,
                                                        Transfer& transfer) {
  CURL* const curl = handle_->curl;
  ::curl_easy_reset(curl);
  const auto in_seconds = [](Duration time) {
    return static_cast<long>(
        std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::seconds>(time).count()));
  };
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(options_.connect_timeout).count();
  ::curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  ::curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  ::curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(curl, CURLOPT_USERAGENT, "millrace");
  ::curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(milliseconds));
  ::curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  ::curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, in_seconds(options_.stall_timeout));
  ::curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  ::curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  if (!token.empty()) {
    ::curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    ::curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, token.c_str());
  }
  if (transfer.request.offset > 0) {
    const std::string range = std::to_string(transfer.request.offset) + "-";
    ::curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());  // copied
  }
  transfer.head = {};
  const CURLcode code = ::curl_easy_perform(curl);
  if (transfer.problem) return *transfer.problem;
  if (code != CURLE_OK) {
    return Error{ErrorCode::kUnavailable, url + ": " + ::curl_easy_strerror(code)};
  }
  const int status = transfer.head.status;
  const bool is_redirect =
      status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
  const std::string location(transfer.head.header("location"));
  if (!is_redirect || location.empty()) return std::optional<std::string>();
  for (auto& header : transfer.head.headers) transfer.earlier_headers.push_back(header);
  return std::optional<std::string>(location);
}

}  // namespace millrace
