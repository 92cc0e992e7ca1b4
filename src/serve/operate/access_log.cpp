// The table of fields, and the log.
#include "serve/operate/access_log.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json.h"

namespace millrace {
namespace {

struct FieldRow {
  const char* name;
  // Null: the request has no such thing.
  OrderedJson (*value)(const RequestRecord& record, WallTime now);
};

OrderedJson text_or_null(const std::string& text) {
  return text.empty() ? OrderedJson() : OrderedJson(text);
}

// Microseconds are enough, and keep lines short.
OrderedJson rounded_seconds(Duration time) {
  return static_cast<double>(std::chrono::round<std::chrono::microseconds>(time).count()) / 1e6;
}

using Record = const RequestRecord&;

constexpr std::array kFields = {
    FieldRow{"time", [](Record, WallTime now) -> OrderedJson { return utc_text(now); }},
    FieldRow{"request_id", [](Record r, WallTime) { return text_or_null(r.request_id); }},
    FieldRow{"client", [](Record r, WallTime) { return text_or_null(r.peer); }},
    FieldRow{"method", [](Record r, WallTime) { return text_or_null(r.method); }},
    FieldRow{"path", [](Record r, WallTime) { return text_or_null(r.path); }},
    FieldRow{"status", [](Record r, WallTime) -> OrderedJson { return r.status; }},
    FieldRow{"model", [](Record r, WallTime) { return text_or_null(r.model); }},
    FieldRow{"class", [](Record r, WallTime) { return text_or_null(r.class_name); }},
    FieldRow{"key", [](Record r, WallTime) { return text_or_null(r.key_name); }},
    FieldRow{"user", [](Record r, WallTime) { return text_or_null(r.user); }},
    FieldRow{"stream", [](Record r, WallTime) -> OrderedJson { return r.is_stream; }},
    FieldRow{"cut_off", [](Record r, WallTime) -> OrderedJson { return r.was_cut_off; }},
    FieldRow{"finish", [](Record r, WallTime) { return text_or_null(r.finish); }},
    FieldRow{"choices", [](Record r, WallTime) -> OrderedJson { return r.num_choices; }},
    FieldRow{"prompt_tokens",
             [](Record r, WallTime) -> OrderedJson { return r.num_prompt_tokens; }},
    FieldRow{"cached_tokens",
             [](Record r, WallTime) -> OrderedJson { return r.num_cached_tokens; }},
    FieldRow{"output_tokens",
             [](Record r, WallTime) -> OrderedJson { return r.num_completion_tokens; }},
    FieldRow{
        "queue_seconds",
        [](Record r, WallTime) { return r.queued ? rounded_seconds(*r.queued) : OrderedJson(); }},
    FieldRow{"first_token_seconds",
             [](Record r, WallTime) {
               return r.first_token ? rounded_seconds(*r.first_token) : OrderedJson();
             }},
    FieldRow{"total_seconds", [](Record r, WallTime) { return rounded_seconds(r.total); }},
    FieldRow{"error", [](Record r, WallTime) { return text_or_null(r.error); }},
};

}  // namespace

std::vector<std::string> access_fields() {
  std::vector<std::string> names;
  for (const FieldRow& row : kFields) names.emplace_back(row.name);
  return names;
}

std::string access_line(const RequestRecord& record, const std::vector<std::string>& fields,
                        WallTime now) {
  OrderedJson line = OrderedJson::object();
  for (const std::string& name : fields.empty() ? access_fields() : fields) {
    const auto row = std::find_if(kFields.begin(), kFields.end(),
                                  [&](const FieldRow& known) { return known.name == name; });
    CHECK(row != kFields.end());
    OrderedJson value = row->value(record, now);
    if (!value.is_null()) line.push_back({name, std::move(value)});
  }
  return line.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

Result<std::unique_ptr<AccessLog>> AccessLog::open(const AccessLogConfig& config) {
  std::unique_ptr<LineWriter> writer =
      TRY(LineWriter::open({.path = config.path, .queued_lines_max = config.queued_lines_max}));
  return std::unique_ptr<AccessLog>(new AccessLog(config, std::move(writer)));
}

void AccessLog::request_ended(const RequestRecord& record) {
  std::vector<std::string> fields;
  {
    const std::lock_guard lock(mutex_);
    fields = fields_;
  }
  writer_->try_write(access_line(record, fields, wall_now()));
}

void AccessLog::reopen(const AccessLogConfig& config) {
  {
    const std::lock_guard lock(mutex_);
    fields_ = config.fields;
  }
  writer_->reopen(config.path);
}

}  // namespace millrace
