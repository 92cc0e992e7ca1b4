// Options, tokenizer files, progress and summary of written checkpoints.
#include "cli/checkpoint_output.h"

#include <cstdio>

#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "cli/quantity.h"
#include "formats/tokenizer_write_gguf.h"
#include "formats/tokenizer_write_json.h"

namespace millrace {
namespace {

constexpr int kIndent = 2;

ExportLayout layout_of(const OutputOptions& options) {
  if (options.to == "gguf") return ExportLayout::kGguf;
  if (options.to == "huggingface") return ExportLayout::kHuggingFace;
  return options.destination.ends_with(".gguf") ? ExportLayout::kGguf : ExportLayout::kHuggingFace;
}

std::string dump(const OrderedJson& json) {
  return json.dump(kIndent, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace

void add_output_options(CLI::App& command, OutputOptions& options) {
  command.add_option("--to", options.to, "What to write; the default is GGUF for a name in .gguf")
      ->check(CLI::IsMember({"gguf", "huggingface"}));
  command
      .add_option("--max-shard-size", options.shard_size,
                  "Split a folder's weights into files of at most this size (5GB)")
      ->type_name("SIZE");
  command.add_flag("--force", options.force,
                   "Replace the destination; a folder only if it holds a checkpoint");
}

Result<ExportOptions> export_options_of(const OutputOptions& options) {
  ExportOptions result;
  result.layout = layout_of(options);
  if (!options.format.empty() && options.format != "keep") {
    result.format = dtype_from_name(options.format);
    CHECK(result.format.has_value());  // The parser has checked it against the list.
  }
  result.shard_bytes_max = TRY(parse_bytes(options.shard_size));
  if (result.shard_bytes_max == 0) {
    return Error{ErrorCode::kInvalidArgument, "--max-shard-size is 0, expected 1 byte or more"};
  }
  result.overwrite = options.force ? Overwrite::kReplace : Overwrite::kRefuse;
  return result;
}

Result<ExportCompanions> tokenizer_companions(const TokenizerSpec& tokenizer, const ModelSpec& spec,
                                              ExportLayout layout,
                                              std::vector<std::string>& warnings) {
  ExportCompanions companions;
  if (layout == ExportLayout::kHuggingFace) {
    companions.files.push_back({"tokenizer.json", dump(TRY(tokenizer_json_of(tokenizer)))});
    companions.files.push_back(
        {"tokenizer_config.json", dump(tokenizer_config_json_of(tokenizer, spec.context_max))});
    return companions;
  }
  companions.add_gguf_keys = [&tokenizer, &spec,
                              &warnings](GgufMetadataBuilder& metadata) -> Status {
    const GgufTokenizerOptions options{
        .num_rows = spec.vocabulary, .bos_id = spec.bos_id, .eos_ids = spec.eos_ids};
    for (std::string& warning : TRY(add_tokenizer_metadata(tokenizer, options, metadata))) {
      warnings.push_back(std::move(warning));
    }
    return Ok{};
  };
  return companions;
}

Result<ExportReport> export_with_bar(const ExportModel& model, const ExportCompanions& companions,
                                     const std::string& destination, const ExportOptions& options) {
  catch_interrupts();
  ProgressBar bar("writing");
  return export_model(model, companions, destination, options,
                      [&bar](std::uint64_t done, std::uint64_t total) -> Status {
                        bar.update(done, total);
                        if (!interrupt_flag().load()) return Ok{};
                        return Error{ErrorCode::kCancelled, "interrupted; nothing was written"};
                      });
}

Status write_checkpoint(const ExportModel& model, const ExportCompanions& companions,
                        const std::string& destination, const ExportOptions& options,
                        const std::vector<std::string>& warnings) {
  const ExportReport report = TRY(export_with_bar(model, companions, destination, options));
  for (const auto* list : {&warnings, &report.warnings}) {
    for (const std::string& warning : *list) {
      std::fprintf(stderr, "millrace: note: %s\n", warning.c_str());
    }
  }
  if (report.num_kept > 0) {
    std::fprintf(stderr,
                 "millrace: note: %zu matrices keep the source's type, because their rows are no "
                 "multiple of the format's group\n",
                 report.num_kept);
  }
  std::printf("%s: %zu tensors, %s, mostly %s\n", destination.c_str(), report.num_tensors,
              show_bytes(report.num_bytes).c_str(),
              std::string(dtype_name(report.main_dtype)).c_str());
  return Ok{};
}

}  // namespace millrace
