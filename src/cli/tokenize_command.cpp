// `millrace tokenize`: text to ids and back.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/file.h"
#include "cli/command.h"
#include "cli/model_text.h"

namespace millrace {
namespace {

constexpr std::uint64_t kTextBytesMax = Tokenizer::kTextBytesMax;

struct TokenizeOptions {
  std::string model;
  std::optional<std::string> text;
  std::string file;
  std::vector<TokenId> ids;
  bool no_special = false;
  bool plain_special = false;
  bool as_json = false;
  bool only_count = false;
};

Result<std::string> read_text(const TokenizeOptions& options) {
  if (!options.file.empty()) return read_file(options.file, kTextBytesMax);
  if (options.text && *options.text != "-") return *options.text;
  return read_file("/dev/stdin", kTextBytesMax);
}

Status decode_ids(const Tokenizer& tokenizer, const TokenizeOptions& options) {
  const std::string text = TRY(tokenizer.decode(options.ids, {.skip_special = SkipSpecial::kNo}));
  if (options.as_json) {
    std::printf("%s\n", OrderedJson({{"text", text}, {"token_ids", options.ids}})
                            .dump(-1, ' ', false, OrderedJson::error_handler_t::replace)
                            .c_str());
  } else {
    std::printf("%s\n", text.c_str());
  }
  return Ok{};
}

Status tokenize(const TokenizeOptions& options) {
  const Tokenizer tokenizer = TRY(Tokenizer::create(TRY(load_tokenizer_spec_at(options.model))));
  if (!options.ids.empty()) return decode_ids(tokenizer, options);
  const std::string text = TRY(read_text(options));
  const std::vector<TokenId> ids = TRY(tokenizer.encode(
      text, {.add_special = options.no_special ? AddSpecial::kNo : AddSpecial::kYes,
             .parse_special = options.plain_special ? ParseSpecial::kNo : ParseSpecial::kYes}));
  if (options.only_count) {
    std::printf("%zu\n", ids.size());
    return Ok{};
  }
  if (options.as_json) {
    OrderedJson pieces = OrderedJson::array();
    for (const TokenId id : ids) pieces.push_back(tokenizer.piece(id));
    std::printf("%s\n", OrderedJson({{"token_ids", ids}, {"pieces", pieces}})
                            .dump(-1, ' ', false, OrderedJson::error_handler_t::replace)
                            .c_str());
    return Ok{};
  }
  for (std::size_t i = 0; i < ids.size(); ++i) std::printf(i == 0 ? "%u" : " %u", ids[i]);
  std::printf("\n");
  return Ok{};
}

}  // namespace

void add_tokenize_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("tokenize", "Text to token ids, or ids to text");
  auto options = std::make_shared<TokenizeOptions>();
  command
      ->add_option(
          "model", options->model,
          "The model, a folder with only its tokeniser, a tokenizer.json or a sentencepiece .model")
      ->type_name("PATH")
      ->required();
  command->add_option("text", options->text, "The text; without it, or with -, standard input");
  command->add_option("-f,--file", options->file, "Read the text from a file")->type_name("PATH");
  command->add_option("--ids", options->ids, "Decode these ids instead")->type_name("ID");
  command->add_flag("--no-special", options->no_special,
                    "Leave out what the tokeniser puts around a text");
  command->add_flag("--plain", options->plain_special,
                    "Encode the text of special tokens as plain text, as for untrusted input");
  command->add_flag("--count", options->only_count, "Print only how many tokens");
  command->add_flag("--json", options->as_json, "One JSON object, with the pieces");
  command->callback([options, &action] { action = [options] { return tokenize(*options); }; });
}

}  // namespace millrace
