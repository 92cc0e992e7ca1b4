// `millrace make-model DESTINATION --like NAME`: random weights at a published shape.
#include <cstdio>

#include "cli/checkpoint_output.h"
#include "cli/command.h"
#include "cli/quantity.h"
#include "model/public_shapes.h"
#include "model/random_weights.h"
#include "text/byte_tokenizer.h"

namespace millrace {
namespace {

struct MakeModelOptions {
  std::string like;
  std::uint64_t seed = 0;
  ShapeChanges changes;
  bool lists = false;
  bool as_json = false;
  OutputOptions output;
};

Status list_shapes(const MakeModelOptions& options) {
  OrderedJson json = OrderedJson::array();
  if (!options.as_json) std::printf("%-18s %10s %10s  %s\n", "name", "parameters", "active", "of");
  for (const PublicShape& shape : public_shapes()) {
    const ParameterCount count = count_parameters(MUST(spec_of(shape)));  // A table of ours.
    if (options.as_json) {
      json.push_back({{"name", shape.name},
                      {"repository", shape.repository},
                      {"architecture", shape.architecture},
                      {"parameters", count.total},
                      {"active_parameters", count.active}});
    } else {
      std::printf("%-18s %10s %10s  %s\n", std::string(shape.name).c_str(),
                  show_count(count.total).c_str(), show_count(count.active).c_str(),
                  std::string(shape.repository).c_str());
    }
  }
  if (options.as_json) std::printf("%s\n", json.dump().c_str());
  return Ok{};
}

Status check_given(const MakeModelOptions& options) {
  if (options.like.empty()) {
    return Error{ErrorCode::kInvalidArgument, "--like is missing: --list shows the names"};
  }
  if (!options.output.destination.empty()) return Ok{};
  return Error{ErrorCode::kInvalidArgument, "the destination is missing"};
}

Status make_model(MakeModelOptions options) {
  if (options.lists) return list_shapes(options);
  TRY(check_given(options));
  const PublicShape& shape = *TRY(find_public_shape(options.like));
  ModelSpec spec = TRY(spec_of(shape, options.changes));
  if (spec.vocabulary < kByteTokenizerTokens) {
    return Error{ErrorCode::kInvalidArgument,
                 "a vocabulary of " + std::to_string(spec.vocabulary) + " has no room for the " +
                     std::to_string(kByteTokenizerTokens) + " tokens of bytes, bos and eos"};
  }
  spec.bos_id = kByteTokenizerBos;
  spec.eos_ids = {kByteTokenizerEos};
  if (options.output.format.empty()) options.output.format = "bf16";
  const ExportOptions output = TRY(export_options_of(options.output));

  const TokenizerSpec tokenizer = byte_tokenizer_spec();
  std::vector<std::string> warnings;
  const ExportCompanions companions =
      TRY(tokenizer_companions(tokenizer, spec, output.layout, warnings));
  const ExportFacts facts = facts_of(shape);
  const RandomWeights weights(options.seed);
  const ExportModel model{.spec = &spec, .facts = &facts, .source = &weights};
  return write_checkpoint(model, companions, options.output.destination, output, warnings);
}

constexpr const char* kFooter =
    "Examples:\n"
    "  millrace make-model ./qwen --like qwen2.5-0.5b              1 GB of random bf16 weights\n"
    "  millrace make-model tiny.gguf --like llama-3.2-1b --layers 2 --format q4_0\n"
    "\n"
    "The same name, seed and changes make the same weights: nearly normal, deviation 0.02; norms\n"
    "are ones. The tokenizer is one of bytes (ids 0-255), <s> (256) and </s> (257); the ids above\n"
    "mean nothing, and there is no chat template. What such a model says is noise; how fast it\n"
    "says it is not.";

}  // namespace

void add_make_model_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("make-model", "Random weights at the shape of a published model");
  auto options = std::make_shared<MakeModelOptions>();
  command->add_option("destination", options->output.destination, "A folder, or a name in .gguf")
      ->type_name("PATH");
  command->add_option("--like", options->like, "The shape's name")->type_name("NAME");
  command
      ->add_option("--format", options->output.format,
                   "Type of the matrices (bf16); q8_0, q4_0 and q4_1 only in GGUF")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"}))
      ->type_name("FORMAT");
  command->add_option("--seed", options->seed, "Another seed, other weights (0)");
  command->add_option("--layers", options->changes.num_layers, "So many layers instead")
      ->type_name("N");
  command->add_option("--vocabulary", options->changes.vocabulary, "So many tokens instead")
      ->type_name("N");
  command->add_option("--context", options->changes.context, "So many positions instead")
      ->type_name("N");
  add_output_options(*command, options->output);
  command->add_flag("--list", options->lists, "Print the shapes and their parameters");
  command->add_flag("--json", options->as_json, "With --list: as JSON");
  command->footer(kFooter);
  command->callback([options, &action] { action = [options] { return make_model(*options); }; });
}

}  // namespace millrace
