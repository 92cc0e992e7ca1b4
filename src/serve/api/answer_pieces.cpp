// Opening, growing and closing of pieces.
#include "serve/api/answer_pieces.h"

#include <algorithm>
#include <utility>

namespace millrace {
namespace {

void append(std::vector<TokenLogprobs>& to, const std::vector<TokenLogprobs>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

void AnswerPieces::add(const AnswerEvent& event) {
  using Kind = AnswerPiece::Kind;
  if (const auto* content = std::get_if<ContentDelta>(&event.what)) {
    add_text(Kind::kText, content->text, content->logprobs);
  } else if (const auto* reasoning = std::get_if<ReasoningDelta>(&event.what)) {
    add_text(Kind::kReasoning, reasoning->text, reasoning->logprobs);
  } else if (const auto* begin = std::get_if<ToolCallBegin>(&event.what)) {
    open({.kind = Kind::kCall,
          .text = {},
          .call_id = begin->id,
          .name = begin->name,
          .logprobs = {}});
  } else if (const auto* delta = std::get_if<ToolCallDelta>(&event.what)) {
    if (!is_open_ || pieces_.back().kind != Kind::kCall || delta->arguments.empty()) return;
    pieces_.back().text += delta->arguments;
    if (listener_ != nullptr) {
      listener_->on_text(pieces_.size() - 1, pieces_.back(), delta->arguments);
    }
  } else if (std::holds_alternative<ToolCallEnd>(event.what)) {
    close();
  } else if (const auto* finished = std::get_if<ChoiceFinished>(&event.what)) {
    close();
    finished_ = *finished;
  } else if (const auto* scored = std::get_if<PromptScored>(&event.what)) {
    prompt_ = scored->tokens;
  }
}

void AnswerPieces::add_text(AnswerPiece::Kind kind, const std::string& text,
                            const std::vector<TokenLogprobs>& logprobs) {
  if (text.empty()) {
    append(logprobs_before_, logprobs);
    return;
  }
  if (!is_open_ || pieces_.back().kind != kind) open({.kind = kind});
  AnswerPiece& piece = pieces_.back();
  append(piece.logprobs, std::exchange(logprobs_before_, {}));
  append(piece.logprobs, logprobs);
  piece.text += text;
  if (listener_ != nullptr) listener_->on_text(pieces_.size() - 1, piece, text);
}

void AnswerPieces::open(AnswerPiece piece) {
  close();
  pieces_.push_back(std::move(piece));
  is_open_ = true;
  if (listener_ != nullptr) listener_->on_open(pieces_.size() - 1, pieces_.back());
}

void AnswerPieces::close() {
  if (!is_open_) return;
  is_open_ = false;
  if (listener_ != nullptr) listener_->on_close(pieces_.size() - 1, pieces_.back());
}

std::string AnswerPieces::joined(AnswerPiece::Kind kind) const {
  std::string text;
  for (const AnswerPiece& piece : pieces_) {
    if (piece.kind == kind) text += piece.text;
  }
  return text;
}

bool AnswerPieces::has_calls() const {
  return std::any_of(pieces_.begin(), pieces_.end(), [](const AnswerPiece& piece) {
    return piece.kind == AnswerPiece::Kind::kCall;
  });
}

std::vector<TokenLogprobs> AnswerPieces::all_logprobs() const {
  std::vector<TokenLogprobs> all;
  for (const AnswerPiece& piece : pieces_) append(all, piece.logprobs);
  append(all, logprobs_before_);
  return all;
}

}  // namespace millrace
