// The program millrace-train: `millrace train` and `millrace distill`.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <system_error>

#include "base/file.h"
#include "base/quantity.h"
#include "cli/checkpoint_output.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/model_text.h"
#include "cli/quantity.h"
#ifdef MILLRACE_WITH_SERVER
#include "cli/trainer/yaml_json.h"
#endif
#include "model/read_spec.h"
#include "train/initial_weights.h"
#include "train/train_spec.h"
#include "train/trainer.h"

namespace millrace {
namespace {

constexpr std::uint64_t kSpecBytesMax = 1u << 20;

struct CommandOptions {
  std::string spec;
  std::string output;
  std::string teacher;
  std::string student;
  std::string stop_after;
};

Result<OrderedJson> read_spec_file(const std::string& path) {
  const std::string text = TRY(read_file(path, kSpecBytesMax));
#ifdef MILLRACE_WITH_SERVER
  if (!path.ends_with(".json")) return json_of_yaml(TRY(parse_yaml(text, path)));
#else
  if (!path.ends_with(".json")) {
    return Error{ErrorCode::kUnsupported,
                 path + ": this build reads no YAML (yaml-cpp was not found); write it as .json"};
  }
#endif
  return parse_ordered_json(text, path);
}

// Relative paths of a spec start at its own folder.
void resolve(const std::string& spec, std::string& path) {
  if (path.empty()) return;
  path = (std::filesystem::path(spec).parent_path() / path).lexically_normal();
}

// Those of the command line start where it was typed.
std::string typed_path(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

Result<std::vector<TokenData>> read_data(std::vector<CorpusFile>& files, const std::string& spec,
                                         const CorpusText& text) {
  std::vector<TokenData> data;
  for (CorpusFile& file : files) {
    resolve(spec, file.path);
    data.push_back(TRY(read_corpus(file, text)));
    std::fprintf(stderr, "%s: %s tokens in %zu documents\n", file.path.c_str(),
                 show_count(data.back().num_tokens()).c_str(), data.back().documents().size());
  }
  return data;
}

std::vector<CorpusPart> parts_of(const std::vector<TokenData>& data,
                                 const std::vector<CorpusFile>& files) {
  std::vector<CorpusPart> parts;
  for (std::size_t i = 0; i < data.size(); ++i) parts.push_back({&data[i], files[i].weight});
  return parts;
}

// Everything that a TrainJob borrows.
struct Loaded {
  TrainSpec spec;
  OrderedJson json;
  TokenizerSpec tokenizer;
  std::vector<TokenData> data, held_out;
  ModelSpec model;
  std::optional<Checkpoint> initial, teacher;
  std::optional<ModelSpec> teacher_model;
};

Status load_model(Loaded& loaded, const std::string& path) {
  if (loaded.spec.initial_model.empty()) {
    const Json config = TRY(parse_json(loaded.spec.model_config.dump(), path));
    loaded.model = TRY(spec_from_config(config, nullptr, path + ": model"));
    return Ok{};
  }
  resolve(path, loaded.spec.initial_model);
  loaded.initial.emplace(TRY(open_checkpoint(loaded.spec.initial_model)));
  if (loaded.initial->kind() != CheckpointKind::kHuggingFace) {
    return Error{ErrorCode::kUnsupported,
                 loaded.spec.initial_model + ": training begins with a Hugging Face folder"};
  }
  loaded.model = TRY(read_spec(*loaded.initial));
  loaded.spec.model_config =
      TRY(parse_ordered_json(loaded.initial->config().dump(), loaded.spec.initial_model));
  return Ok{};
}

Status check_vocabulary(const Tokenizer& tokenizer, const ModelSpec& model) {
  if (tokenizer.num_tokens() <= model.vocabulary) return Ok{};
  return Error{ErrorCode::kInvalidArgument,
               "the tokenizer has " + std::to_string(tokenizer.num_tokens()) +
                   " tokens, the model only " + std::to_string(model.vocabulary)};
}

Result<Loaded> load(const CommandOptions& options) {
  Loaded loaded;
  loaded.json = TRY(read_spec_file(options.spec));
  if (!options.teacher.empty()) loaded.json["teacher"] = typed_path(options.teacher);
  if (!options.student.empty()) loaded.json["model"] = typed_path(options.student);
  if (!options.output.empty()) loaded.json["output"] = typed_path(options.output);
  loaded.spec = TRY(parse_train_spec(loaded.json, options.spec));
  resolve(options.spec, loaded.spec.tokenizer);
  resolve(options.spec, loaded.spec.output);
  loaded.tokenizer = TRY(load_tokenizer_spec_at(loaded.spec.tokenizer));
  TRY(load_model(loaded, options.spec));
  const ModelText text = TRY(make_model_text(loaded.tokenizer));
  TRY(check_vocabulary(text.tokenizer, loaded.model));
  std::optional<ChatTemplate> chat;
  if (text.chat_template) chat.emplace(TRY(ChatTemplate::parse(*text.chat_template)));
  const CorpusText corpus{.tokenizer = &text.tokenizer,
                          .chat_template = chat ? &*chat : nullptr,
                          .bos_text = text.bos_text,
                          .eos_text = text.eos_text};
  loaded.data = TRY(read_data(loaded.spec.data, options.spec, corpus));
  loaded.held_out = TRY(read_data(loaded.spec.held_out, options.spec, corpus));
  if (!loaded.spec.teacher.empty()) {
    resolve(options.spec, loaded.spec.teacher);
    loaded.teacher.emplace(TRY(open_checkpoint(loaded.spec.teacher)));
    loaded.teacher_model = TRY(read_spec(*loaded.teacher));
  }
  return loaded;
}

// The settings and the sizes of the data; where things are put may change, and how often, and the
// number of threads, which only changes roundings.
std::string identity_of(const Loaded& loaded) {
  OrderedJson json = loaded.json;
  for (const char* key : {"output", "log_steps", "evaluate_steps", "evaluate_rows",
                          "checkpoint_time", "checkpoint_steps", "held_out", "threads"}) {
    json.erase(key);
  }
  for (const TokenData& data : loaded.data) json["data_tokens"].push_back(data.num_tokens());
  return json.dump();
}

void show(const TrainRecord& record, const TrainOptions& options) {
  std::string held_out;
  if (record.held_out_loss) held_out = ", held out " + std::to_string(*record.held_out_loss);
  std::fprintf(stderr, "step %zu of %zu: loss %.4f%s, %.0f tokens/s, %.0f min left\n", record.step,
               options.num_steps, record.loss, held_out.c_str(), record.tokens_per_second,
               record.seconds_left / 60.0);
}

Status run(const CommandOptions& options) {
  const Loaded loaded = TRY(load(options));
  std::vector<std::string> warnings;
  const ExportCompanions companions = TRY(
      tokenizer_companions(loaded.tokenizer, loaded.model, ExportLayout::kHuggingFace, warnings));
  const InitialWeights random(loaded.model, loaded.spec.options.seed);
  std::optional<CheckpointSource> initial, teacher;
  if (loaded.initial) initial.emplace(*loaded.initial, loaded.model);
  if (loaded.teacher) teacher.emplace(*loaded.teacher, *loaded.teacher_model);
  TrainJob job;
  job.spec = &loaded.model;
  job.config = &loaded.spec.model_config;
  job.initial = initial ? static_cast<const ExportSource*>(&*initial) : &random;
  job.teacher_spec = loaded.teacher_model ? &*loaded.teacher_model : nullptr;
  job.teacher = teacher ? &*teacher : nullptr;
  job.data = parts_of(loaded.data, loaded.spec.data);
  job.held_out = parts_of(loaded.held_out, loaded.spec.held_out);
  job.files = companions.files;
  job.identity = identity_of(loaded);
  job.options = loaded.spec.options;
  job.folder = loaded.spec.output;
  std::fprintf(stderr, "%s parameters\n", show_count(count_parameters(loaded.model).total).c_str());

  const SystemClock clock;
  std::optional<TimePoint> end;
  if (!options.stop_after.empty()) end = clock.now() + TRY(parse_duration(options.stop_after));
  catch_interrupts();
  const auto on_record = [&](const TrainRecord& record) {
    show(record, job.options);
    return !interrupt_flag() && (!end || clock.now() < *end);
  };
  const auto is_stopped = [] { return false; };
  const TrainOutcome outcome =
      TRY(run_training(job, {.clock = &clock, .on_record = on_record, .is_stopped = is_stopped}));
  if (outcome.is_finished) {
    std::printf("%s/model\n", job.folder.c_str());
  } else {
    std::fprintf(stderr, "stopped after step %zu of %zu; the same command goes on\n",
                 outcome.num_steps, job.options.num_steps);
  }
  return Ok{};
}

void add_options(CLI::App& command, CommandOptions& options) {
  command.add_option("spec", options.spec, "What to train, on what (YAML or JSON)")
      ->type_name("SPEC")
      ->required();
  command.add_option("-o,--output", options.output, "The run's folder, instead of the spec's")
      ->type_name("DIR");
  command
      .add_option("--stop-after", options.stop_after,
                  "End with a checkpoint after this time, like 55m")
      ->type_name("TIME");
}

constexpr const char* kFooter =
    "The run's folder gets log.jsonl, report.html, checkpoints/ and, at the end, model/, which\n"
    "`millrace run --model` takes. Stopped or killed, the same command goes on where the last\n"
    "checkpoint was, to the same losses. The keys of a spec are in src/train/README.md.";

int run_program(int argc, char** argv) {
  CLI::App app("Trains models for Millrace.", "millrace");
  app.require_subcommand(1);
  app.footer(kFooter);
  CommandOptions options;
  CLI::App* train = app.add_subcommand("train", "Train a model, as a spec says");
  add_options(*train, options);
  train->footer(kFooter);
  CLI::App* distill = app.add_subcommand("distill", "Train a student on a teacher's answers");
  add_options(*distill, options);
  distill->add_option("--teacher", options.teacher, "A checkpoint of the same vocabulary")
      ->type_name("PATH")
      ->required();
  distill->add_option("--student", options.student, "A checkpoint, instead of the spec's model")
      ->type_name("PATH");
  distill->footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  const Status status = run(options);
  if (status.ok()) return static_cast<int>(ExitCode::kOk);
  std::fprintf(stderr, "millrace: %s\n", status.error().message.c_str());
  return static_cast<int>(exit_code_of(status.error()));
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
#if defined(__GLIBC__)
  // Tensors of a pass come and go by the megabyte; a page fault for each page each time would cost
  // a third of a step. 32 MiB is the most that glibc takes.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
  return millrace::run_program(argc, argv);
}
