// Wiring of session, pool, runner and engine; the client's loop over one stream.
#include "cli/generator.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

#include "constrain/grammar_compiler.h"
#include "constrain/token_vocabulary.h"
#include "model/lora_adapter.h"
#include "text/stop_matcher.h"

namespace millrace {
namespace {

constexpr std::size_t kStepTokens = 512;
// Of an adapter: as large as published ones are.
constexpr std::size_t kAdapterRankMax = 256;
// How often a waiting client looks whether it was interrupted.
constexpr Duration kInterruptPoll = std::chrono::milliseconds(50);

// Text as it becomes certain: detokenised, watched for stop strings. Without a detokeniser, ids.
class TextStream {
 public:
  TextStream(std::optional<Detokenizer> detokenizer, std::optional<StopMatcher> matcher)
      : detokenizer_(std::move(detokenizer)), matcher_(std::move(matcher)) {}

  // True when a stop string has ended the text.
  bool push(TokenId id, std::string& out) {
    return watch(detokenizer_ ? detokenizer_->push(id) : std::to_string(id) + " ", out);
  }
  bool finish(std::string& out) {
    if (detokenizer_ && watch(detokenizer_->flush(), out)) return true;
    if (matcher_) out += matcher_->flush();
    return false;
  }

 private:
  bool watch(std::string text, std::string& out) {
    if (!matcher_) {
      out += text;
      return false;
    }
    StopMatcher::Output output = matcher_->push(text);
    out += output.text;
    return output.stop.has_value();
  }

