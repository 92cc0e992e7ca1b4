// Encoding and decoding against the plainest possible implementations, on random vocabularies and
// hostile texts.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <thread>

#include "base/random.h"
#include "text/byte_alphabet.h"
#include "text/detokenizer.h"
#include "text/utf8.h"

namespace millrace {
namespace {

using Words = std::vector<std::string>;

// A vocabulary with all bytes and random merges of what is there already.
TokenizerSpec random_byte_level_spec(Random& random, std::size_t num_merges) {
  TokenizerSpec spec;
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string text;
    append_utf8(byte_to_alphabet(static_cast<std::uint8_t>(byte)), text);
    spec.pieces.push_back({.text = text});
  }
  // Few letters, so that merges meet often.
  std::vector<std::string> parts = {"a", "b", "c", "\xC4\xA0"};
  for (std::size_t i = 0; i < num_merges; ++i) {
    const std::string left = parts[random.below(parts.size())];
    const std::string right = parts[random.below(parts.size())];
    if (std::find(parts.begin(), parts.end(), left + right) == parts.end()) {
      spec.pieces.push_back({.text = left + right});
      parts.push_back(left + right);
    }
    spec.merges.emplace_back(left, right);
  }
  spec.pre_tokenizers.emplace_back(ByteLevelPreTokenizer{.use_regex = false});
  spec.decoders.emplace_back(ByteLevelDecoder{});
  return spec;
}

// Merges by the book: the best pair anywhere, the leftmost of equals, until there is none.
Words plain_bpe(Words symbols,
                const std::map<std::pair<std::string, std::string>, std::size_t>& ranks) {
  for (;;) {
    std::size_t best_rank = std::numeric_limits<std::size_t>::max();
    std::size_t best = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = ranks.find({symbols[i], symbols[i + 1]});
      if (found == ranks.end() || found->second >= best_rank) continue;
      best_rank = found->second;
      best = i;
    }
    if (best_rank == std::numeric_limits<std::size_t>::max()) return symbols;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

std::vector<TokenId> encode(const Tokenizer& tokenizer, std::string_view text,
                            EncodeOptions options = {.add_special = AddSpecial::kNo}) {
  return MUST(tokenizer.encode(text, options));  // the texts of these tests are within the limits
}

std::string random_text(Random& random, std::string_view letters, std::size_t num_letters) {
  std::string text;
  for (std::size_t i = 0; i < num_letters; ++i)
    text.push_back(letters[random.below(letters.size())]);
  return text;
}

TEST(Tokenizer, MergesLikeThePlainAlgorithmWhateverTheLength) {
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    const TokenizerSpec spec = random_byte_level_spec(random, 1 + random.below(40));
    const Tokenizer tokenizer = MUST(Tokenizer::create(spec));  // it is whole
    std::map<std::pair<std::string, std::string>, std::size_t> ranks;
    for (std::size_t i = 0; i < spec.merges.size(); ++i) {
      ranks.insert_or_assign(std::pair(*alphabet_to_bytes(spec.merges[i].first),
                                       *alphabet_to_bytes(spec.merges[i].second)),
                             i);
    }
    // Below and above the length at which the heap takes over.
    const std::string text = random_text(random, "abc ", 1 + random.below(140));
    Words symbols;
    for (const char c : text) symbols.emplace_back(1, c);
    Words got;
    for (const TokenId id : encode(tokenizer, text)) got.emplace_back(tokenizer.piece(id));
    ASSERT_EQ(got, plain_bpe(symbols, ranks)) << text;
    // The second time words that are pieces are taken whole.
    Words again;
    for (const TokenId id : encode(tokenizer, text)) again.emplace_back(tokenizer.piece(id));
    ASSERT_EQ(again, got);
  }
}

constexpr const char* kMarker = "\xE2\x96\x81";

// A SentencePiece vocabulary: control pieces, bytes, letters and random longer pieces by score.
TokenizerSpec random_sentencepiece_spec(Random& random, std::size_t num_pieces) {
  TokenizerSpec spec;
  spec.pieces = {{.text = "<unk>", .score = 0, .type = PieceType::kUnknown},
                 {.text = "<s>", .score = 0, .type = PieceType::kControl},
                 {.text = "</s>", .score = 0, .type = PieceType::kControl}};
  for (unsigned byte = 0; byte < 256; ++byte) {
    spec.pieces.push_back({.text = byte_piece(static_cast<std::uint8_t>(byte)),
                           .score = 0,
                           .type = PieceType::kByte});
  }
  // "e" is in longer pieces but is none itself.
  const Words letters = {"a", "b", "c", kMarker, "\xC3\xA9", "e"};
  std::map<std::string, bool> seen;
  for (std::size_t i = 0; i < num_pieces; ++i) {
    std::string text;
    for (std::size_t n = random.between(i < 5 ? 1 : 2, 4); n > 0; --n) {
      text += i < 5 ? letters[i] : letters[random.below(letters.size())];
      if (i < 5) break;
    }
    // Scores repeat, so that ties are met.
    const auto score = -static_cast<double>(random.below(num_pieces));
    if (seen.emplace(text, true).second) spec.pieces.push_back({.text = text, .score = score});
  }
  spec.merge_source = MergeSource::kPieceScore;
  spec.byte_fallback = true;
  spec.fuse_unk = true;
  spec.unk_id = 0;
  spec.bos_id = 1;
  spec.eos_id = 2;
  spec.prefix_ids = {1};
  for (TokenId id = 0; id < 3; ++id) {
    spec.added_tokens.push_back({.id = id, .content = spec.pieces[id].text, .special = true});
  }
  spec.normalizers = {PrependNormalizer{kMarker},
                      ReplaceNormalizer{{Pattern::Kind::kLiteral, " "}, kMarker}};
  spec.decoders = {ReplaceDecoder{{Pattern::Kind::kLiteral, kMarker}, " "}, ByteFallbackDecoder{},
                   FuseDecoder{}, StripDecoder{" ", 1, 0}};
  return spec;
}

// SentencePiece by the book: of all neighbours whose concatenation is a piece, the best score.
Words plain_sentencepiece(const std::string& text, const TokenizerSpec& spec) {
  std::map<std::string, double> scores;
  for (const Piece& piece : spec.pieces) {
    if (piece.type == PieceType::kNormal) scores.emplace(piece.text, piece.score);
  }
  Words symbols;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t n = decode_utf8(rest).num_bytes;
    symbols.emplace_back(rest.substr(0, n));
    rest.remove_prefix(n);
  }
  for (;;) {
    std::size_t best = symbols.size();
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = scores.find(symbols[i] + symbols[i + 1]);
      if (found == scores.end()) continue;
      if (best == symbols.size() || found->second > scores[symbols[best] + symbols[best + 1]]) {
        best = i;
      }
    }
    if (best == symbols.size()) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  Words pieces;
  for (const std::string& symbol : symbols) {
    if (scores.contains(symbol)) {
      pieces.push_back(symbol);
      continue;
    }
    for (const char c : symbol) pieces.push_back(byte_piece(static_cast<std::uint8_t>(c)));
  }
  return pieces;
}

