// `millrace template`: what a conversation looks like to the model.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>

#include "base/file.h"
#include "cli/command.h"
#include "cli/model_text.h"
#include "cli/template_choice.h"

namespace millrace {
namespace {

constexpr std::uint64_t kMessagesBytesMax = 64ull << 20;

struct TemplateOptions {
  std::string model;
  std::string template_file;
  std::string name;
  std::string messages_file = "-";
  std::string tools_file;
  std::string documents_file;
  std::vector<std::string> settings;
  bool no_generation_prompt = false;
  bool shows_source = false;
};

Result<OrderedJson> read_json(const std::string& path) {
  return parse_ordered_json(TRY(read_file(path == "-" ? "/dev/stdin" : path, kMessagesBytesMax)),
                            path == "-" ? "standard input" : path);
}

// A list of messages, or a whole chat request.
Result<ChatTemplateInput> read_input(const TemplateOptions& options) {
  ChatTemplateInput input;
  OrderedJson json = TRY(read_json(options.messages_file));
  if (json.is_object() && json.contains("messages")) {
    input.messages = json["messages"];
    input.tools = json.value("tools", OrderedJson(nullptr));
    input.documents = json.value("documents", OrderedJson(nullptr));
    input.arguments = json.value("chat_template_kwargs", OrderedJson::object());
  } else {
    input.messages = std::move(json);
  }
  if (!options.tools_file.empty()) input.tools = TRY(read_json(options.tools_file));
  if (!options.documents_file.empty()) input.documents = TRY(read_json(options.documents_file));
  if (!input.arguments.is_object()) {
    return Error{ErrorCode::kInvalidArgument, "chat_template_kwargs: expected an object, got " +
                                                  std::string(input.arguments.type_name())};
  }
  const OrderedJson variables = TRY(parse_template_variables(options.settings));
  for (const auto& [name, value] : variables.items()) input.arguments[name] = value;
  if (options.no_generation_prompt) input.generation_prompt = GenerationPrompt::kOff;
  input.unix_seconds = static_cast<std::int64_t>(std::time(nullptr));
  return input;
}

// Nothing of a model but its template; its special tokens are undefined unless they are set.
bool is_template_file(const std::string& path) {
  return path.ends_with(".jinja") && !is_directory(path);
}

Status show_template(const TemplateOptions& options) {
  TokenizerSpec spec;
  if (is_template_file(options.model)) {
    spec.chat_templates.push_back({"", TRY(read_template_file(options.model))});
  } else {
    spec = TRY(load_tokenizer_spec_at(options.model));
  }
  ChatTemplateInput input;
  if (!options.shows_source) input = TRY(read_input(options));
  std::string source;
  if (options.template_file.empty()) {
    const TemplateWish wish = {.name = options.name,
                               .has_tools = input.tools.is_array() && !input.tools.empty()};
    source = TRY(choose_template(spec.chat_templates, wish));
  } else {
    source = TRY(read_template_file(options.template_file));
  }
  if (options.shows_source) {
    std::printf("%s\n", source.c_str());
    return Ok{};
  }
  input.bos_token = token_text(spec, spec.bos_id);
  input.eos_token = token_text(spec, spec.eos_id);
  const ChatTemplate chat_template = TRY(ChatTemplate::parse(source));
  const std::string prompt = TRY(chat_template.render(input));
  std::fwrite(prompt.data(), 1, prompt.size(), stdout);
  return Ok{};
}

}  // namespace

void add_template_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("template", "Render a conversation with a model's chat template");
  auto options = std::make_shared<TemplateOptions>();
  command->add_option("model", options->model, "The model, or a .jinja file alone")
      ->type_name("PATH")
      ->required();
  command
      ->add_option("messages", options->messages_file,
                   "JSON: a list of messages or a whole chat request; - is standard input")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_option("--tools", options->tools_file, "JSON list of tools")->type_name("FILE");
  command->add_option("--documents", options->documents_file, "JSON list of documents")
      ->type_name("FILE");
  command
      ->add_option("--set", options->settings,
                   "A variable of the template, like enable_thinking=false; repeat for more")
      ->type_name("NAME=JSON")
      ->allow_extra_args(false);
  CLI::Option* name = command->add_option(
      "--name", options->name, "Which of the model's templates: default, tool_use, rag, …");
  command->add_option("--chat-template", options->template_file, "Use this Jinja file")
      ->type_name("FILE")
      ->excludes(name);
  command->add_flag("--no-generation-prompt", options->no_generation_prompt,
                    "End after the last message, not where the assistant speaks");
  command->add_flag("--source", options->shows_source, "Print the template itself");
  command->callback([options, &action] { action = [options] { return show_template(*options); }; });
}

}  // namespace millrace