  std::optional<Detokenizer> detokenizer_;
  std::optional<StopMatcher> matcher_;
};

Result<std::optional<StopMatcher>> make_matcher(const std::vector<std::string>& stops) {
  if (stops.empty()) return std::optional<StopMatcher>();
  return std::optional<StopMatcher>(TRY(StopMatcher::create(stops)));
}

}  // namespace

Generator::Generator(std::unique_ptr<ModelSession> session, std::optional<ModelText> text)
    : session_(std::move(session)), text_(std::move(text)) {}

Generator::~Generator() {
  stream_.reset();
  if (engine_) engine_->shutdown(Shutdown::kCancel);
}

Result<std::unique_ptr<Generator>> Generator::open(ModelOptions& options, TextNeed need,
                                                   const std::string& adapter_path) {
  const SystemClock clock;
  const TimePoint begin = clock.now();
  const Checkpoint checkpoint = TRY(open_model(options));
  Result<ModelText> loaded = load_model_text(checkpoint);
  if (!loaded.ok() && need == TextNeed::kRequired) {
    return with_context(std::move(loaded).error(),
                        "without a tokeniser a model continues only --prompt-ids");
  }
  std::optional<ModelText> text;
  if (loaded.ok()) text = std::move(loaded).value();
  SessionDemand demand;
  demand.limits = {.tokens_max = kStepTokens,
                   .logit_rows_max = 1,
                   .adapter_rank_max = adapter_path.empty() ? 0 : kAdapterRankMax};
  auto session = TRY(ModelSession::open(checkpoint, options, demand));
  std::unique_ptr<Generator> generator(new Generator(std::move(session), std::move(text)));
  if (!adapter_path.empty()) {
    generator->adapter_ = TRY(LoraAdapter::load(adapter_path, generator->session_->spec(),
                                                {.rank_max = kAdapterRankMax}, 1));
  }
  generator->default_sampling_ = millrace::default_sampling(checkpoint);
  TRY(generator->start_engine());
  generator->load_seconds_ = seconds(clock.now() - begin);
  return generator;
}

Status Generator::start_engine() {
  EngineOptions options;
  options.scheduler.num_sequences_max = 1;
  // One runs; a second one may come before the first, just ended, has left.
  options.scheduler.num_requests_max = 2;
  options.scheduler.step_tokens_max = kStepTokens;
  options.scheduler.chunk_tokens_max = kStepTokens;
  options.scheduler.block_tokens = session_->cache().spec().block_tokens;
  options.vocabulary = session_->spec().vocabulary;
  options.context_tokens = session_->context_tokens();
  options.adapter_rank_max = session_->decoder().limits().adapter_rank_max;
  // Another text at every start, unless --seed says otherwise.
  options.seed = static_cast<std::uint64_t>(clock_.now().time_since_epoch().count());
  pool_.emplace(session_->cache().num_blocks());
  runner_ = TRY(DecoderRunner::create(session_->decoder(), session_->context(), session_->cache(),
                                      options.scheduler));
  engine_ = TRY(Engine::create(options, *pool_, *runner_, clock_));
  engine_->start();
  return Ok{};
}

Result<std::shared_ptr<const LogitConstraint>> Generator::compile(const ConstraintSpec& spec) {
  if (!text_) {
    return Error{ErrorCode::kUnsupported,
                 "a text is held to a grammar by its tokeniser, and this "
                 "model has none"};
  }
  const std::vector<TokenId> ends(session_->spec().eos_ids.begin(), session_->spec().eos_ids.end());
  auto vocabulary =
      TRY(TokenVocabulary::create(text_->tokenizer, session_->spec().vocabulary, ends));
  return GrammarCompiler(std::move(vocabulary), clock_).compile(spec);
}

Result<TokenStream> Generator::submit(const std::vector<TokenId>& prompt,
                                      const GenerationOptions& options) {
  Request request;
  request.prompt = prompt;
  request.sampling = options.sampling;
  request.max_tokens = options.max_tokens;
  request.min_tokens = options.min_tokens;
  request.constraint = options.constraint;
  request.adapter = adapter_;
  if (!options.ignore_eos || options.constraint != nullptr) {
    std::span<const TokenId> ends;
    if (text_) ends = text_->tokenizer.end_of_generation_ids();
    request.stop_ids.assign(ends.begin(), ends.end());
    for (const std::uint32_t id : session_->spec().eos_ids) {
      if (std::find(ends.begin(), ends.end(), id) == ends.end()) request.stop_ids.push_back(id);
    }
  }
  Result<TokenStream> stream = engine_->submit(std::move(request));
  const std::size_t longest = session_->longest_context();
  if (stream.ok() || prompt.size() < session_->context_tokens() || prompt.size() >= longest) {
    return stream;
  }
  Error error = std::move(stream).error();
  error.message += "; --context takes up to " + std::to_string(longest);
  return error;
}

Result<Generation> Generator::generate(const std::vector<TokenId>& prompt,
                                       const GenerationOptions& options, StreamPosition position,
                                       const std::atomic<bool>& interrupted,
                                       FunctionRef<void(const std::string&)> sink) {
  if (!text_ && !options.stop.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "a stop text needs a tokeniser, and this model has none"};
  }
  std::optional<Detokenizer> detokenizer;
  if (text_) {
    detokenizer.emplace(text_->tokenizer, DetokenizerOptions{.skip_special = SkipSpecial::kYes,
                                                             .position = position});
  }
  std::optional<StopMatcher> matcher = TRY(make_matcher(options.stop));
  TextStream text(std::move(detokenizer), std::move(matcher));
  const TimePoint begin = clock_.now();
  stream_.emplace(TRY(submit(prompt, options)));
  Generation generation;
  generation.prompt_ids = prompt;
  bool stopped = false;
  const auto emit = [&](std::string piece) {
    if (piece.empty()) return;
    generation.text += piece;
    sink(piece);
  };
  for (;;) {
    const std::optional<GeneratedToken> token = stream_->pop_for(kInterruptPoll);
    if (token) {
      if (generation.ids.empty()) generation.first_token_seconds = seconds(clock_.now() - begin);
      generation.ids.push_back(token->token);
      generation.tokens.push_back(*token);
      std::string piece;
      stopped = text.push(token->token, piece);
      emit(std::move(piece));
    } else if (stream_->finished()) {
      break;
    }
    if (stopped || interrupted.load()) {
      stream_->cancel();
      break;
    }
  }
  if (!stopped) {
    std::string rest;
    stopped = text.finish(rest);
    emit(std::move(rest));
  }
  generation.total_seconds = seconds(clock_.now() - begin);
  const std::optional<Finish> finish = stream_->finished();
  if (finish && finish->error) return *finish->error;
  generation.finish_reason = stopped  ? "stop"
                             : finish ? std::string(finish_reason_name(finish->reason))
                                      : "cancelled";
  return generation;
}

Result<PromptBuilder> PromptBuilder::create(const ModelText& text,
                                            const std::optional<std::string>& template_override,
                                            bool is_raw) {
  PromptBuilder builder(text);
  if (is_raw) return builder;
  const std::optional<std::string>& source =
      template_override ? template_override : text.chat_template;
  if (source) builder.template_ = TRY(ChatTemplate::parse(*source));
  return builder;
}

// Whoever types a prompt here may type special tokens too.
Result<std::vector<TokenId>> PromptBuilder::completion(const std::string& prompt) const {
  return text_->tokenizer.encode(
      prompt, {.add_special = AddSpecial::kYes, .parse_special = ParseSpecial::kYes});
}

Result<std::string> PromptBuilder::render(const OrderedJson& messages) const {
  CHECK(template_.has_value());
  ChatTemplateInput input;
  input.messages = messages;
  input.arguments = variables_;
  input.bos_token = text_->bos_text;
  input.eos_token = text_->eos_text;
  input.unix_seconds = static_cast<std::int64_t>(std::time(nullptr));
  return template_->render(input);
}

// The template writes the special tokens itself.
Result<std::vector<TokenId>> PromptBuilder::chat(const OrderedJson& messages) const {
  return text_->tokenizer.encode(
      TRY(render(messages)), {.add_special = AddSpecial::kNo, .parse_special = ParseSpecial::kYes});
}

}  // namespace millrace