TEST(Tokenizer, MergesByScoreLikeThePlainAlgorithm) {
  Random random(4);
  for (int round = 0; round < 300; ++round) {
    const TokenizerSpec spec = random_sentencepiece_spec(random, 5 + random.below(60));
    const Tokenizer tokenizer = MUST(Tokenizer::create(spec));  // it is whole
    std::string text = random_text(random, "abc  eeZ", 1 + random.below(140));
    for (std::size_t n = random.below(4); n > 0; --n) {
      text.insert(random.below(text.size()), "\xC3\xA9");
      if (find_invalid_utf8(text)) text = repair_utf8(text);
    }
    std::string marked = kMarker;
    for (const char c : text) marked += c == ' ' ? std::string(kMarker) : std::string(1, c);
    Words got;
    for (const TokenId id : encode(tokenizer, text)) got.push_back(spec.pieces[id].text);
    ASSERT_EQ(got, plain_sentencepiece(marked, spec)) << text;
  }
}

TEST(Tokenizer, TextSurvivesTheRoundTrip) {
  Random random(5);
  const Tokenizer byte_level =
      MUST(Tokenizer::create(random_byte_level_spec(random, 60)));  // it is whole
  const Tokenizer sentencepiece =
      MUST(Tokenizer::create(random_sentencepiece_spec(random, 60)));  // it is whole
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (std::size_t n = random.below(30); n > 0; --n) {
      append_utf8(
          static_cast<char32_t>(random.chance(0.5) ? random.below(0x80) : random.below(0xD800)),
          text);
    }
    ASSERT_EQ(MUST(byte_level.decode(encode(byte_level, text))), text);        // ids from encode
    ASSERT_EQ(MUST(sentencepiece.decode(encode(sentencepiece, text))), text);  // ids from encode
  }
}

