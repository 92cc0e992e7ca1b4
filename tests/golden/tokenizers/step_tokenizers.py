"""Small vocabularies that go through every step of tokenizer.json, with their golden ids.

    venv/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3
    venv/bin/python step_tokenizers.py ../../../../shared/data [NAME ...]

Writes <name>/tokenizer.json, <name>.ids.json as make_golden.py does, and step_texts.json: the texts
of texts.json and more, about added tokens and words beside each other.
"""

import json
import os
import sys

import make_golden
from make_golden import HERE, split
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = ["<0x%02X>" % b for b in range(256)]
MORE_TEXTS = [
    "hello  <a>world<a> <b>x<b>  <c> y<d>z <D> ab<e>cd  <e>  q",
    "x <c>  <c>\n<d> \u200b<a>Ⓐ<a> _<a>²<a>ⅷ<a>",
    "ab ab<a> ２<a>e\u0301<b>\u0301<中>中<中>",
    "<a><a><b><b><c><c><d><d><e><e>",
    " <a> <b> <c> <d> <e> ",
    "a<<a>>b<a<a>",
    "ﷺ ﬃ ① ｶﾞ が Ｈｅｌｌｏ\r\n\r\nA\u030a Ａ\u030a",
    "Ω中a ゠ー々 кы b 一ー ア",
    " \u3000中 a",
    "ab</w> cd</w> ab</w>",
    "don 't do not n't . , ? ! it 's we 've they 're I 'm",
    "||a||bb|| aaa bbb",
    "\x00\x0b\x0c\x1c\x1d\x85\u180e\u200b\u2028x",
    "12345 1234567 12 ²³½ a²b",
    "\ud7ff\ue000\uffff\U0010ffff",
    "👨‍👩‍👧‍👦e\u0301\u0301\u0301\u0301\u0301\u0301x",
]


def charsmap():
    """The compiled form of a few rules, made by sentencepiece and taken out of its model."""
    import sentencepiece

    with open("rules.tsv", "w") as file:
        file.write("FF21\t41\n41 30A\tC5\nFB01\t66 69\n9\t20\n65 301\tE9\nD\t20\nA\t20\nFF48\t68\n")
    with open("lines.txt", "w") as file:
        file.write("a b c d e f\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input="lines.txt",
        model_prefix="rules",
        model_type="char",
        vocab_size=10,
        normalization_rule_tsv="rules.tsv",
        minloglevel=2,
    )
    with open("rules.model", "rb") as file:
        model = file.read()
    for name in ["rules.tsv", "lines.txt", "rules.model", "rules.vocab"]:
        os.remove(name)
    return dict(fields(dict(fields(model))[3]))[2]


