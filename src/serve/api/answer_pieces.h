// A choice as the list of pieces that it consists of: thoughts, texts and calls, in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "serve/api/answer.h"

namespace millrace {

struct AnswerPiece {
  enum class Kind : std::uint8_t { kReasoning, kText, kCall };
  Kind kind = Kind::kText;
  std::string text = {};                     // of a call: its arguments
  std::string call_id = {};                  // of a call
  std::string name = {};                     // of a call
  std::vector<TokenLogprobs> logprobs = {};  // of its tokens
};

// Told of pieces as they open, grow and close; `index` counts from 0 within the choice.
class PieceListener {
 public:
  virtual ~PieceListener() = default;
  virtual void on_open(std::size_t index, const AnswerPiece& piece) = 0;
  virtual void on_text(std::size_t index, const AnswerPiece& piece, const std::string& text) = 0;
  virtual void on_close(std::size_t index, const AnswerPiece& piece) = 0;
};

// Puts one choice's events together. A piece closes when another opens, its call ends or the choice
// does.
class AnswerPieces {
 public:
  // `listener` may be null; it outlives the object.
  explicit AnswerPieces(PieceListener* listener = nullptr) : listener_(listener) {}

  void add(const AnswerEvent& event);

  const std::vector<AnswerPiece>& pieces() const { return pieces_; }
  const std::optional<ChoiceFinished>& finished() const { return finished_; }
  const std::vector<TokenLogprobs>& prompt() const { return prompt_; }
  // The text of all pieces of a kind.
  std::string joined(AnswerPiece::Kind kind) const;
  bool has_calls() const;
  // Of all pieces, and of tokens that made no text.
  std::vector<TokenLogprobs> all_logprobs() const;

 private:
  void add_text(AnswerPiece::Kind kind, const std::string& text,
                const std::vector<TokenLogprobs>& logprobs);
  void open(AnswerPiece piece);
  void close();

  PieceListener* listener_;
  std::vector<AnswerPiece> pieces_;
  bool is_open_ = false;                        // the last piece
  std::vector<TokenLogprobs> logprobs_before_;  // of tokens that came before the next piece
  std::optional<ChoiceFinished> finished_;
  std::vector<TokenLogprobs> prompt_;  // of PromptScored
};

}  // namespace millrace
