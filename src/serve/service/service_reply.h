// The way back of one request of the service: its id, its error form, its record at the end.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "serve/api/api_error.h"
#include "serve/http/http_exchange.h"

namespace millrace {

// What is known of a request once it is over: for the access log and the metrics.
struct RequestRecord {
  std::string request_id;
  std::string peer;
  std::string method;
  std::string path;
  int status = 0;  // 499 when the client went before its answer began
  std::string key_name;
  std::string model;
  std::string class_name;
  std::string variant = "base";  // of an experiment; all there is until one runs
  std::string user;
  std::string error;                                // its message, when it failed
  std::optional<std::chrono::seconds> retry_after;  // when it was refused for now
  bool is_stream = false;
  bool was_cut_off = false;  // the client went before the answer's end
  std::string finish;        // "stop", "length", … of the first choice
  std::size_t num_choices = 0;
  std::size_t num_prompt_tokens = 0;
  std::size_t num_cached_tokens = 0;
  std::size_t num_completion_tokens = 0;
  std::optional<Duration> queued;       // from submission to the engine until it ran
  std::optional<Duration> first_token;  // from arrival
  Duration total{0};
};

// Told once of every request. Called by whatever thread ends it; must not block.
class RequestObserver {
 public:
  virtual ~RequestObserver() = default;
  // The exchange may be kept until request_ended, to break it off.
  virtual void request_began(const RequestRecord&, const HttpExchangeRef&) {}
  virtual void request_ended(const RequestRecord& record) = 0;
};

// One request's answer; one thread at a time, but for what HttpExchange allows any thread.
class ServiceReply {
 public:
  // Observers and clock outlive it.
  ServiceReply(HttpExchangeRef exchange, RequestRecord record, ErrorForm form,
               const std::vector<RequestObserver*>& observers, const Clock& clock);
  // Tells the observers, whatever became of it.
  ~ServiceReply();
  ServiceReply(const ServiceReply&) = delete;
  ServiceReply& operator=(const ServiceReply&) = delete;

  RequestRecord& record() { return record_; }
  const RequestRecord& record() const { return record_; }
  ErrorForm error_form() const { return form_; }
  TimePoint arrival() const { return arrival_; }
  HttpExchange& exchange() { return *exchange_; }
  bool is_gone() const { return exchange_->is_gone(); }

  void note_first_token() { record_.first_token = clock_.now() - arrival_; }
  void json(std::string body) { send({.body = std::move(body)}); }
  void send(HttpReply reply);
  // The record's retry_after goes before the error's own.
  void error(ApiError error);
  void open_stream(std::string content_type);
  void write(std::string_view bytes) { exchange_->write(bytes); }
  void end_stream();

 private:
  const HttpExchangeRef exchange_;
  RequestRecord record_;
  const ErrorForm form_;
  const std::vector<RequestObserver*>& observers_;
  const Clock& clock_;
  const TimePoint arrival_;
  bool is_ended_ = false;
};

// Shared by the steps that a request goes through on several threads, one after the other.
using ServiceReplyRef = std::shared_ptr<ServiceReply>;

// 24 letters and digits that differ for every number.
std::string answer_number_text(std::uint64_t number);
// The client's x-request-id where it is a modest word, else a fresh one.
std::string request_id_of(const HttpRequest& request, std::uint64_t number);

}  // namespace millrace