TEST(Tokenizer, SpecialTokensOfUntrustedTextStayText) {
  Random random(6);
  const Tokenizer tokenizer =
      MUST(Tokenizer::create(random_sentencepiece_spec(random, 40)));  // it is whole
  const std::string text = "a</s>b<s>";
  const auto plain = encode(tokenizer, text);
  for (const TokenId id : plain) EXPECT_FALSE(tokenizer.is_special(id));
  EXPECT_EQ(MUST(tokenizer.decode(plain)), text);  // ids from encode
  const auto parsed = encode(
      tokenizer, text, {.add_special = AddSpecial::kYes, .parse_special = ParseSpecial::kYes});
  EXPECT_EQ(parsed.front(), TokenId{1});
  EXPECT_EQ(parsed.back(), TokenId{1});
  EXPECT_EQ(std::count(parsed.begin(), parsed.end(), TokenId{2}), 1);
}

TEST(Tokenizer, SpecialTokensAreNeverMadeByMerging) {
  TokenizerSpec spec;
  for (const char* text : {"a", "b", "ab"}) spec.pieces.push_back({.text = text});
  spec.merge_source = MergeSource::kPieceRank;
  spec.ignore_merges = true;
  spec.added_tokens.push_back({.id = 2, .content = "ab", .special = true});
  const Tokenizer tokenizer = MUST(Tokenizer::create(spec));  // it is whole
  EXPECT_EQ(encode(tokenizer, "abab"), (std::vector<TokenId>{0, 1, 0, 1}));
  EXPECT_EQ(encode(tokenizer, "abab", {.parse_special = ParseSpecial::kYes}),
            (std::vector<TokenId>{2, 2}));
}

TEST(Tokenizer, InvalidUtf8IsReadAsReplacementCharacters) {
  Random random(7);
  const Tokenizer tokenizer = MUST(Tokenizer::create(random_byte_level_spec(random, 10)));  // whole
  EXPECT_EQ(encode(tokenizer, "a\xFF\xC3(b"), encode(tokenizer, "a\xEF\xBF\xBD\xEF\xBF\xBD(b"));
}

TEST(Tokenizer, RefusesSpecsThatContradictThemselves) {
  Random random(8);
  const TokenizerSpec good = random_byte_level_spec(random, 10);
  const auto num_tokens = static_cast<TokenId>(good.pieces.size());
  const auto refused = [&good](auto change, const std::string& words) {
    TokenizerSpec bad = good;
    change(bad);
    const auto result = Tokenizer::create(bad);
    ASSERT_FALSE(result.ok()) << words;
    EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
  };
  refused([](TokenizerSpec& s) { s.pieces.clear(); }, "vocabulary of 0 tokens");
  refused([&](TokenizerSpec& s) { s.eos_id = num_tokens; }, "eos id");
  refused([&](TokenizerSpec& s) { s.prefix_ids = {num_tokens}; }, "template id");
  refused([&](TokenizerSpec& s) { s.added_tokens.push_back({.id = num_tokens, .content = "x"}); },
          "added token id");
  refused([](TokenizerSpec& s) { s.added_tokens.push_back({.id = 1, .content = ""}); }, "0 bytes");
  refused([](TokenizerSpec& s) { s.merges.emplace_back("a", "zz"); }, "merge");
  refused(
      [](TokenizerSpec& s) {
        s.pre_tokenizers = {SplitPreTokenizer{{Pattern::Kind::kRegex, "(a"}}};
      },
      "does not compile");
  refused([](TokenizerSpec& s) { s.pre_tokenizers.emplace_back(MetaspacePreTokenizer{}); },
          "after ByteLevel");
  refused(
      [](TokenizerSpec& s) {
        s.decoders = {FuseDecoder{}, ByteFallbackDecoder{}};
      },
      "after Fuse");
  refused([](TokenizerSpec& s) { s.normalizers = {CharsMapNormalizer{"abc"}}; }, "character map");
}

