// Recursive descent to a tree, the tree to an automaton, the automaton run on sets of states.
#include "model/name_pattern.h"

#include <memory>
#include <optional>
#include <utility>

namespace millrace {

// One parse. Trees are emitted back to front: each part is told which state follows it.
class PatternParser {
 public:
  PatternParser(std::string_view pattern, NamePattern& out) : pattern_(pattern), out_(&out) {}

  Status run() {
    const std::unique_ptr<Tree> tree = TRY(parse_choice(0));
    if (at_ < pattern_.size()) return error("has a ) without its (");
    out_->start_ = emit(*tree, add({}));
    return Ok{};
  }

 private:
  enum class Kind : std::uint8_t { kBytes, kBegin, kEnd, kSequence, kChoice, kRepeat };
  struct Tree {
    Kind kind = Kind::kSequence;
    std::bitset<256> bytes;
    char repeat = 0;  // * + ?
    std::vector<std::unique_ptr<Tree>> parts;
  };
  using State = NamePattern::State;

  Error error(const std::string& what) const {
    return {ErrorCode::kCorruptData, "pattern '" + std::string(pattern_) + "' " + what};
  }
  Error unsupported(const std::string& what) const {
    return {ErrorCode::kUnsupported,
            "pattern '" + std::string(pattern_) + "' uses " + what + ", which is not supported"};
  }
  bool has(char c) const { return at_ < pattern_.size() && pattern_[at_] == c; }
  bool take(char c) {
    if (!has(c)) return false;
    ++at_;
    return true;
  }
  static void add_range(std::bitset<256>& set, unsigned char from, unsigned char to) {
    for (unsigned c = from; c <= to; ++c) set.set(c);
  }

  Result<std::unique_ptr<Tree>> parse_choice(std::size_t depth) {
    if (depth > NamePattern::kDepthMax) {
      return error("has more than " + std::to_string(NamePattern::kDepthMax) + " nested groups");
    }
    auto choice = std::make_unique<Tree>();
    choice->kind = Kind::kChoice;
    do {
      auto sequence = std::make_unique<Tree>();
      while (at_ < pattern_.size() && !has('|') && !has(')')) {
        sequence->parts.push_back(TRY(parse_repeat(depth)));
      }
      choice->parts.push_back(std::move(sequence));
    } while (take('|'));
    return choice;
  }

  Result<std::unique_ptr<Tree>> parse_repeat(std::size_t depth) {
    std::unique_ptr<Tree> part = TRY(parse_atom(depth));
    if (has('{')) return unsupported("counted repetition");
    if (!has('*') && !has('+') && !has('?')) return part;
    auto repeat = std::make_unique<Tree>();
    repeat->kind = Kind::kRepeat;
    repeat->repeat = pattern_[at_++];
    repeat->parts.push_back(std::move(part));
    take('?');  // Lazy.
    if (has('*') || has('+') || has('?') || has('{')) return error("repeats a repetition");
    return repeat;
  }

  Result<std::unique_ptr<Tree>> parse_atom(std::size_t depth) {
    const char c = pattern_[at_++];
    if (c == '(') {
      if (take('?') && !take(':')) return unsupported("a group that begins with (?");
      std::unique_ptr<Tree> group = TRY(parse_choice(depth + 1));
      if (!take(')')) return error("has a ( without its )");
      return group;
    }
    auto atom = std::make_unique<Tree>();
    atom->kind = Kind::kBytes;
    switch (c) {
      case '^':
        atom->kind = Kind::kBegin;
        break;
      case '$':
        atom->kind = Kind::kEnd;
        break;
      case '.':
        atom->bytes.set();
        atom->bytes.reset('\n');
        break;
      case '[':
        atom->bytes = TRY(parse_class());
        break;
      case '\\':
        atom->bytes = TRY(parse_escape());
        break;
      case '*':
      case '+':
      case '?':
        return error("repeats nothing");
      default:
        atom->bytes.set(static_cast<unsigned char>(c));
    }
    return atom;
  }

  Result<std::bitset<256>> parse_escape() {
    if (at_ == pattern_.size()) return error("ends in a backslash");
    const char c = pattern_[at_++];
    std::bitset<256> set;
    switch (c) {
      case 'd':
      case 'D':
        add_range(set, '0', '9');
        break;
      case 'w':
      case 'W':
        add_range(set, '0', '9');
        add_range(set, 'a', 'z');
        add_range(set, 'A', 'Z');
        set.set('_');
        break;
      case 's':
      case 'S':
        for (const char space : {' ', '\t', '\n', '\r', '\f', '\v'}) {
          set.set(static_cast<unsigned char>(space));
        }
        break;
      default: {
        const bool is_name =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (is_name) return unsupported(std::string("\\") + c);
        set.set(static_cast<unsigned char>(c));
        return set;
      }
    }
    if (c == 'D' || c == 'W' || c == 'S') set.flip();
    return set;
  }

