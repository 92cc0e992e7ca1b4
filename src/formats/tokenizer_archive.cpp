// The fields of a TokenizerSpec, in order. A change here is a new kPackedModelVersion.
#include "formats/tokenizer_archive.h"

#include "formats/archive.h"

namespace millrace {

// ---- Normalisers ----

template <class Archive>
void archive_fields(Archive& archive, Pattern& pattern) {
  archive.choice(pattern.kind, Pattern::Kind::kRegex);
  archive.text(pattern.text);
}
template <class Archive>
void archive_fields(Archive& archive, PrependNormalizer& step) {
  archive.text(step.text);
}
template <class Archive>
void archive_fields(Archive& archive, ReplaceNormalizer& step) {
  archive_fields(archive, step.pattern);
  archive.text(step.content);
}
template <class Archive>
void archive_fields(Archive& archive, UnicodeNormalizer& step) {
  archive.choice(step.form, UnicodeForm::kNfkd);
}
template <class Archive>
void archive_fields(Archive& /*archive*/, LowercaseNormalizer& /*step*/) {}
template <class Archive>
void archive_fields(Archive& archive, StripNormalizer& step) {
  archive.flag(step.left);
  archive.flag(step.right);
}
template <class Archive>
void archive_fields(Archive& /*archive*/, StripAccentsNormalizer& /*step*/) {}
template <class Archive>
void archive_fields(Archive& /*archive*/, SqueezeSpacesNormalizer& /*step*/) {}
template <class Archive>
void archive_fields(Archive& archive, CharsMapNormalizer& step) {
  archive.text(step.bytes);
  archive.flag(step.by_grapheme);
  archive.list(step.kept, ArchiveText{});
}
template <class Archive>
void archive_fields(Archive& archive, BertNormalizer& step) {
  archive.flag(step.clean_text);
  archive.flag(step.handle_chinese_chars);
  archive.flag(step.strip_accents);
  archive.flag(step.lowercase);
}
template <class Archive>
void archive_fields(Archive& /*archive*/, NmtNormalizer& /*step*/) {}
template <class Archive>
void archive_fields(Archive& /*archive*/, ByteLevelNormalizer& /*step*/) {}

// ---- Pre-tokenisers ----

template <class Archive>
void archive_fields(Archive& archive, SplitPreTokenizer& step) {
  archive_fields(archive, step.pattern);
  archive.choice(step.behavior, SplitBehavior::kContiguous);
  archive.flag(step.invert);
}
template <class Archive>
void archive_fields(Archive& archive, ByteLevelPreTokenizer& step) {
  archive.flag(step.add_prefix_space);
  archive.flag(step.use_regex);
}
template <class Archive>
void archive_fields(Archive& archive, DigitsPreTokenizer& step) {
  archive.flag(step.individual_digits);
}
template <class Archive>
void archive_fields(Archive& archive, PunctuationPreTokenizer& step) {
  archive.choice(step.behavior, SplitBehavior::kContiguous);
}
template <class Archive>
void archive_fields(Archive& archive, MetaspacePreTokenizer& step) {
  archive.text(step.replacement);
  archive.choice(step.prepend_scheme, PrependScheme::kAlways);
  archive.flag(step.split);
}
template <class Archive>
void archive_fields(Archive& /*archive*/, WhitespacePreTokenizer& /*step*/) {}
template <class Archive>
void archive_fields(Archive& /*archive*/, WhitespaceSplitPreTokenizer& /*step*/) {}
template <class Archive>
void archive_fields(Archive& /*archive*/, BertPreTokenizer& /*step*/) {}
template <class Archive>
void archive_fields(Archive& archive, CharDelimiterPreTokenizer& step) {
  archive.text(step.delimiter);
}
template <class Archive>
void archive_fields(Archive& archive, FixedLengthPreTokenizer& step) {
  archive.number(step.num_characters);
}
template <class Archive>
void archive_fields(Archive& /*archive*/, UnicodeScriptsPreTokenizer& /*step*/) {}

// ---- Decoders ----

template <class Archive>
void archive_fields(Archive& /*archive*/, ByteLevelDecoder& /*step*/) {}
template <class Archive>
void archive_fields(Archive& /*archive*/, ByteFallbackDecoder& /*step*/) {}
template <class Archive>
void archive_fields(Archive& /*archive*/, FuseDecoder& /*step*/) {}
template <class Archive>
void archive_fields(Archive& archive, ReplaceDecoder& step) {
  archive_fields(archive, step.pattern);
  archive.text(step.content);
}
template <class Archive>
void archive_fields(Archive& archive, StripDecoder& step) {
  archive.text(step.content);
  archive.number(step.start);
  archive.number(step.stop);
}
template <class Archive>
void archive_fields(Archive& archive, MetaspaceDecoder& step) {
  archive.text(step.replacement);
  archive.choice(step.prepend_scheme, PrependScheme::kAlways);
}
template <class Archive>
void archive_fields(Archive& archive, WordPieceDecoder& step) {
  archive.text(step.prefix);
  archive.flag(step.cleanup);
}
template <class Archive>
void archive_fields(Archive& archive, BpeDecoder& step) {
  archive.text(step.suffix);
}
template <class Archive>
void archive_fields(Archive& archive, CtcDecoder& step) {
  archive.text(step.pad);
  archive.text(step.word_delimiter);
  archive.flag(step.cleanup);
}
template <class Archive>
void archive_fields(Archive& /*archive*/, SpaceJoinDecoder& /*step*/) {}

// ---- The whole ----

template <class Archive>
void archive_fields(Archive& archive, Piece& piece) {
  archive.text(piece.text);
  archive.number(piece.score);
  archive.choice(piece.type, PieceType::kByte);
}
template <class Archive>
void archive_fields(Archive& archive, AddedToken& token) {
  archive.number(token.id);
  archive.text(token.content);
  archive.flag(token.special);
  archive.flag(token.single_word);
  archive.flag(token.lstrip);
  archive.flag(token.rstrip);
  archive.flag(token.normalized);
  archive.flag(token.verbatim);
}
template <class Archive>
void archive_fields(Archive& archive, TokenizerSpec::NamedTemplate& named) {
  archive.text(named.name);
  archive.text(named.source);
}

struct ArchiveTextPair {
  template <class Archive>
  void operator()(Archive& archive, std::pair<std::string, std::string>& pair) const {
    archive.text(pair.first);
    archive.text(pair.second);
  }
};
struct ArchiveOneOf {
  template <class Archive, class T>
  void operator()(Archive& archive, T& value) const {
    archive.one_of(value);
  }
};

template <class Archive>
void archive_fields(Archive& archive, TokenizerSpec& spec) {
  archive.choice(spec.model, TokenizerModel::kWordLevel);
  archive.list(spec.pieces, ArchiveFields{});
  archive.choice(spec.merge_source, MergeSource::kPieceRank);
  archive.list(spec.merges, ArchiveTextPair{});
  archive.flag(spec.float_sums);
  archive.flag(spec.merges_user_defined);
  archive.flag(spec.byte_fallback);
  archive.flag(spec.fuse_unk);
  archive.flag(spec.ignore_merges);
  archive.text(spec.continuing_subword_prefix);
  archive.text(spec.end_of_word_suffix);
  archive.number(spec.word_characters_max);
  archive.list(spec.added_tokens, ArchiveFields{});
  archive.list(spec.normalizers, ArchiveOneOf{});
  archive.list(spec.pre_tokenizers, ArchiveOneOf{});
  archive.list(spec.decoders, ArchiveOneOf{});
  archive.list(spec.prefix_ids, ArchiveNumber{});
  archive.list(spec.suffix_ids, ArchiveNumber{});
  for (auto* id : {&spec.unk_id, &spec.bos_id, &spec.eos_id, &spec.pad_id}) {
    archive.maybe(*id, ArchiveNumber{});
  }
  archive.list(spec.end_of_generation_ids, ArchiveNumber{});
  archive.list(spec.chat_templates, ArchiveFields{});
}

std::string write_tokenizer_archive(const TokenizerSpec& spec) {
  ArchiveWriter writer;
  archive_fields(writer, const_cast<TokenizerSpec&>(spec));  // A writer changes nothing.
  return writer.bytes();
}

Result<TokenizerSpec> read_tokenizer_archive(std::span<const std::byte> bytes,
                                             const std::string& name) {
  ArchiveReader reader(bytes);
  TokenizerSpec spec;
  archive_fields(reader, spec);
  TRY(reader.finish(name));
  return spec;
}

}  // namespace millrace
