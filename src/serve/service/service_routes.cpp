// Routes that generate nothing: health, models, tokens, templates. Models are shared with the
// directory while a request uses them.
#include <utility>

#include "serve/service/server.h"

namespace millrace {
namespace {

// `name` is the model's own or an adapter's.
OrderedJson model_json(const ModelService& model, const std::string& name) {
  OrderedJson json = {{"id", name},
                      {"object", "model"},
                      {"created", model.loaded_at()},
                      {"owned_by", "millrace"},
                      {"max_model_len", model.facts().context_tokens}};
  if (name != model.name()) json["parent"] = model.name();
  return json;
}

std::string text_of(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace

void Server::live(Call& call) {
  call.reply->json(R"({"status":"ok"})");
}

void Server::ready(Call& call) {
  switch (state_.load()) {
    case ServerState::kReady:
      return call.reply->json(R"({"status":"ok"})");
    case ServerState::kLoading:
      return call.reply->send({.status = 503, .body = R"({"status":"loading"})"});
    case ServerState::kDraining:
      return call.reply->send({.status = 503, .body = R"({"status":"draining"})"});
  }
}

void Server::version(Call& call) {
  call.reply->json(text_of(OrderedJson{{"version", options_.version}}));
}

void Server::metrics(Call& call) {
  if (hooks_.metrics == nullptr) {
    return call.reply->error(api_error(404, "metrics are not served here"));
  }
  call.reply->send(
      {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = hooks_.metrics->text()});
}

void Server::list_models(Call& call) {
  OrderedJson data = OrderedJson::array();
  for (const auto& model : directory_.models()) {
    data.push_back(model_json(*model, model->name()));
    if (model->facts().adapters == nullptr) continue;
    for (const AdapterStatus& adapter : model->facts().adapters->adapters()) {
      data.push_back(model_json(*model, adapter.name));
    }
  }
  call.reply->json(text_of(OrderedJson{{"object", "list"}, {"data", std::move(data)}}));
}

void Server::show_model(Call& call) {
  const std::string name = call.request.path.substr(std::string_view("/v1/models/").size());
  const auto model = directory_.find(name);
  if (!model.ok()) return call.reply->error(api_error(model.error()));
  call.reply->json(text_of(model_json(*model.value(), name)));
}

Result<std::shared_ptr<const ModelService>> Server::model_for(const std::string& name,
                                                              Call& call) const {
  std::shared_ptr<const ModelService> model = TRY(directory_.find(name));
  call.reply->record().model = model->name();
  const std::string& asked = name.empty() ? model->name() : name;  // which may be an adapter's
  if (hooks_.gate != nullptr) TRY(hooks_.gate->admit_model(call.reply->record(), asked));
  return model;
}

namespace {

Result<std::string> tokens_text(const TokenizeRequest& request, const ModelService& model) {
  std::vector<TokenId> ids;
  if (const auto* chat = std::get_if<ChatPrompt>(&request.prompt)) {
    PreparedPrompt prompt = TRY(model.chat_prompt(*chat));
    ids = std::move(prompt.ids);
  } else {
    EncodeOptions options;
    options.add_special = request.adds_special_tokens ? AddSpecial::kYes : AddSpecial::kNo;
    options.parse_special = request.parses_special_tokens ? ParseSpecial::kYes : ParseSpecial::kNo;
    ids = TRY(model.tokenizer().encode(std::get<std::string>(request.prompt), options));
  }
  std::vector<std::string> pieces;
  if (request.shows_pieces) {
    for (const TokenId id : ids) pieces.emplace_back(model.tokenizer().piece(id));
  }
  return tokenize_body(ids, pieces, request, model.facts().context_tokens);
}

void answer(const ServiceReplyRef& reply, Result<std::string> body) {
  if (!body.ok()) return reply->error(api_error(body.error()));
  reply->json(std::move(body).value());
}

}  // namespace

void Server::tokenize(Call& call) {
  const auto body = [&]() -> Result<std::string> {
    const OrderedJson json = TRY(parse_body(call.request.body, call.limits->api));
    const TokenizeRequest request = TRY(parse_tokenize(json, call.limits->api));
    const std::shared_ptr<const ModelService> model = TRY(model_for(request.model, call));
    return tokens_text(request, *model);
  };
  answer(call.reply, body());
}

void Server::detokenize(Call& call) {
  const auto body = [&]() -> Result<std::string> {
    const OrderedJson json = TRY(parse_body(call.request.body, call.limits->api));
    const DetokenizeRequest request = TRY(parse_detokenize(json, call.limits->api));
    const std::shared_ptr<const ModelService> model = TRY(model_for(request.model, call));
    const std::string text =
        TRY(model->tokenizer().decode(request.tokens, {.skip_special = SkipSpecial::kNo}));
    return detokenize_body(text);
  };
  answer(call.reply, body());
}

void Server::apply_template(Call& call) {
  const auto body = [&]() -> Result<std::string> {
    const OrderedJson json = TRY(parse_body(call.request.body, call.limits->api));
    const GenerationRequest request = TRY(
        parse_generation(ApiDialect::kChat, json, {.limits = call.limits->api, .sampling = {}}));
    const std::shared_ptr<const ModelService> model = TRY(model_for(request.model, call));
    return apply_template_body(TRY(model->render(std::get<ChatPrompt>(request.prompt))));
  };
  answer(call.reply, body());
}

void Server::count_tokens(Call& call) {
  const auto body = [&]() -> Result<std::string> {
    OrderedJson json = TRY(parse_body(call.request.body, call.limits->api));
    // The only field of messages that this one need not have.
    if (json.is_object() && !json.contains("max_tokens")) json["max_tokens"] = 1u;
    const GenerationRequest request = TRY(parse_generation(
        ApiDialect::kMessages, json, {.limits = call.limits->api, .sampling = {}}));
    const std::shared_ptr<const ModelService> model = TRY(model_for(request.model, call));
    const PreparedPrompt prompt = TRY(model->chat_prompt(std::get<ChatPrompt>(request.prompt)));
    return count_tokens_body(prompt.ids.size());
  };
  answer(call.reply, body());
}

}  // namespace millrace