def fields(message):
    """The varint and bytes fields of a protobuf message; of repeated ones the last counts."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 2:
            size = varint()
            yield key >> 3, message[at : at + size]
            at += size
        elif key & 7 == 0:
            yield key >> 3, varint()
        else:
            at += 4 if key & 7 == 5 else 8


def bpe_trainer(**options):
    special = SPECIAL + options.pop("bytes", [])
    return trainers.BpeTrainer(
        vocab_size=450 + len(special), special_tokens=special, show_progress=False, **options
    )


def unigram_trainer(extra=()):
    return trainers.UnigramTrainer(
        vocab_size=400,
        special_tokens=SPECIAL + list(extra),
        unk_token="<unk>",
        show_progress=False,
    )


def parts(tokenizer, normalizer=None, pre=None, decoder=None):
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    if decoder is not None:
        tokenizer.decoder = decoder
    return tokenizer


def tokenizers_with_trainers():
    """name -> (tokenizer, trainer)."""
    bytes_of = pre_tokenizers.ByteLevel
    alphabet = bytes_of.alphabet()
    sequence = pre_tokenizers.Sequence
    fuse = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    made = {}
    made["scripts"] = (
        parts(
            Tokenizer(models.Unigram()),
            normalizers.Nmt(),
            sequence([pre_tokenizers.UnicodeScripts(), pre_tokenizers.WhitespaceSplit()]),
            decoders.Fuse(),
        ),
        unigram_trainer(),
    )
    made["byte_normalizer"] = (
        parts(
            Tokenizer(models.BPE()),
            normalizers.Sequence([normalizers.NFC(), normalizers.ByteLevel()]),
            split("Ġ", "merged_with_next"),
            decoders.ByteLevel(),
        ),
        bpe_trainer(initial_alphabet=alphabet),
    )
    clip = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    made["clip"] = (
        parts(
            Tokenizer(models.BPE(unk_token="</s>", end_of_word_suffix="</w>")),
            normalizers.Sequence(
                [
                    normalizers.NFC(),
                    normalizers.Replace(Regex(r"\s+"), " "),
                    normalizers.Lowercase(),
                ]
            ),
            sequence([split(clip, "removed", True), bytes_of(add_prefix_space=False)]),
            decoders.BPEDecoder("</w>"),
        ),
        bpe_trainer(initial_alphabet=alphabet, end_of_word_suffix="</w>"),
    )
    made["subword_prefix"] = (
        parts(
            Tokenizer(
                models.BPE(
                    unk_token="<unk>",
                    continuing_subword_prefix="##",
                    fuse_unk=True,
                    byte_fallback=True,
                )
            ),
            normalizers.StripAccents(),
            pre_tokenizers.BertPreTokenizer(),
            decoders.WordPiece("##", True),
        ),
        # One byte is missing, so that some characters are unknown all the same.
        bpe_trainer(
            continuing_subword_prefix="##",
            bytes=BYTES[:0x9F] + BYTES[0xA0:],
            limit_alphabet=90,
        ),
    )
    made["characters"] = (
        parts(
            Tokenizer(models.WordLevel(unk_token="<unk>")),
            normalizers.Replace(" ", "|"),
            split("(?m:.)"),
            decoders.CTC("<unk>", "|", True),
        ),
        trainers.WordLevelTrainer(vocab_size=120, special_tokens=SPECIAL, show_progress=False),
    )
    made["word_level"] = (
        parts(
            Tokenizer(models.WordLevel(unk_token="<unk>")),
            normalizers.Strip(left=False, right=True),
            sequence(
                [
                    pre_tokenizers.Punctuation("merged_with_next"),
                    pre_tokenizers.Metaspace("▁", "never", True),
                ]
            ),
            decoders.Sequence([decoders.Replace(Regex("▁+"), " "), decoders.Strip("a", 1, 1)]),
        ),
        trainers.WordLevelTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False),
    )
    made["ignore_merges"] = (
        parts(
            Tokenizer(models.BPE(ignore_merges=True)),
            normalizers.Prepend(" "),
            bytes_of(add_prefix_space=True, use_regex=True),
            decoders.ByteLevel(),
        ),
        bpe_trainer(initial_alphabet=alphabet),
    )
    made["unigram_fallback"] = (
        parts(
            Tokenizer(models.Unigram()),
            normalizers.NFKD(),
            pre_tokenizers.Metaspace("▁", "first", False),
            decoders.Sequence(fuse + [decoders.Strip(" ", 1, 0)]),
        ),
        unigram_trainer(BYTES),
    )
    made["unigram_byte_level"] = (
        parts(Tokenizer(models.Unigram()), None, bytes_of(), decoders.ByteLevel()),
        unigram_trainer(),
    )
    made["precompiled"] = (
        parts(
            Tokenizer(models.Unigram()),
            normalizers.Sequence(
                [
                    normalizers.Precompiled(charsmap()),
                    normalizers.Replace(Regex(" {2,}"), "▁"),
                ]
            ),
            sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace("▁", "always")]),
            decoders.Metaspace("▁", "always"),
        ),
        unigram_trainer(),
    )
    made["bert_cased"] = (
        parts(
            Tokenizer(models.WordPiece(unk_token="<unk>", max_input_chars_per_word=10)),
            normalizers.BertNormalizer(False, True, False, False),
            pre_tokenizers.BertPreTokenizer(),
            decoders.WordPiece("##", True),
        ),
        trainers.WordPieceTrainer(
            vocab_size=400, special_tokens=SPECIAL, limit_alphabet=120, show_progress=False
        ),
    )
    made["patterns"] = (
        parts(
            Tokenizer(models.BPE()),
            normalizers.Replace(Regex(r"(?<![a-z])e|\p{N}{1,3}+"), "E"),
            bytes_of_sequence(
                split(r"\b", "isolated"),
                split(r"[[:punct:]]+|\p{Emoji}", "merged_with_previous"),
                split(r"\d{1,3}(?=(?:\d{3})*\b)", "merged_with_next"),
                split(r"[^\W\d_]+|\p{Hiragana}+", "contiguous"),
                split(r"a(?i)b|c|x{,2}y|\v|\h{4}", "isolated", True),
            ),
            decoders.ByteLevel(),
        ),
        bpe_trainer(initial_alphabet=alphabet),
    )
    made["fixed_length"] = (
        parts(
            Tokenizer(models.BPE(unk_token="<unk>")),
            normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()]),
            sequence(
                [
                    pre_tokenizers.FixedLength(4),
                    pre_tokenizers.Digits(False),
                    pre_tokenizers.CharDelimiterSplit("a"),
                ]
            ),
        ),
        bpe_trainer(limit_alphabet=80),
    )
    return made


def bytes_of_sequence(*steps):
    return make_golden.bytes_after(*steps)


def finish(tokenizer, trainer, corpus, number):
    tokenizer.train_from_iterator(corpus, trainer)
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
    if data["model"]["type"] == "Unigram":
        data["model"]["byte_fallback"] = any(p[0] == "<0x00>" for p in data["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(data))
    # Every rule of added tokens, in turn.
    for i, content in enumerate(["<a>", "<b>", "<c>", "<d>", "<e>", "<中>"]):
        rules = (5 * number + 11 * i) % 32
        token = AddedToken(
            content,
            single_word=bool(rules & 1),
            lstrip=bool(rules & 2),
            rstrip=bool(rules & 4),
            normalized=bool(rules & 8),
        )
        (tokenizer.add_special_tokens if rules & 16 else tokenizer.add_tokens)([token])
    bos, eos = tokenizer.token_to_id("<s>"), tokenizer.token_to_id("</s>")
    tokenizer.post_processor = [
        processors.Sequence(
            [
                processors.ByteLevel(),
                processors.TemplateProcessing(
                    single="<s> $A </s>", special_tokens=[("<s>", bos), ("</s>", eos)]
                ),
            ]
        ),
        processors.BertProcessing(("</s>", eos), ("<s>", bos)),
        processors.RobertaProcessing(("</s>", eos), ("<s>", bos)),
    ][number % 3]
    return tokenizer


def main():
    data = sys.argv[1]
    wanted = sys.argv[2:]
    with open(os.path.join(HERE, "texts.json")) as file:
        texts = json.load(file)
    texts += MORE_TEXTS
    make_golden.write("step_texts.json", texts)
    with open(os.path.join(data, "text/frankenstein/frankenstein.txt"), encoding="utf-8") as file:
        corpus = file.read(100_000).split("\n") + texts
    for number, (name, row) in enumerate(tokenizers_with_trainers().items()):
        if not wanted or name in wanted:
            make_golden.store(name, finish(*row, corpus, number), texts)


if __name__ == "__main__":
    main()
