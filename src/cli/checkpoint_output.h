// The options of commands that write a checkpoint, and writing one with a progress bar and a
// summary.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"
#include "model/export.h"
#include "text/tokenizer_spec.h"

namespace millrace {

// As typed; empty means the default.
struct OutputOptions {
  std::string destination;
  std::string format;
  std::string to;
  std::string shard_size = "5GB";
  bool force = false;
};

void add_output_options(CLI::App& command, OutputOptions& options);

// A name that ends in .gguf is a GGUF file, everything else a folder; `to` overrides.
Result<ExportOptions> export_options_of(const OutputOptions& options);

// tokenizer.json and tokenizer_config.json, or GGUF keys, whichever the layout asks for. The spec
// of the tokenizer must outlive the companions; warnings go to `warnings`.
Result<ExportCompanions> tokenizer_companions(const TokenizerSpec& tokenizer, const ModelSpec& spec,
                                              ExportLayout layout,
                                              std::vector<std::string>& warnings);

// Writes with a progress bar; Ctrl-C ends it and leaves nothing behind.
Result<ExportReport> export_with_bar(const ExportModel& model, const ExportCompanions& companions,
                                     const std::string& destination, const ExportOptions& options);

// The same. Then prints the warnings,
// which companions may have added to meanwhile, and one line about what was written.
Status write_checkpoint(const ExportModel& model, const ExportCompanions& companions,
                        const std::string& destination, const ExportOptions& options,
                        const std::vector<std::string>& warnings);

}  // namespace millrace