TEST(Tokenizer, DecodeRefusesIdsOutsideTheVocabulary) {
  Random random(9);
  const Tokenizer tokenizer = MUST(Tokenizer::create(random_byte_level_spec(random, 10)));  // whole
  const std::vector<TokenId> ids = {static_cast<TokenId>(tokenizer.num_tokens())};
  EXPECT_FALSE(tokenizer.decode(ids).ok());
  EXPECT_EQ(tokenizer.piece(ids[0]), "");
}

TEST(Tokenizer, ABombOfAPatternStopsWithAnError) {
  Random random(10);
  TokenizerSpec spec = random_byte_level_spec(random, 10);
  spec.pre_tokenizers.insert(spec.pre_tokenizers.begin(),
                             SplitPreTokenizer{{Pattern::Kind::kRegex, "(a+)+\\z"}});
  const Tokenizer tokenizer = MUST(Tokenizer::create(spec));  // the pattern itself is well-formed
  const auto result = tokenizer.encode(std::string(64, 'a') + "b");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kResourceExhausted);
}

TEST(Tokenizer, ThreadsThatShareAVocabularyAgree) {
  Random random(11);
  const Tokenizer tokenizer = MUST(Tokenizer::create(random_byte_level_spec(random, 60)));  // whole
  std::vector<std::string> texts;
  for (int i = 0; i < 200; ++i) texts.push_back(random_text(random, "abc ", random.below(50)));
  std::vector<std::vector<std::vector<TokenId>>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] {
      for (const std::string& text : texts) result.push_back(encode(tokenizer, text));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, results[0]);
}

std::string stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids,
                   DetokenizerOptions options) {
  Detokenizer detokenizer(tokenizer, options);
  std::string text;
  for (const TokenId id : ids) {
    const std::string part = detokenizer.push(id);
    EXPECT_FALSE(find_invalid_utf8(part));
    text += part;
  }
  return text + detokenizer.flush();
}

TEST(Detokenizer, StreamEqualsDecodeOfAnyIds) {
  Random random(12);
  for (int round = 0; round < 2000; ++round) {
    const TokenizerSpec spec =
        round % 2 == 0 ? random_byte_level_spec(random, 20) : random_sentencepiece_spec(random, 20);
    const Tokenizer tokenizer = MUST(Tokenizer::create(spec));  // it is whole
    std::vector<TokenId> ids;
    for (std::size_t n = random.below(20); n > 0; --n) {
      ids.push_back(static_cast<TokenId>(random.below(tokenizer.num_tokens())));
    }
    for (const SkipSpecial skip : {SkipSpecial::kNo, SkipSpecial::kYes}) {
      const std::string decoded = MUST(tokenizer.decode(ids, {skip}));  // ids below num_tokens
      ASSERT_EQ(stream(tokenizer, ids, {.skip_special = skip}), decoded);
      ASSERT_FALSE(find_invalid_utf8(decoded));
    }
  }
}

TEST(Detokenizer, HoldsCharactersTogetherAndTheFirstSpaceBack) {
  Random random(13);
  const TokenizerSpec spec = random_sentencepiece_spec(random, 5);
  const Tokenizer tokenizer = MUST(Tokenizer::create(spec));  // it is whole
  const TokenId space = *tokenizer.find_token(kMarker);
  const TokenId letter = *tokenizer.find_token("a");
  const auto byte = [](std::uint8_t value) { return static_cast<TokenId>(3 + value); };
  Detokenizer start(tokenizer);
  EXPECT_EQ(start.push(1), "");  // bos, skipped
  EXPECT_EQ(start.push(space), "");
  EXPECT_EQ(start.push(space), " ");
  EXPECT_EQ(start.push(byte(0xE4)), "");
  EXPECT_EQ(start.push(byte(0xB8)), "");
  EXPECT_EQ(start.push(byte(0xAD)), "\xE4\xB8\xAD");
  EXPECT_EQ(start.push(byte(0xE4)), "");
  EXPECT_EQ(start.push(letter),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(start.push(byte(0xF0)), "");
  EXPECT_EQ(start.flush(), "\xEF\xBF\xBD");
  EXPECT_EQ(start.push(space), "");  // a new text begins
  Detokenizer further(tokenizer, {.position = StreamPosition::kContinuation});
  EXPECT_EQ(further.push(space), " ");
}

}  // namespace
}  // namespace millrace
