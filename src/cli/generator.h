// A model with its engine and text side, ready to continue prompts one at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/function_ref.h"
#include "base/json.h"
#include "base/result.h"
#include "cli/model_session.h"
#include "cli/model_text.h"
#include "constrain/constraint_spec.h"
#include "engine/decoder_runner.h"
#include "engine/engine.h"
#include "engine/logit_constraint.h"
#include "memory/block_pool.h"
#include "text/detokenizer.h"

namespace millrace {

struct GenerationOptions {
  SamplingParams sampling;
  std::optional<std::size_t> max_tokens;
  std::size_t min_tokens = 0;
  std::vector<std::string> stop;
  bool ignore_eos = false;  // not beside a constraint: its answer ends
  // What the text is held to. Shared with the request.
  std::shared_ptr<const LogitConstraint> constraint;
};

struct Generation {
  std::string text;
  std::string finish_reason;  // "stop", "length", "cancelled"
  std::vector<TokenId> prompt_ids;
  std::vector<TokenId> ids;
  std::vector<GeneratedToken> tokens;  // with log-probabilities when they were asked for
  double first_token_seconds = 0.0;    // from submission
  double total_seconds = 0.0;
};

// Whether a model without a tokeniser that can be read will do: it continues ids, not text.
enum class TextNeed : std::uint8_t { kRequired, kIfThere };

// One thread calls it; the engine has its own. Stays where it is made.
class Generator {
 public:
  // `options` then names the model that was taken. `adapter_path` is a PEFT folder; empty for none.
  static Result<std::unique_ptr<Generator>> open(ModelOptions& options,
                                                 TextNeed need = TextNeed::kRequired,
                                                 const std::string& adapter_path = "");
  ~Generator();

  // Streams pieces of text to `sink` as they become certain; without a tokeniser, ids with a space
  // after each. Ends early, as "cancelled", when `interrupted` turns true. `position` says whether
  // the text begins anew or goes on.
  Result<Generation> generate(const std::vector<TokenId>& prompt, const GenerationOptions& options,
                              StreamPosition position, const std::atomic<bool>& interrupted,
                              FunctionRef<void(const std::string&)> sink);

  // For GenerationOptions::constraint.
  Result<std::shared_ptr<const LogitConstraint>> compile(const ConstraintSpec& spec);

  bool has_text() const { return text_.has_value(); }
  const ModelText& text() const {
    CHECK(text_.has_value());
    return *text_;
  }
  ModelSession& session() { return *session_; }
  double load_seconds() const { return load_seconds_; }
  // generation_config.json's temperature, top_p and top_k, where the model brings one.
  SamplingParams default_sampling() const { return default_sampling_; }

 private:
  Generator(std::unique_ptr<ModelSession> session, std::optional<ModelText> text);
  Status start_engine();
  Result<TokenStream> submit(const std::vector<TokenId>& prompt, const GenerationOptions& options);

  SystemClock clock_;
  std::unique_ptr<ModelSession> session_;
  std::optional<ModelText> text_;
  SamplingParams default_sampling_;
  double load_seconds_ = 0.0;
  AdapterRef adapter_;  // of every request; null for none
  std::optional<BlockPool> pool_;
  std::unique_ptr<DecoderRunner> runner_;
  std::unique_ptr<Engine> engine_;
  // The last request's stream: spans in Generation::tokens point into it.
  std::optional<TokenStream> stream_;
};

// How the terminal's or a script's prompt becomes ids: through the chat template where the model
// has one.
class PromptBuilder {
 public:
  // `template_override` is Jinja source; `is_raw` leaves the template out.
  static Result<PromptBuilder> create(const ModelText& text,
                                      const std::optional<std::string>& template_override,
                                      bool is_raw);

  // More variables for the template, by name.
  void set_variables(OrderedJson variables) { variables_ = std::move(variables); }

  bool is_chat() const { return template_.has_value(); }
  // A bare text, with the tokeniser's own bos.
  Result<std::vector<TokenId>> completion(const std::string& prompt) const;
  // A conversation of OpenAI-like messages, ending where the assistant speaks.
  Result<std::vector<TokenId>> chat(const OrderedJson& messages) const;
  Result<std::string> render(const OrderedJson& messages) const;

 private:
  explicit PromptBuilder(const ModelText& text) : text_(&text) {}

  const ModelText* text_;
  std::optional<ChatTemplate> template_;
  OrderedJson variables_ = OrderedJson::object();
};

}  // namespace millrace
