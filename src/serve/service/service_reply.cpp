// Replies with the headers that all of them have.
#include "serve/service/service_reply.h"

#include <algorithm>
#include <utility>

#include "base/random.h"

namespace millrace {
namespace {

constexpr std::size_t kRequestIdBytesMax = 128;

bool is_id_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == ':';
}

}  // namespace

std::string request_id_of(const HttpRequest& request, std::uint64_t number) {
  const std::optional<std::string_view> given = request.header("x-request-id");
  if (given && !given->empty() && given->size() <= kRequestIdBytesMax &&
      std::all_of(given->begin(), given->end(), is_id_byte)) {
    return std::string(*given);
  }
  return "req_" + answer_number_text(number);
}

std::string answer_number_text(std::uint64_t number) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint64_t half : {mix64(number), mix64(~number)}) {
    for (int shift = 60; shift >= 16; shift -= 4) text += kDigits[(half >> shift) & 15];
  }
  return text;
}

ServiceReply::ServiceReply(HttpExchangeRef exchange, RequestRecord record, ErrorForm form,
                           const std::vector<RequestObserver*>& observers, const Clock& clock)
    : exchange_(std::move(exchange)),
      record_(std::move(record)),
      form_(form),
      observers_(observers),
      clock_(clock),
      arrival_(clock.now()) {
  for (RequestObserver* observer : observers_) observer->request_began(record_, exchange_);
}

ServiceReply::~ServiceReply() {
  record_.total = clock_.now() - arrival_;
  record_.was_cut_off = !is_ended_ || exchange_->is_gone();
  if (record_.status == 0) record_.status = 499;
  for (RequestObserver* observer : observers_) observer->request_ended(record_);
}

void ServiceReply::send(HttpReply reply) {
  record_.status = reply.status;
  is_ended_ = true;
  reply.headers.push_back({"x-request-id", record_.request_id});
  exchange_->reply(std::move(reply));
}

void ServiceReply::error(ApiError error) {
  record_.error = error.message;
  if (record_.retry_after) error.retry_after = record_.retry_after;
  record_.retry_after = error.retry_after;
  HttpReply reply{.status = error.status, .body = error_body(error, form_)};
  if (error.retry_after) {
    reply.headers.push_back({"Retry-After", std::to_string(error.retry_after->count())});
  }
  send(std::move(reply));
}

void ServiceReply::open_stream(std::string content_type) {
  record_.status = 200;
  record_.is_stream = true;
  exchange_->open_stream({.content_type = std::move(content_type),
                          .headers = {{"Cache-Control", "no-cache"},
                                      {"X-Accel-Buffering", "no"},
                                      {"x-request-id", record_.request_id}}});
}

void ServiceReply::end_stream() {
  is_ended_ = true;
  exchange_->end();
}

}  // namespace millrace
