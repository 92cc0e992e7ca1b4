// Keys of a training spec.
#include "train/train_spec.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/quantity.h"

namespace millrace {
namespace {

constexpr double kCountMax = 1e15;

// A map whose keys are all asked for, by name; what is left over is refused.
class SpecMap {
 public:
  SpecMap(const OrderedJson& json, std::string where) : json_(&json), where_(std::move(where)) {}

  Status check_is_map() const {
    if (json_->is_object()) return Ok{};
    return Error{ErrorCode::kInvalidArgument, where_ + ": expected a map of keys"};
  }
  const OrderedJson* find(const std::string& key) {
    known_.push_back(key);
    const auto found = json_->find(key);
    return found == json_->end() || found->is_null() ? nullptr : &*found;
  }
  Error wrong(const std::string& key, const std::string& expected) const {
    const std::string found = json_->contains(key) ? (*json_)[key].dump().substr(0, 80) : "nothing";
    return Error{ErrorCode::kInvalidArgument,
                 where_ + ": " + key + " is " + found + ", expected " + expected};
  }

  Status read(const std::string& key, std::string& text) {
    const OrderedJson* value = find(key);
    if (value == nullptr) return Ok{};
    if (!value->is_string()) return wrong(key, "a text");
    text = value->get<std::string>();
    return Ok{};
  }
  Status read(const std::string& key, double& number, double least, double most) {
    const OrderedJson* value = find(key);
    if (value == nullptr) return Ok{};
    if (!value->is_number() || !(value->get<double>() >= least) ||
        !(value->get<double>() <= most)) {
      return wrong(
          key, "a number from " + OrderedJson(least).dump() + " to " + OrderedJson(most).dump());
    }
    number = value->get<double>();
    return Ok{};
  }
  template <class Count>
  Status read_count(const std::string& key, Count& count, double least = 1.0) {
    auto number = static_cast<double>(count);
    TRY(read(key, number, least, kCountMax));
    if (number != std::floor(number)) return wrong(key, "a whole number");
    count = static_cast<Count>(number);
    return Ok{};
  }
  Status read(const std::string& key, Duration& duration) {
    std::string text;
    TRY(read(key, text));
    if (text.empty()) return Ok{};
    const Result<Duration> parsed = parse_duration(text);
    if (!parsed.ok()) return wrong(key, "a time like 5m");
    duration = parsed.value();
    return Ok{};
  }
  template <class Choice>
  Status read_choice(const std::string& key, Choice& choice,
                     const std::vector<std::pair<std::string, Choice>>& names) {
    std::string text;
    TRY(read(key, text));
    if (text.empty()) return Ok{};
    std::string all;
    for (const auto& [name, value] : names) {
      all += (all.empty() ? "" : ", ") + name;
      if (name != text) continue;
      choice = value;
      return Ok{};
    }
    return wrong(key, "one of " + all);
  }
  // Last: whatever was not asked for.
  Status check_known() const {
    std::string all;
    for (const std::string& key : known_) all += (all.empty() ? "" : ", ") + key;
    for (const auto& [key, value] : json_->items()) {
      if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
      return Error{ErrorCode::kInvalidArgument,
                   where_ + ": there is no key " + key + "; known are " + all};
    }
    return Ok{};
  }
  const std::string& where() const { return where_; }