  // One byte of a class, or nothing for a set like \d, which is added to `set`.
  Result<std::optional<unsigned char>> parse_class_item(std::bitset<256>& set) {
    if (at_ == pattern_.size()) return error("has a [ without its ]");
    if (!has('\\')) return std::optional(static_cast<unsigned char>(pattern_[at_++]));
    ++at_;
    const std::bitset<256> escaped = TRY(parse_escape());
    if (escaped.count() == 1) return std::optional(static_cast<unsigned char>(pattern_[at_ - 1]));
    set |= escaped;
    return std::optional<unsigned char>();
  }

  Result<std::bitset<256>> parse_class() {
    std::bitset<256> set;
    const bool is_complement = take('^');
    for (bool is_first = true; is_first || !has(']'); is_first = false) {
      const std::optional<unsigned char> from = TRY(parse_class_item(set));
      const bool is_range =
          from && has('-') && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != ']';
      if (!from) continue;
      if (!is_range) {
        set.set(*from);
        continue;
      }
      ++at_;
      const std::optional<unsigned char> to = TRY(parse_class_item(set));
      if (!to || *to < *from) return error("has a range that ends before it begins");
      add_range(set, *from, *to);
    }
    ++at_;
    if (is_complement) set.flip();
    return set;
  }

  std::uint32_t add(State state) {
    out_->states_.push_back(state);
    return static_cast<std::uint32_t>(out_->states_.size() - 1);
  }

  // Where the tree begins when `next` comes after it.
  std::uint32_t emit(const Tree& tree, std::uint32_t next) {
    switch (tree.kind) {
      case Kind::kBytes:
        return add({.kind = NamePattern::Kind::kBytes, .bytes = tree.bytes, .next = next});
      case Kind::kBegin:
        return add({.kind = NamePattern::Kind::kBegin, .bytes = {}, .next = next});
      case Kind::kEnd:
        return add({.kind = NamePattern::Kind::kEnd, .bytes = {}, .next = next});
      case Kind::kSequence:
        for (std::size_t i = tree.parts.size(); i > 0; --i) next = emit(*tree.parts[i - 1], next);
        return next;
      case Kind::kChoice: {
        std::uint32_t start = emit(*tree.parts.back(), next);
        for (std::size_t i = tree.parts.size() - 1; i > 0; --i) {
          const std::uint32_t branch = emit(*tree.parts[i - 1], next);
          start =
              add({.kind = NamePattern::Kind::kSplit, .bytes = {}, .next = branch, .other = start});
        }
        return start;
      }
      case Kind::kRepeat: {
        const State fork{
            .kind = NamePattern::Kind::kSplit, .bytes = {}, .next = next, .other = next};
        const std::uint32_t split = add(fork);
        const std::uint32_t body = emit(*tree.parts.front(), tree.repeat == '?' ? next : split);
        out_->states_[split].next = body;
        return tree.repeat == '+' ? body : split;
      }
    }
    return next;
  }

  std::string_view pattern_;
  NamePattern* out_;
  std::size_t at_ = 0;
};

Result<NamePattern> NamePattern::parse(std::string_view pattern) {
  if (pattern.size() > kBytesMax) {
    return Error{ErrorCode::kTooLarge, "pattern of " + std::to_string(pattern.size()) +
                                           " bytes, at most " + std::to_string(kBytesMax) +
                                           " are allowed"};
  }
  NamePattern parsed;
  TRY(PatternParser(pattern, parsed).run());
  return parsed;
}

// Adds the state and all that follows it without a byte.
void NamePattern::enter(std::uint32_t state, std::size_t at, std::size_t end,
                        std::vector<std::uint32_t>& found, std::vector<bool>& seen) const {
  std::vector<std::uint32_t> open = {state};
  while (!open.empty()) {
    const std::uint32_t index = open.back();
    open.pop_back();
    if (seen[index]) continue;
    seen[index] = true;
    const State& here = states_[index];
    if (here.kind == Kind::kSplit) {
      open.push_back(here.other);
      open.push_back(here.next);
    } else if (here.kind == Kind::kBegin || here.kind == Kind::kEnd) {
      if (at == (here.kind == Kind::kBegin ? 0 : end)) open.push_back(here.next);
    } else {
      found.push_back(index);
    }
  }
}

bool NamePattern::matches_end(std::string_view text) const {
  for (std::size_t first = 0;; ++first) {
    if (matches_from(text, first)) return true;
    first = text.find('.', first);
    if (first == std::string_view::npos) return false;
  }
}

bool NamePattern::matches_from(std::string_view text, std::size_t first) const {
  std::vector<std::uint32_t> current;
  std::vector<std::uint32_t> following;
  std::vector<bool> seen(states_.size());
  enter(start_, first, text.size(), current, seen);
  for (std::size_t i = first; i < text.size() && !current.empty(); ++i) {
    following.clear();
    seen.assign(states_.size(), false);
    for (const std::uint32_t state : current) {
      if (states_[state].kind != Kind::kBytes) continue;
      if (!states_[state].bytes[static_cast<unsigned char>(text[i])]) continue;
      enter(states_[state].next, i + 1, text.size(), following, seen);
    }
    std::swap(current, following);
  }
  for (const std::uint32_t state : current) {
    if (states_[state].kind == Kind::kAccept) return true;
  }
  return false;
}

}  // namespace millrace
