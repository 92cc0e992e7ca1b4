// `millrace convert SOURCE DESTINATION`: from one checkpoint format to another.
#include <array>
#include <filesystem>

#include "base/file.h"
#include "cli/checkpoint_output.h"
#include "cli/command.h"
#include "cli/hub_models.h"
#include "cli/model_text.h"
#include "model/read_spec.h"

namespace millrace {
namespace {

struct ConvertOptions {
  std::string source;
  OutputOptions output;
};

// Everything that lies beside the weights of a folder and belongs to the model.
constexpr std::array<const char*, 12> kCopiedFiles = {
    "tokenizer.json", "tokenizer_config.json",   "tokenizer.model",     "tiktoken.model",
    "qwen.tiktoken",  "special_tokens_map.json", "added_tokens.json",   "vocab.json",
    "merges.txt",     "chat_template.json",      "chat_template.jinja", "generation_config.json",
};
constexpr std::uint64_t kCopiedBytesMax = 256ull << 20;

Result<ExportCompanions> copied_files(const std::string& folder) {
  ExportCompanions companions;
  for (const char* name : kCopiedFiles) {
    const std::string path = folder + "/" + name;
    if (!file_exists(path)) continue;
    companions.files.push_back({name, TRY(read_file(path, kCopiedBytesMax))});
  }
  return companions;
}

void warn_about_unused(const Checkpoint& checkpoint, const ModelSpec& spec,
                       std::vector<std::string>& warnings) {
  const std::vector<std::string> unused = unused_tensors(checkpoint, spec);
  if (unused.empty()) return;
  warnings.push_back(std::to_string(unused.size()) + " tensors such as " + unused.front() +
                     " have no part in " + spec.architecture + " and are left out");
}

Status check_apart(const std::string& source, const std::string& destination) {
  std::error_code ignored;
  if (!std::filesystem::equivalent(source, destination, ignored)) return Ok{};
  return Error{ErrorCode::kInvalidArgument, "source and destination are both " + source};
}

Status convert_with(const Checkpoint& checkpoint, const ModelSpec& spec,
                    const ConvertOptions& options) {
  if (checkpoint.packed() != nullptr) {
    return Error{ErrorCode::kUnsupported, checkpoint.path() +
                                              " is packed for the kernels of this program: convert "
                                              "the checkpoint that it came from"};
  }
  const ExportOptions output = TRY(export_options_of(options.output));
  const std::string& destination = options.output.destination;
  const ExportFacts facts = TRY(read_export_facts(checkpoint));
  const CheckpointSource tensors(checkpoint, spec);
  ExportModel model{.spec = &spec, .facts = &facts, .source = &tensors};
  std::vector<std::string> warnings;
  warn_about_unused(checkpoint, spec, warnings);

  const bool from_folder = checkpoint.kind() == CheckpointKind::kHuggingFace;
  if (from_folder && output.layout == ExportLayout::kHuggingFace) {
    const std::string path = checkpoint.folder() + "/config.json";
    const OrderedJson config = TRY(parse_ordered_json(TRY(read_file(path, kConfigBytesMax)), path));
    model.config = &config;
    const ExportCompanions companions = TRY(copied_files(checkpoint.folder()));
    return write_checkpoint(model, companions, destination, output, warnings);
  }
  Result<TokenizerSpec> tokenizer = load_model_tokenizer_spec(checkpoint);
  if (!tokenizer.ok() && tokenizer.error().code == ErrorCode::kNotFound) {
    warnings.push_back("there is no tokenizer: " + tokenizer.error().message);
    return write_checkpoint(model, {}, destination, output, warnings);
  }
  const TokenizerSpec tokenizer_spec = TRY(std::move(tokenizer));
  const ExportCompanions companions =
      TRY(tokenizer_companions(tokenizer_spec, spec, output.layout, warnings));
  return write_checkpoint(model, companions, destination, output, warnings);
}

Status convert(const ConvertOptions& options) {
  TRY(check_apart(options.source, options.output.destination));
  const std::string source = TRY(local_model(options.source));
  const Checkpoint checkpoint = TRY(open_checkpoint(source));
  const ModelSpec spec = TRY(read_spec(checkpoint));
  return convert_with(checkpoint, spec, options);
}

constexpr const char* kFooter =
    "Examples:\n"
    "  millrace convert ./Qwen2.5-0.5B qwen.gguf --format q8_0   a folder to GGUF, 8-bit\n"
    "  millrace convert model.gguf ./model --format bf16         GGUF to a folder\n"
    "  millrace convert ./model ./model-f32 --format f32         another type\n"
    "\n"
    "GGUF files have llama.cpp's keys and names; folders are what transformers reads. What a\n"
    "format cannot say is refused or noted by name. Vectors and routers stay f32 in GGUF.";

}  // namespace

void add_convert_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("convert", "Between Hugging Face folders, GGUF and (from) llama2.c");
  auto options = std::make_shared<ConvertOptions>();
  command->add_option("source", options->source, "A folder, .gguf or llama2.c .bin file")
      ->type_name("PATH")
      ->required();
  command->add_option("destination", options->output.destination, "A folder, or a name in .gguf")
      ->type_name("PATH")
      ->required();
  command
      ->add_option("--format", options->output.format,
                   "Type of the matrices (keep: as they are); q8_0, q4_0 and q4_1 only in GGUF")
      ->check(CLI::IsMember({"keep", "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"}))
      ->type_name("FORMAT");
  add_output_options(*command, options->output);
  command->footer(kFooter);
  command->callback([options, &action] { action = [options] { return convert(*options); }; });
}

}  // namespace millrace
