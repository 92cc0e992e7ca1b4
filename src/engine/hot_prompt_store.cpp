// What of a snapshot is still wanted, and what is still missing.
#include "engine/hot_prompt_store.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

constexpr std::uint32_t kAskedKind = 0;
constexpr std::uint32_t kFoundKind = 1;

bool begins_with(std::span<const TokenId> tokens, std::span<const TokenId> prefix) {
  return prefix.size() <= tokens.size() && std::equal(prefix.begin(), prefix.end(), tokens.begin());
}

}  // namespace

HotPromptStore::HotPromptStore(std::vector<std::vector<TokenId>> prompts, const KvCache& cache,
                               KvSnapshotKey key, std::string path)
    : cache_(cache), key_(std::move(key)), path_(std::move(path)) {
  const std::size_t block_tokens = cache.spec().block_tokens;
  for (std::vector<TokenId>& tokens : prompts) {
    // One that is too short for a block goes on as it is, to be refused by name.
    if (tokens.size() >= block_tokens) tokens.resize(tokens.size() / block_tokens * block_tokens);
    prompts_.push_back({.tokens = std::move(tokens)});
  }
}

void HotPromptStore::restore(Engine& engine) {
  if (path_.empty()) return;
  Status status = try_restore(engine);
  if (status.ok() || status.error().code == ErrorCode::kNotFound) return;
  in_file_.clear();
  report_.file_refused = with_context(std::move(status).error(), path_);
}

Status HotPromptStore::try_restore(Engine& engine) {
  const KvSnapshot snapshot = TRY(KvSnapshot::open(path_, key_, cache_.spec()));
  const KvSnapshotTables& tables = snapshot.tables();
  for (std::size_t i = 0; i < tables.num_prefixes(); ++i) {
    const std::vector<TokenId> tokens = tables.tokens(i);
    in_file_.push_back(tokens);
    for (Prompt& prompt : prompts_) {
      if (prompt.is_pinned || !begins_with(tokens, prompt.tokens)) continue;
      TRY(restore_prefix(engine, snapshot, i, prompt.tokens.size(), HotSource::kAsked));
      prompt.is_pinned = true;
      ++report_.num_prompts;
    }
    if (tables.kind(i) != kFoundKind) continue;
    TRY(restore_prefix(engine, snapshot, i, tokens.size(), HotSource::kFound));
  }
  return Ok{};
}

Status HotPromptStore::restore_prefix(Engine& engine, const KvSnapshot& snapshot,
                                      std::size_t number, std::size_t num_tokens,
                                      HotSource source) {
  std::vector<TokenId> tokens = snapshot.tables().tokens(number);
  const std::vector<std::uint32_t> path = snapshot.tables().path(number);
  // What was cut since it was looked at is shorter now.
  if (tokens.size() < num_tokens || num_tokens == 0) {
    return Error{ErrorCode::kCorruptData, "the file changed while it was read"};
  }
  tokens.resize(num_tokens);
  const auto fill = [&](std::size_t at, BlockId block) -> Status {
    return snapshot.copy_block(path[at], cache_, block);
  };
  const std::size_t num_filled = TRY(engine.restore(tokens, source, fill));
  report_.num_restored_tokens += num_filled * cache_.spec().block_tokens;
  return Ok{};
}

void HotPromptStore::warm(FunctionRef<Result<TokenStream>(std::vector<TokenId>)> pin) {
  for (Prompt& prompt : prompts_) {
    if (prompt.is_pinned) continue;
    Result<TokenStream> stream = pin(prompt.tokens);
    if (!stream.ok()) {
      report_.refused.push_back(std::move(stream).error());
      continue;
    }
    while (stream.value().pop()) {
    }
    const std::optional<Finish> finish = stream.value().finished();
    CHECK(finish.has_value());  // No token comes after the last.
    if (finish->reason == FinishReason::kLength) {
      prompt.is_pinned = true;
      ++report_.num_prompts;
      report_.num_computed_tokens += finish->num_prompt - finish->num_cached;
    } else {
      report_.refused.push_back(finish->error.value_or(
          Error{ErrorCode::kCancelled, "the engine was shut down before a hot prompt was there"}));
    }
  }
}

Status HotPromptStore::save(const Engine& engine) {
  if (path_.empty()) return Ok{};
  return engine.visit_hot([&](std::span<const HotPrefix> prefixes) -> Status {
    std::vector<KvSnapshotPrefix> saved;
    std::vector<std::vector<TokenId>> tokens;
    for (const HotPrefix& prefix : prefixes) {
      const bool is_asked = prefix.source == HotSource::kAsked;
      saved.push_back({.kind = is_asked ? kAskedKind : kFoundKind,
                       .tokens = prefix.tokens,
                       .blocks = prefix.blocks});
      tokens.push_back(prefix.tokens);
    }
    std::sort(tokens.begin(), tokens.end());
    std::sort(in_file_.begin(), in_file_.end());
    // Nothing to save, and nothing there that would have to go.
    if (tokens == in_file_ && !report_.file_refused) return Ok{};
    TRY(write_kv_snapshot(path_, key_, cache_, saved));
    in_file_ = std::move(tokens);
    return Ok{};
  });
}

}  // namespace millrace
