// Routes of the admin listener about models, adapters and classes.
#include <array>

#include "base/clock.h"
#include "serve/operate/admin_body.h"
#include "serve/operate/admin_server.h"

namespace millrace {
namespace {

constexpr std::array<std::string_view, 3> kStates = {"loading", "serving", "retiring"};

OrderedJson seconds_or_null(const std::optional<Duration>& time) {
  return time ? OrderedJson(seconds(*time)) : OrderedJson();
}

// How a class stands in one model.
OrderedJson class_in_model(const ModelStatus& model, std::size_t index) {
  const ClassStats& stats = model.stats.classes[index];
  const ClassDoor& door = model.stats.doors[index];
  return {{"model", model.name},
          {"share_now", stats.share_part},
          {"running", stats.num_running},
          {"waiting", door.num_requests},
          {"waiting_prompt_tokens", door.num_tokens},
          {"kv_blocks", stats.num_blocks},
          {"preemptions", stats.counts.num_preemptions}};
}

// The text of a value as the configuration writes it.
Result<std::string> setting_text(const std::string& key, const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  return Error{ErrorCode::kInvalidArgument, key + " is no text and no number"};
}

}  // namespace

Result<OrderedJson> AdminServer::list_models(const Json&) {
  OrderedJson models = OrderedJson::array();
  for (const ModelStatus& model : actions_.models()) {
    models.push_back({{"name", model.name},
                      {"state", kStates.at(static_cast<std::size_t>(model.state))},
                      {"bytes", model.num_bytes},
                      {"running", model.num_live}});
  }
  return OrderedJson{{"models", std::move(models)}};
}

Result<OrderedJson> AdminServer::load_model(const Json& body) {
  const std::string name = TRY(required_text(body, "name"));
  const std::string path = TRY(text_at(body, "path"));
  TRY(actions_.load_model(name, path));
  return admin_done();
}

Result<OrderedJson> AdminServer::unload_model(const Json& body) {
  const std::string name = TRY(required_text(body, "name"));
  TRY(actions_.retire_model(name));
  return admin_done();
}

Result<OrderedJson> AdminServer::list_adapters(const Json&) {
  OrderedJson adapters = OrderedJson::array();
  for (const AdapterOfModel& entry : actions_.adapters()) {
    adapters.push_back({{"name", entry.adapter.name},
                        {"model", entry.model},
                        {"path", entry.adapter.path},
                        {"rank", entry.adapter.rank_max},
                        {"bytes", entry.adapter.num_bytes},
                        {"running", entry.adapter.num_users}});
  }
  return OrderedJson{{"adapters", std::move(adapters)}};
}

Result<OrderedJson> AdminServer::load_adapter(const Json& body) {
  const std::string name = TRY(required_text(body, "name"));
  const std::string path = TRY(required_text(body, "path"));
  const std::string model = TRY(text_at(body, "model"));
  TRY(actions_.load_adapter(model, name, path));
  return admin_done();
}

Result<OrderedJson> AdminServer::unload_adapter(const Json& body) {
  const std::string name = TRY(required_text(body, "name"));
  TRY(actions_.unload_adapter(name));
  return admin_done();
}

Result<OrderedJson> AdminServer::list_classes(const Json&) {
  const std::vector<ServiceClass> classes = actions_.classes();
  const std::vector<ModelStatus> models = actions_.models();
  const std::vector<double> parts = share_parts(classes);
  OrderedJson list = OrderedJson::array();
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const ServiceClass& one = classes[i];
    OrderedJson stands = OrderedJson::array();
    for (const ModelStatus& model : models) {
      if (model.state != ModelState::kLoading) stands.push_back(class_in_model(model, i));
    }
    list.push_back({{"name", one.name},
                    {"share", parts[i]},
                    {"share_min", one.share_min},
                    {"share_max", one.share_max},
                    {"first_token_target_seconds", seconds(one.first_token_target)},
                    {"token_target_seconds", seconds_or_null(one.token_target)},
                    {"queued_requests_max", one.queued_requests_max},
                    {"queued_tokens_max", one.queued_tokens_max},
                    {"queue_wait_max_seconds", seconds_or_null(one.queue_wait_max)},
                    {"cache_priority", one.cache_priority},
                    {"models", std::move(stands)}});
  }
  OrderedJson moves = OrderedJson::array();
  for (const ModelStatus& model : models) {
    if (!model.last_share_decision) continue;
    moves.push_back(
        {{"model", model.name}, {"decision", describe(*model.last_share_decision, classes)}});
  }
  return OrderedJson{{"classes", std::move(list)}, {"last_share_moves", std::move(moves)}};
}

Result<OrderedJson> AdminServer::change_class(const Json& body) {
  const std::string name = TRY(required_text(body, "name"));
  ClassChanges changes;
  for (const auto& [key, value] : body.items()) {
    if (key == "name") continue;
    const std::string text = TRY(setting_text(key, value));
    changes.emplace_back(key, text);
  }
  if (changes.empty()) return Error{ErrorCode::kInvalidArgument, "there is nothing to change"};
  TRY(actions_.change_class(name, changes));
  return admin_done();
}

}  // namespace millrace
