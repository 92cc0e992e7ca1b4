// `millrace template`: what a conversation looks like to the model.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>

#include "base/file.h"
#include "cli/command.h"
#include "cli/model_text.h"

namespace millrace {
namespace {

constexpr std::uint64_t kMessagesBytesMax = 64ull << 20;

struct TemplateOptions {
  std::string model;
  std::string template_file;
  std::string messages_file = "-";
  std::string tools_file;
  bool no_generation_prompt = false;
  bool shows_source = false;
};

Result<OrderedJson> read_json(const std::string& path) {
  return parse_ordered_json(TRY(read_file(path == "-" ? "/dev/stdin" : path, kMessagesBytesMax)),
                            path);
}

Status show_template(const TemplateOptions& options) {
  const Checkpoint checkpoint = TRY(open_checkpoint(options.model));
  const ModelText text = TRY(load_model_text(checkpoint));
  std::optional<std::string> source = text.chat_template;
  if (!options.template_file.empty()) {
    source = TRY(read_file(options.template_file, ChatTemplateLimits{}.source_bytes_max));
  }
  if (!source) {
    return Error{ErrorCode::kNotFound,
                 options.model + " has no chat template; give one with --chat-template"};
  }
  if (options.shows_source) {
    std::printf("%s\n", source->c_str());
    return Ok{};
  }
  const ChatTemplate chat_template = TRY(ChatTemplate::parse(*source));
  ChatTemplateInput input;
  input.messages = TRY(read_json(options.messages_file));
  if (input.messages.is_object() && input.messages.contains("messages")) {
    const OrderedJson request = input.messages;  // A whole chat request.
    input.messages = request["messages"];
    input.tools = request.value("tools", OrderedJson(nullptr));
    input.arguments = request.value("chat_template_kwargs", OrderedJson::object());
  }
  if (!options.tools_file.empty()) input.tools = TRY(read_json(options.tools_file));
  if (options.no_generation_prompt) input.generation_prompt = GenerationPrompt::kOff;
  input.bos_token = text.bos_text;
  input.eos_token = text.eos_text;
  input.unix_seconds = static_cast<std::int64_t>(std::time(nullptr));
  const std::string prompt = TRY(chat_template.render(input));
  std::fwrite(prompt.data(), 1, prompt.size(), stdout);
  return Ok{};
}

}  // namespace

void add_template_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("template", "Render a conversation with a model's chat template");
  auto options = std::make_shared<TemplateOptions>();
  command->add_option("model", options->model, "The model")->type_name("PATH")->required();
  command
      ->add_option("messages", options->messages_file,
                   "JSON: a list of messages or a whole chat request; - is standard input")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_option("--tools", options->tools_file, "JSON list of tools")->type_name("FILE");
  command->add_option("--chat-template", options->template_file, "Use this Jinja file")
      ->type_name("FILE");
  command->add_flag("--no-generation-prompt", options->no_generation_prompt,
                    "End after the last message, not where the assistant speaks");
  command->add_flag("--source", options->shows_source, "Print the template itself");
  command->callback([options, &action] { action = [options] { return show_template(*options); }; });
}

}  // namespace millrace
