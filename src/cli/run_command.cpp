// `millrace run`: continue a text, answer one chat turn, or chat in the terminal.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <iostream>

#include "base/file.h"
#include "cli/chat_loop.h"
#include "cli/command.h"
#include "cli/constraint_options.h"
#include "cli/generator.h"
#include "cli/interrupt.h"
#include "cli/quantity.h"
#include "cli/template_choice.h"

namespace millrace {
namespace {

constexpr std::uint64_t kPromptBytesMax = 64ull << 20;
// A base model rarely ends by itself.
constexpr std::size_t kCompletionTokens = 256;

struct RunOptions {
  ModelOptions model;
  std::string adapter;  // a PEFT folder
  std::optional<std::string> prompt;
  std::vector<TokenId> prompt_ids;  // instead of a text
  std::string prompt_file;
  std::string system;
  std::string template_file;
  std::vector<std::string> template_settings;
  bool is_raw = false;
  bool shows_prompt = false;
  bool shows_stats = false;
  bool as_json = false;
  ConstraintOptions constraint;

  GenerationOptions generation;
  // Absent: what the model's generation_config.json says, else off.
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::uint32_t> top_k;
};

SamplingParams merged_sampling(const RunOptions& options, const SamplingParams& defaults) {
  SamplingParams sampling = options.generation.sampling;
  sampling.temperature = options.temperature.value_or(defaults.temperature);
  sampling.top_p = options.top_p.value_or(defaults.top_p);
  sampling.min_p = options.min_p.value_or(defaults.min_p);
  sampling.repetition_penalty = options.repetition_penalty.value_or(defaults.repetition_penalty);
  sampling.top_k = options.top_k ? options.top_k : defaults.top_k;
  return sampling;
}

// The prompt of --file, of the command line ("-" is standard input), or none.
Result<std::optional<std::string>> read_prompt(const RunOptions& options) {
  if (!options.prompt_file.empty()) {
    return std::optional(TRY(read_file(options.prompt_file, kPromptBytesMax)));
  }
  if (options.prompt == "-") return std::optional(TRY(read_file("/dev/stdin", kPromptBytesMax)));
  return options.prompt;
}

OrderedJson messages_of(const std::string& system, const std::string& prompt) {
  OrderedJson messages = OrderedJson::array();
  if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  return messages;
}

// What an id stands for; the id itself where the model has no tokeniser.
std::string piece_of(const Generator& generator, TokenId id) {
  if (!generator.has_text()) return std::to_string(id);
  return std::string(generator.text().tokenizer.piece(id));
}

OrderedJson logprobs_json(const Generator& generator, const Generation& generation) {
  OrderedJson list = OrderedJson::array();
  for (const GeneratedToken& token : generation.tokens) {
    if (!token.logprob) continue;
    OrderedJson top = OrderedJson::array();
    for (const TokenLogprob& other : token.top) {
      top.push_back({{"token", piece_of(generator, other.token)},
                     {"id", other.token},
                     {"logprob", other.logprob}});
    }
    list.push_back({{"token", piece_of(generator, token.token)},
                    {"id", token.token},
                    {"logprob", *token.logprob},
                    {"top_logprobs", std::move(top)}});
  }
  return list;
}

OrderedJson stats_json(Generator& generator, const Generation& generation) {
  const double decode_seconds = generation.total_seconds - generation.first_token_seconds;
  const SessionMemory memory = generator.session().memory();
  const LoadReport& load = generator.session().model().report();
  const std::size_t num_decoded = generation.ids.empty() ? 0 : generation.ids.size() - 1;
  return {
      {"load_seconds", generator.load_seconds()},
      {"time_to_first_token_seconds", generation.first_token_seconds},
      {"prompt_tokens_per_second",
       generation.first_token_seconds > 0.0
           ? static_cast<double>(generation.prompt_ids.size()) / generation.first_token_seconds
           : 0.0},
      {"generated_tokens_per_second",
       decode_seconds > 0.0 ? static_cast<double>(num_decoded) / decode_seconds : 0.0},
      {"context_tokens", generator.session().context_tokens()},
      {"threads", generator.session().machine().num_threads},
      {"isa", generator.session().machine().kernels->isa},
      {"weight_bytes", memory.weight_bytes},
      {"weights_shared", load.is_shared},
      {"weights_packed_here", load.was_built_here},
      {"kv_bytes", memory.kv_bytes},
      {"workspace_bytes", memory.workspace_bytes},
  };
}

void print_json(Generator& generator, const RunOptions& options, const Generation& generation) {
  OrderedJson json = {
      {"model", options.model.model},
      {"text", generation.text},
      {"finish_reason", generation.finish_reason},
      {"prompt_token_ids", generation.prompt_ids},
      {"token_ids", generation.ids},
      {"usage",
       {{"prompt_tokens", generation.prompt_ids.size()},
        {"completion_tokens", generation.ids.size()},
        {"total_tokens", generation.prompt_ids.size() + generation.ids.size()}}},
  };
  if (options.generation.sampling.top_logprobs) {
    json["logprobs"] = logprobs_json(generator, generation);
  }
  json["stats"] = stats_json(generator, generation);
  std::printf("%s\n", json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace).c_str());
}

void print_stats(Generator& generator, const Generation& generation) {
  const OrderedJson stats = stats_json(generator, generation);
  const auto bytes = [&](const char* key) { return show_bytes(stats[key].get<std::uint64_t>()); };
  std::fprintf(
      stderr,
      "loaded in %.2f s; %zu prompt tokens in %.3f s (%.1f/s); %zu tokens at %.1f/s; finished: %s\n"
      "%s kernels, %zu threads; weights %s%s, cache %s for %zu tokens, workspace %s\n",
      generator.load_seconds(), generation.prompt_ids.size(), generation.first_token_seconds,
      stats["prompt_tokens_per_second"].get<double>(), generation.ids.size(),
      stats["generated_tokens_per_second"].get<double>(), generation.finish_reason.c_str(),
      stats["isa"].get<std::string>().c_str(), generator.session().machine().num_threads,
      bytes("weight_bytes").c_str(), stats["weights_shared"].get<bool>() ? " (shared)" : "",
      bytes("kv_bytes").c_str(), generator.session().context_tokens(),
      bytes("workspace_bytes").c_str());
}

// One prompt, already ids, and its continuation.
Status continue_ids(Generator& generator, const RunOptions& options,
                    const std::vector<TokenId>& ids, StreamPosition position) {
  const Generation generation = TRY(generator.generate(
      ids, options.generation, position, interrupt_flag(), [&options](const std::string& piece) {
        if (options.as_json) return;
        std::fwrite(piece.data(), 1, piece.size(), stdout);
        std::fflush(stdout);
      }));
  if (options.as_json) {
    print_json(generator, options, generation);
  } else {
    std::fputs("\n", stdout);
  }
  if (options.shows_stats) print_stats(generator, generation);
  if (interrupt_flag().load()) return Error{ErrorCode::kCancelled, "interrupted"};
  return Ok{};
}

Status answer_once(Generator& generator, const PromptBuilder& prompts, const RunOptions& options,
                   const std::string& prompt) {
  const std::vector<TokenId> ids = prompts.is_chat()
                                       ? TRY(prompts.chat(messages_of(options.system, prompt)))
                                       : TRY(prompts.completion(prompt));
  if (options.shows_prompt && !options.as_json) std::fputs(prompt.c_str(), stdout);
  return continue_ids(generator, options, ids,
                      prompts.is_chat() ? StreamPosition::kStart : StreamPosition::kContinuation);
}

// Before the model is loaded the files are read; afterwards its tokens are known.
Status hold_to(Generator& generator, const std::optional<ConstraintSpec>& spec,
               GenerationOptions& generation) {
  if (spec) generation.constraint = TRY(generator.compile(*spec));
  return Ok{};
}

Status run_ids(RunOptions options) {
  const std::optional<ConstraintSpec> constraint = TRY(read_constraint(options.constraint));
  const auto generator = TRY(Generator::open(options.model, TextNeed::kIfThere, options.adapter));
  TRY(hold_to(*generator, constraint, options.generation));
  options.generation.sampling = merged_sampling(options, generator->default_sampling());
  if (!options.generation.max_tokens) options.generation.max_tokens = kCompletionTokens;
  catch_interrupts();
  return continue_ids(*generator, options, options.prompt_ids, StreamPosition::kContinuation);
}

Status run(RunOptions options) {
  if (!options.prompt_ids.empty()) return run_ids(std::move(options));
  const std::optional<std::string> prompt = TRY(read_prompt(options));
  if (!prompt && options.as_json) {
    return Error{ErrorCode::kInvalidArgument, "--json needs a prompt"};
  }
  std::optional<std::string> template_source;
  if (!options.template_file.empty()) {
    template_source = TRY(read_template_file(options.template_file));
  }
  const std::optional<ConstraintSpec> constraint = TRY(read_constraint(options.constraint));
  const auto generator = TRY(Generator::open(options.model, TextNeed::kRequired, options.adapter));
  TRY(hold_to(*generator, constraint, options.generation));
  PromptBuilder prompts =
      TRY(PromptBuilder::create(generator->text(), template_source, options.is_raw));
  prompts.set_variables(TRY(parse_template_variables(options.template_settings)));
  if (!options.system.empty() && !prompts.is_chat()) {
    return Error{
        ErrorCode::kInvalidArgument,
        "--system needs a chat template, and this model has none: give one with --chat-template"};
  }
  options.generation.sampling = merged_sampling(options, generator->default_sampling());
  if (!prompts.is_chat() && !options.generation.max_tokens) {
    options.generation.max_tokens = kCompletionTokens;
  }
  catch_interrupts();
  if (prompt) return answer_once(*generator, prompts, options, *prompt);
  return chat_in_terminal(*generator, prompts,
                          {.system = options.system, .generation = options.generation});
}

void add_sampling_options(CLI::App& command, RunOptions& options) {
  const auto number = [&command](const char* name, auto& value, const char* help) {
    command.add_option(name, value, help)->type_name("X")->group("Sampling");
  };
  number("--temperature", options.temperature,
         "0 takes the likeliest token (default: the model's own, else 1)");
  number("--top-p", options.top_p, "Keep the likeliest tokens that together have this probability");
  number("--top-k", options.top_k, "Keep so many of the likeliest tokens");
  number("--min-p", options.min_p, "Keep tokens at least this likely, as a part of the likeliest");
  number("--repetition-penalty", options.repetition_penalty, "Divide logits of tokens seen before");
  number("--presence-penalty", options.generation.sampling.presence_penalty,
         "Lower logits of tokens generated before");
  number("--frequency-penalty", options.generation.sampling.frequency_penalty,
         "The same, for every time they were generated");
  number("--seed", options.generation.sampling.seed, "Equal seeds give equal texts");
  number("--logprobs", options.generation.sampling.top_logprobs,
         "With --json: log-probabilities of the token and so many others");
}

}  // namespace

