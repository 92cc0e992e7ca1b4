// Compiling with a budget, and the cache of what was compiled.
#include "constrain/grammar_compiler.h"

#include <utility>

#include "base/check.h"
#include "constrain/compile_budget.h"
#include "constrain/grammar.h"
#include "constrain/grammar_constraint.h"
#include "constrain/mask_cache.h"
#include "constrain/rule_builder.h"
#include "constrain/spec_grammar.h"

namespace millrace {

GrammarCompiler::GrammarCompiler(std::shared_ptr<const TokenVocabulary> vocabulary,
                                 const Clock& clock, GrammarCompilerOptions options)
    : vocabulary_(std::move(vocabulary)),
      clock_(clock),
      options_(options),
      masks_(std::make_shared<MaskCache>(vocabulary_->mask_words(), vocabulary_->token_bytes_max(),
                                         options.mask_cache_bytes)) {}

GrammarCompiler::~GrammarCompiler() = default;

Result<std::shared_ptr<const LogitConstraint>> GrammarCompiler::compile(
    const ConstraintSpec& spec) {
  std::string key = cache_key(spec);
  if (key.size() > options_.limits.spec_bytes_max) {
    return Error{ErrorCode::kTooLarge, "constraint of " + std::to_string(key.size()) +
                                           " bytes exceeds " +
                                           std::to_string(options_.limits.spec_bytes_max)};
  }
  if (std::shared_ptr<const LogitConstraint> found = find(key)) return found;

  CompileBudget budget(options_.limits, clock_);
  Grammar grammar(budget);
  const RuleId root = TRY(build_grammar(grammar, *vocabulary_, spec));
  const std::vector<BuiltRule> rules = TRY(build_rules(grammar));
  auto compiled = std::make_shared<CompiledGrammar>();
  compiled->vocabulary = vocabulary_;
  compiled->masks = masks_;
  compiled->machine = TRY(Machine::link(rules, root, grammar, *vocabulary_, budget));
  compiled->number = masks_->next_grammar();
  compiled->at_limit = spec.at_limit;
  Entry entry{.key = std::move(key),
              .constraint = nullptr,
              .bytes = compiled->machine.memory_bytes() + spec.text.size()};
  entry.constraint = std::make_shared<const GrammarConstraint>(std::move(compiled));
  std::shared_ptr<const LogitConstraint> constraint = entry.constraint;
  keep(std::move(entry));
  return constraint;
}

std::shared_ptr<const LogitConstraint> GrammarCompiler::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  ++counters_.num_hits;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->constraint;
}

void GrammarCompiler::keep(Entry entry) {
  const std::lock_guard lock(mutex_);
  ++counters_.num_compiled;
  if (by_key_.contains(entry.key)) return;  // Another thread was faster.
  counters_.cached_bytes += entry.bytes;
  entries_.push_front(std::move(entry));
  by_key_[entries_.front().key] = entries_.begin();
  while (entries_.size() > options_.num_cached_max ||
         (counters_.cached_bytes > options_.cached_bytes_max && !entries_.empty())) {
    counters_.cached_bytes -= entries_.back().bytes;
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
  counters_.num_cached = entries_.size();
}

GrammarCompiler::Counters GrammarCompiler::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

}  // namespace millrace
