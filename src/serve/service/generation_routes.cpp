// Routes that generate: from a body to requests of the engine and a session.
#include <algorithm>
#include <ctime>
#include <span>
#include <utility>

#include "base/random.h"
#include "serve/output/constraint_choice.h"
#include "serve/service/context_refusal.h"
#include "serve/service/embedding_session.h"
#include "serve/service/server.h"

namespace millrace {
namespace {

// Two independent hashes of the salt's text; equal texts share prefixes, others do not.
PrefixSalt salt_of(const std::optional<std::string>& text) {
  if (!text) return {};
  PrefixSalt salt{.high = 1, .low = 2};
  for (const char c : *text) {
    const auto byte = static_cast<std::uint64_t>(static_cast<unsigned char>(c));
    salt.high = mix64(salt.high + byte + 1);
    salt.low = mix64(salt.low ^ (byte + 0x100));
  }
  return salt;
}

std::vector<TokenId> stops_of(const GenerationRequest& request, const ModelService& model) {
  std::vector<TokenId> ids = request.stop_ids;
  if (request.ignores_eos) return ids;
  for (const TokenId id : model.facts().stop_ids) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  return ids;
}

// What is said of prompts is text of 50 bytes and more for each token and alternative.
Status check_scores(const GenerationRequest& request, std::span<const PreparedPrompt> prompts) {
  constexpr std::size_t kEntriesMax = std::size_t{1} << 18;
  if (!request.prompt_logprobs) return Ok{};
  std::size_t num_entries = 0;
  for (const PreparedPrompt& prompt : prompts) {
    num_entries += prompt.ids.size() * (*request.prompt_logprobs + 1);
  }
  if (num_entries * request.num_choices <= kEntriesMax) return Ok{};
  return Error{ErrorCode::kTooLarge,
               "logprobs of prompts would be " + std::to_string(num_entries * request.num_choices) +
                   " entries, at most " + std::to_string(kEntriesMax) + " are allowed"};
}

}  // namespace

void Server::chat(Call& call) {
  generate(call, ApiDialect::kChat);
}
void Server::completions(Call& call) {
  generate(call, ApiDialect::kCompletions);
}
void Server::responses(Call& call) {
  generate(call, ApiDialect::kResponses);
}
void Server::messages(Call& call) {
  generate(call, ApiDialect::kMessages);
}

void Server::generate(Call& call, ApiDialect dialect) {
  const Status status = begin_generation(call, dialect);
  if (!status.ok()) call.reply->error(api_error(status.error()));
}

Status Server::begin_generation(Call& call, ApiDialect dialect) {
  const OrderedJson body = TRY(parse_body(call.request.body, call.limits->api));
  const std::shared_ptr<const ModelService> model = TRY(model_for(requested_model(body), call));
  GenerationRequest request = TRY(parse_generation(
      dialect, body, {.limits = call.limits->api, .sampling = model->facts().sampling}));
  const std::vector<PreparedPrompt> prompts = TRY(model->prompts(request));
  if (const std::optional<ApiError> error = context_refusal(request, prompts, *model)) {
    call.reply->error(*error);
    return Ok{};
  }
  TRY(check_scores(request, prompts));
  std::vector<Request> requests = TRY(engine_requests(request, prompts, *model, *call.reply));
  RequestRecord& record = call.reply->record();
  record.user = request.user;
  record.is_stream = request.is_stream;
  record.class_name = options_.classes[requests.front().service_class.index].name;
  AnswerIdentity identity;
  identity.id = answer_number_text(options_.request_seed ^ num_requests_.fetch_add(1));
  identity.unix_seconds = static_cast<std::int64_t>(std::time(nullptr));
  identity.model = request.model.empty() ? model->name() : request.model;
  identity.fingerprint = model->fingerprint(options_.version);
  for (const Request& one : requests) identity.num_prompt += one.prompt.size();
  std::make_shared<GenerationSession>(sessions_, call.reply, std::move(request), model,
                                      std::move(identity))
      ->start(std::move(requests), prompts);
  return Ok{};
}

Result<std::vector<Request>> Server::engine_requests(const GenerationRequest& request,
                                                     const std::vector<PreparedPrompt>& prompts,
                                                     const ModelService& model,
                                                     const ServiceReply& reply) const {
  Request common;
  common.service_class = TRY(class_of(request.class_name, reply.record()));
  common.adapter = TRY(model.adapter(request.model));
  common.sampling = request.sampling;
  common.min_tokens = request.min_tokens;
  common.prompt_logprobs = request.prompt_logprobs;
  // Where a scored prompt is followed by one token, the end of a text is a token like others, with
  // its probability, as peers have it: clients count on so many entries.
  const bool is_last = request.prompt_logprobs && request.max_tokens == 1;
  if (!is_last) common.stop_ids = stops_of(request, model);
  common.salt = salt_of(request.cache_salt);
  common.deadline = deadline_of(request.timeout, reply);
  const AnswerFormat& format = model.answer_format();
  std::vector<Request> requests;
  for (const PreparedPrompt& prompt : prompts) {
    requests.push_back(common);
    requests.back().prompt = prompt.ids;
    requests.back().max_tokens = model.max_tokens(request, prompt);
    const ReasoningStart start =
        format.reasoning ? reasoning_start(*format.reasoning, prompt.text) : ReasoningStart::kOver;
    const std::optional<ConstraintSpec> spec = TRY(constraint_choice(request, format, start));
    if (spec) requests.back().constraint = TRY(model.constraint(*spec));
  }
  return requests;
}

TimePoint Server::deadline_of(const std::optional<Duration>& timeout,
                              const ServiceReply& reply) const {
  const Duration time_max = limits()->sessions.request_time_max;
  return reply.arrival() + std::min(timeout.value_or(time_max), time_max);
}

void Server::embeddings(Call& call) {
  const Status status = begin_embeddings(call);
  if (!status.ok()) call.reply->error(api_error(status.error()));
}

Status Server::begin_embeddings(Call& call) {
  const OrderedJson body = TRY(parse_body(call.request.body, call.limits->api));
  EmbeddingRequest request = TRY(parse_embedding(body, call.limits->api));
  const std::shared_ptr<const ModelService> model = TRY(model_for(request.model, call));
  Request common;
  common.service_class = TRY(class_of(request.class_name, call.reply->record()));
  common.adapter = TRY(model->adapter(request.model));
  common.pooling = model->facts().pooling;
  common.salt = salt_of(request.cache_salt);
  common.deadline = deadline_of(request.timeout, *call.reply);
  std::vector<std::vector<TokenId>> inputs = TRY(model->input_ids(request));
  if (const std::optional<ApiError> error = context_refusal(inputs, *model)) {
    call.reply->error(*error);
    return Ok{};
  }
  std::vector<Request> requests;
  for (std::vector<TokenId>& ids : inputs) {
    requests.push_back(common);
    requests.back().prompt = std::move(ids);
  }
  call.reply->record().user = request.user;
  call.reply->record().class_name = options_.classes[common.service_class.index].name;
  std::string name = request.model.empty() ? model->name() : request.model;
  std::make_shared<EmbeddingSession>(sessions_, call.reply, std::move(request), model,
                                     std::move(name))
      ->start(std::move(requests));
  return Ok{};
}

Result<ClassId> Server::class_of(const std::optional<std::string>& asked,
                                 const RequestRecord& record) const {
  // What the key says holds, then what the request says.
  const std::string wanted = !record.class_name.empty() ? record.class_name : asked.value_or("");
  if (wanted.empty()) return ClassId{0};
  for (std::size_t i = 0; i < options_.classes.size(); ++i) {
    if (options_.classes[i].name == wanted) return ClassId{static_cast<std::uint32_t>(i)};
  }
  std::string names;
  for (const ServiceClass& known : options_.classes) {
    names += (names.empty() ? "" : ", ") + known.name;
  }
  return Error{ErrorCode::kInvalidArgument, "priority is " + wanted + ", expected one of " + names};
}

}  // namespace millrace