void add_run_command(CLI::App& app, Action& action) {
  CLI::App* command =
      app.add_subcommand("run", "Continue a text, answer a question, or chat in the terminal");
  auto options = std::make_shared<RunOptions>();
  command->add_option(
      "prompt", options->prompt,
      "The text to continue or the question; - reads it from standard input; without one, a chat");
  add_model_options(*command, options->model);
  command
      ->add_option(
          "--lora", options->adapter,
          "Add this low-rank adapter to the model: a folder that Hugging Face's PEFT wrote")
      ->type_name("PATH");
  add_sampling_options(*command, *options);
  add_constraint_options(*command, options->constraint);
  command->add_option("-f,--file", options->prompt_file, "Read the prompt from a file")
      ->type_name("PATH");
  command->add_option("--system", options->system,
                      "What the model is told before the conversation");
  command->add_option(
      "-n,--max-tokens", options->generation.max_tokens,
      "Most tokens to generate (default: 256 for a completion, the context for a chat)");
  command->add_option("--min-tokens", options->generation.min_tokens,
                      "Do not end before so many tokens");
  command
      ->add_option("--stop", options->generation.stop,
                   "End before this text; may be given several times")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  command->add_flag("--ignore-eos", options->generation.ignore_eos,
                    "Do not end where the model wants to");
  command
      ->add_option("--chat-template", options->template_file,
                   "Use this Jinja file as the chat template")
      ->type_name("PATH");
  command
      ->add_option("--set", options->template_settings,
                   "A variable of the chat template, like enable_thinking=false; repeat for more")
      ->type_name("NAME=JSON")
      ->allow_extra_args(false);
  command
      ->add_option("--prompt-ids", options->prompt_ids,
                   "Token ids to continue instead of a text, as 1,2,3; needs no tokeniser")
      ->type_name("ID")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->excludes("prompt", "--file", "--system", "--chat-template");
  command->add_flag("--raw", options->is_raw,
                    "Complete the text as it is, without a chat template");
  command->add_flag("--echo", options->shows_prompt, "Print the prompt before its continuation");
  command->add_flag("--stats", options->shows_stats, "Speeds and memory on standard error");
  command->add_flag("--json", options->as_json, "One JSON object instead of a stream of text");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace millrace