 private:
  const OrderedJson* json_;
  std::string where_;
  std::vector<std::string> known_;
};

Result<std::vector<CorpusFile>> read_files(SpecMap& spec, const std::string& key) {
  std::vector<CorpusFile> files;
  const OrderedJson* list = spec.find(key);
  if (list == nullptr) return files;
  if (!list->is_array()) return spec.wrong(key, "a list of files");
  for (const OrderedJson& item : *list) {
    CorpusFile file;
    if (item.is_string()) {
      file.path = item.get<std::string>();
    } else {
      SpecMap map(item, spec.where() + ": " + key);
      TRY(map.check_is_map());
      TRY(map.read("path", file.path));
      TRY(map.read("weight", file.weight, 0.0, 1000.0));
      TRY(map.read("separator", file.separator));
      TRY(map.check_known());
    }
    if (file.path.empty()) return spec.wrong(key, "a path for each file");
    files.push_back(std::move(file));
  }
  return files;
}

Status read_optimizer(SpecMap& spec, TrainOptions& options) {
  const OrderedJson* json = spec.find("optimizer");
  if (json == nullptr) return Ok{};
  SpecMap map(*json, spec.where() + ": optimizer");
  TRY(map.check_is_map());
  TRY(map.read("beta1", options.optimizer.beta1, 0.0, 0.9999));
  TRY(map.read("beta2", options.optimizer.beta2, 0.0, 0.99999));
  TRY(map.read("eps", options.optimizer.eps, 1e-16, 1.0));
  TRY(map.read("weight_decay", options.optimizer.weight_decay, 0.0, 10.0));
  TRY(map.read("gradient_norm_max", options.gradient_norm_max, 1e-6, 1e6));
  return map.check_known();
}

Status read_schedule(SpecMap& spec, ScheduleOptions& schedule) {
  const OrderedJson* json = spec.find("schedule");
  if (json == nullptr) return Ok{};
  SpecMap map(*json, spec.where() + ": schedule");
  TRY(map.check_is_map());
  TRY(map.read_choice<ScheduleKind>("kind", schedule.kind,
                                    {{"cosine", ScheduleKind::kCosine},
                                     {"stable-decay", ScheduleKind::kStableDecay},
                                     {"constant", ScheduleKind::kConstant}}));
  TRY(map.read("learning_rate", schedule.peak, 0.0, 10.0));
  TRY(map.read_count("warmup_steps", schedule.warmup_steps, 0.0));
  TRY(map.read("decay_fraction", schedule.decay_fraction, 0.0, 1.0));
  TRY(map.read("final_fraction", schedule.final_fraction, 0.0, 1.0));
  return map.check_known();
}

Status read_distill(SpecMap& spec, TrainSpec& out) {
  TRY(spec.read("teacher", out.teacher));
  const OrderedJson* json = spec.find("distill");
  if (out.teacher.empty()) {
    return json == nullptr ? Status(Ok{}) : Status(spec.wrong("teacher", "one to distill from"));
  }
  DistillOptions distill;
  if (json != nullptr) {
    SpecMap map(*json, spec.where() + ": distill");
    TRY(map.check_is_map());
    TRY(map.read("weight", distill.weight, 0.0, 1.0));
    TRY(map.read("temperature", distill.temperature, 0.01, 100.0));
    TRY(map.read_count("top_k", distill.top_k));
    TRY(map.check_known());
  }
  out.options.distill = distill;
  return Ok{};
}

Status read_model(SpecMap& spec, TrainSpec& out) {
  const OrderedJson* model = spec.find("model");
  if (model != nullptr && model->is_object()) {
    out.model_config = *model;
  } else if (model != nullptr && model->is_string()) {
    out.initial_model = model->get<std::string>();
  } else {
    return spec.wrong("model", "the keys of a config.json, or a checkpoint to begin with");
  }
  return Ok{};
}

Status read_machine(SpecMap& spec, TrainOptions& options) {
  TRY(spec.read_choice<Precision>(
      "precision", options.precision,
      {{"auto", Precision::kAuto}, {"f32", Precision::kF32}, {"bf16", Precision::kBF16}}));
  TRY(spec.read_choice<TrainDevice>(
      "device", options.device,
      {{"auto", TrainDevice::kAuto}, {"cpu", TrainDevice::kCpu}, {"cuda", TrainDevice::kCuda}}));
  TRY(spec.read_choice<TrainQuantization>("quantization", options.quantization,
                                          {{"none", TrainQuantization::kNone},
                                           {"int8", TrainQuantization::kInt8},
                                           {"int4", TrainQuantization::kInt4}}));
  return spec.read_count("threads", options.num_threads, 0.0);
}

Status read_steps(SpecMap& spec, TrainOptions& options) {
  TRY(spec.read_count("seed", options.seed, 0.0));
  TRY(spec.read_count("steps", options.num_steps));
  TRY(spec.read_count("context", options.context));
  TRY(spec.read_count("step_rows", options.step_rows));
  TRY(spec.read_count("micro_rows", options.micro_rows));
  TRY(spec.read("balance_weight", options.balance_weight, 0.0, 100.0));
  TRY(spec.read_count("log_steps", options.log_steps));
  TRY(spec.read_count("evaluate_steps", options.evaluate_steps, 0.0));
  TRY(spec.read_count("evaluate_rows", options.evaluate_rows));
  TRY(spec.read("checkpoint_time", options.checkpoint_time));
  return spec.read_count("checkpoint_steps", options.checkpoint_steps, 0.0);
}

}  // namespace

Result<TrainSpec> parse_train_spec(const OrderedJson& json, const std::string& name) {
  TrainSpec out;
  SpecMap spec(json, name);
  TRY(spec.check_is_map());
  TRY(read_model(spec, out));
  TRY(spec.read("tokenizer", out.tokenizer));
  if (out.tokenizer.empty()) return spec.wrong("tokenizer", "a folder with a tokenizer.json");
  TRY(spec.read("output", out.output));
  if (out.output.empty()) return spec.wrong("output", "a folder for the run");
  out.data = TRY(read_files(spec, "data"));
  if (out.data.empty()) return spec.wrong("data", "a list of files");
  out.held_out = TRY(read_files(spec, "held_out"));
  TRY(read_steps(spec, out.options));
  TRY(read_optimizer(spec, out.options));
  TRY(read_schedule(spec, out.options.schedule));
  TRY(read_machine(spec, out.options));
  TRY(read_distill(spec, out));
  TRY(spec.check_known());
  return out;
}

}  // namespace millrace
