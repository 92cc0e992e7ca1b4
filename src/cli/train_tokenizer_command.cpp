// `millrace train-tokenizer FILE…`: a byte-level BPE vocabulary learned from text.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "cli/command.h"
#include "cli/progress_bar.h"
#include "formats/tokenizer_write_json.h"
#include "text/chat_template.h"
#include "train/bpe_trainer.h"
#include "train/corpus_text.h"

namespace millrace {
namespace {

constexpr std::uint64_t kTemplateBytesMax = 1u << 20;

// What most chat models use, in its plainest form.
constexpr const char* kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

struct TrainTokenizerOptions {
  std::vector<std::string> files;
  std::string output;
  std::string template_file;
  BpeOptions bpe;
};

Result<std::string> chat_template_of(const TrainTokenizerOptions& options) {
  if (options.template_file == "none") return std::string();
  std::string source = kChatMl;
  if (!options.template_file.empty()) {
    source = TRY(read_file(options.template_file, kTemplateBytesMax));
  }
  TRY(ChatTemplate::parse(source));
  return source;
}

Status read_files(const TrainTokenizerOptions& options, BpeTrainer& trainer) {
  std::uint64_t num_bytes = 0;
  for (const std::string& path : options.files) num_bytes += TRY(file_identity(path)).num_bytes;
  ProgressBar bar("reading");
  for (const std::string& path : options.files) {
    TRY(for_each_text(path, [&](std::string_view text) -> Status {
      TRY(trainer.add(text));
      bar.update(trainer.num_bytes(), num_bytes);
      return Ok{};
    }));
  }
  return Ok{};
}

Status train_tokenizer(const TrainTokenizerOptions& options) {
  const std::string chat_template = TRY(chat_template_of(options));
  BpeTrainer trainer = TRY(BpeTrainer::create(options.bpe));
  TRY(read_files(options, trainer));
  TokenizerSpec spec = trainer.train();
  if (!chat_template.empty()) spec.chat_templates.push_back({"", chat_template});
  constexpr std::size_t kContextTokens = 1'000'000;  // Whatever the model: it says so itself.
  std::error_code error;
  std::filesystem::create_directories(options.output, error);
  if (error) return Error{ErrorCode::kUnavailable, options.output + ": " + error.message()};
  TRY(write_file(options.output + "/tokenizer.json", TRY(tokenizer_json_of(spec)).dump(1) + "\n"));
  TRY(write_file(options.output + "/tokenizer_config.json",
                 tokenizer_config_json_of(spec, kContextTokens).dump(2) + "\n"));
  std::printf("%s: %zu tokens from %zu distinct words of %.1f MB\n", options.output.c_str(),
              spec.pieces.size(), trainer.num_words(),
              static_cast<double>(trainer.num_bytes()) / 1e6);
  return Ok{};
}

constexpr const char* kFooter =
    "Examples:\n"
    "  millrace train-tokenizer books.txt chats.jsonl --vocabulary 8192 --output ./tokenizer\n"
    "\n"
    "A .jsonl file holds one {\"text\": …} or {\"messages\": […]} per line; anything else is "
    "text.\n"
    "Any text comes back byte for byte. The same files and options give the same vocabulary.";

}  // namespace

void add_train_tokenizer_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("train-tokenizer", "Learn a byte-level BPE vocabulary from text");
  auto options = std::make_shared<TrainTokenizerOptions>();
  command->add_option("files", options->files, "Text and .jsonl files")
      ->type_name("FILE")
      ->required();
  command->add_option("-o,--output", options->output, "The folder that gets tokenizer.json")
      ->type_name("DIR")
      ->required();
  command->add_option("--vocabulary", options->bpe.vocabulary, "Tokens at most (8192)")
      ->type_name("N");
  command->add_option("--pair-count-min", options->bpe.pair_count_min,
                      "Pairs that are rarer are not merged (2)");
  command->add_option("--pattern", options->bpe.word_pattern, "How text is cut into words")
      ->type_name("REGEX");
  command->add_option("--special", options->bpe.special_tokens,
                      "Special tokens, the first one eos (<|endoftext|> <|im_start|> <|im_end|>)");
  command->add_option("--template", options->template_file,
                      "A Jinja chat template instead of ChatML's, or none");
  command->footer(kFooter);
  command->callback(
      [options, &action] { action = [options] { return train_tokenizer(*options); }; });
}

}  // namespace millrace
