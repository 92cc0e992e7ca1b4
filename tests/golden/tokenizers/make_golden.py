"""Makes the golden files of this folder with Hugging Face's tokenizers library (PyPI; 0.23.3 used).

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3
    venv/bin/python make_golden.py ../../../../shared/data [NAME ...]

Writes texts.json (seeded hostile texts), <name>/tokenizer.json (small vocabularies trained here,
one for each way of cutting text; training breaks ties anew in each run) and <name>.ids.json: for
each text the ids with special tokens parsed and added, the ids with neither, and the text that the
latter decode to; for sentencepiece's models, tokenizer.model and the ids. The published
vocabularies are read from the data folder; only ids are stored. step_tokenizers.py has the small
vocabularies that go through every step there is.
"""

import json
import os
import random
import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:"
    r"'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i"
    r":'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KIMI = (
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}"
    r"\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{L"
    r"o}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+"
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p"
    r"{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

FIXED_TEXTS = [
    "",
    " ",
    "  ",
    "\n",
    "\t\t \n\n",
    "Hello, world!",
    " Hello  World ",
    "I'll we'VE 'tis can't O'Neil'S",
    "3.14159 1234567 12 3 ²³½ ٣٤٥ ⅷ",
    "def f(x):\n    return x ** 2\n\n\n# end\r\n",
    "<|endoftext|>",
    "a<|endoftext|>b",
    "<s>hello</s> <s> x",
    "<unk> <pad>",
    "[MASK] mask[MASK]ed  [MASK]  ",
    "word WORD <w> x<w>y <w>",
    "naïve café ﬁne ½ ① Ａ",
    "e\u0301 \u0041\u030a \u1100\u1161\u11a8 \u0323\u0307",
    "日本語のテキスト、中文文本。한국어 텍스트",
    "😀👩‍👩‍👧‍👦🏳️‍🌈 🇩🇪 ✊🏿",
    "\u00a0no\u2003break\u3000spaces\u200b\u2060\ufeff",
    "\x00\x01\x7f\x85\u180e",
    "Ünïcödé ΣΑΣ İI ß ſ K",
    "a" * 300,
    " " * 100,
    "ab" * 150,
    "\n" * 70,
    "中" * 100,
    "!" * 90,
    "1" * 100,
    "'s" * 30,
    "<|" * 20,
    "▁ ▁▁ a▁b ▁a",
    "<0x41> <0x0A>",
    "https://example.com/a?b=c&d=%20#e",
    '{"key": [1, 2.5e-3, null], "s": "\\u00e9\\n"}',
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠀀𠀁",
    "שלום עולם مرحبا بالعالم",
    "สวัสดีชาวโลก हिन्दी பேசு",
    "x\r\ny\rz\u2028w\u2029v",
    "tab\tseparated\tvalues",
    "trailing spaces   ",
    "   leading",
    "a  b   c    d",
    "CamelCaseHTTPServer snake_case kebab-case",
    "....... --- === ***",
    "½½ 10²³ x₁ 1,000,000.00",
    "Don't DON'T 'D 'd 'LL",
]


def random_texts(count):
    rng = random.Random(20240611)
    pools = [
        "abcdefghij XYZ",
        " \t\n\r\u00a0\u3000",
        "0123456789٠۱²",
        ".,!?'\"()[]{}<>|-_/\\@#$%^&*+=~`;:",
        "éàüñçøåß",
        "абвгдежз",
        "中文字符测试一二三",
        "ぁあァア",
        "가나다라",
        "😀😁🚀✅🦙",
        "\u0301\u0327\u0323\u030a",
        "\u200d\ufe0f\u200b",
    ]
    assigned = [
        c
        for c in range(0x20, 0x1FFFF)
        if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")
        and unicodedata.ucd_3_2_0.category(chr(c)) != "Cn"
    ]
    texts = []
    for i in range(count):
        out = []
        while len(out) < rng.randrange(1, 120):
            if rng.random() < 0.1:
                out.append(chr(rng.choice(assigned)))
            elif rng.random() < 0.05:
                out.append(
                    rng.choice(["<s>", "</s>", "<|endoftext|>", "[MASK]", "<w>", "'ll", "<unk>"])
                )
            else:
                pool = rng.choice(pools)
                out += [rng.choice(pool) for _ in range(rng.randrange(1, 6))]
        texts.append("".join(out))
    return texts


def bpe(**options):
    return models.BPE(unk_token=options.pop("unk_token", None), **options)


def byte_level(pre):
    tokenizer = Tokenizer(bpe())
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, pre_tokenizers.ByteLevel.alphabet()


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def bytes_after(*steps):
    return pre_tokenizers.Sequence(
        [*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


def small_tokenizers():
    """name -> (tokenizer without a vocabulary, alphabet)."""
    plain = pre_tokenizers.ByteLevel
    made = {
        "gpt2_prefix": byte_level(plain(add_prefix_space=True)),
        "llama3": byte_level(bytes_after(split(LLAMA3))),
        "gpt4o": byte_level(bytes_after(split(GPT4O))),
        "kimi": byte_level(bytes_after(split(KIMI))),
        "bloom": byte_level(bytes_after(split(BLOOM))),
        "deepseek": byte_level(
            bytes_after(split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK))
        ),
        "superbpe": byte_level(bytes_after(split(r"\p{N}+"), split(r"(?=(\d{3})+(?!\d))"))),
        "starcoder": byte_level(
            pre_tokenizers.Sequence(
                [pre_tokenizers.Digits(individual_digits=True), plain(add_prefix_space=False)]
            )
        ),
        "falcon": byte_level(
            pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Punctuation("contiguous"),
                    plain(add_prefix_space=False),
                    pre_tokenizers.Digits(individual_digits=False),
                    split("[0-9][0-9][0-9]"),
                ]
            )
        ),
        "behaviors": byte_level(
            bytes_after(
                split("a", "merged_with_previous"),
                split("b", "merged_with_next"),
                split("[0-9]", "contiguous"),
                split(r"\S+", "removed", True),
                pre_tokenizers.CharDelimiterSplit("-"),
            )
        ),
        "words": (Tokenizer(bpe(unk_token="<unk>", fuse_unk=True)), []),
        "words_bert": (Tokenizer(bpe(unk_token="<unk>")), []),
        "metaspace_first": (
            Tokenizer(bpe(unk_token="<unk>", byte_fallback=True, fuse_unk=True)),
            [],
        ),
        "metaspace_always": (Tokenizer(bpe(unk_token="<unk>")), []),
        "llama2": (Tokenizer(bpe(unk_token="<unk>", byte_fallback=True, fuse_unk=True)), []),
        "gemma": (Tokenizer(bpe(unk_token="<unk>", byte_fallback=True, fuse_unk=True)), []),
    }
    made["llama3"][0].normalizer = normalizers.NFC()
    made["gpt4o"][0].normalizer = normalizers.NFKC()
    made["starcoder"][0].normalizer = normalizers.NFD()
    made["bloom"][0].normalizer = normalizers.NFKD()
    made["behaviors"][0].normalizer = normalizers.Sequence(
        [
            normalizers.Strip(left=True, right=False),
            normalizers.Replace(Regex(r"\s\s+"), "\n"),
            normalizers.Replace("x", "yy"),
            normalizers.Lowercase(),
        ]
    )
    words = made["words"][0]
    words.normalizer = normalizers.Sequence(
        [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.decoder = None
    bert = made["words_bert"][0]
    bert.normalizer = normalizers.BertNormalizer()
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    bert.decoder = decoders.WordPiece()
    for name, scheme, cut in [
        ("metaspace_first", "first", False),
        ("metaspace_always", "always", True),
    ]:
        made[name][0].pre_tokenizer = pre_tokenizers.Metaspace("▁", scheme, cut)
        made[name][0].decoder = decoders.Sequence(
            [decoders.Metaspace("▁", scheme), decoders.ByteFallback(), decoders.Fuse()]
        )
    strip = decoders.Strip(" ", 1, 0)
    for name in ["llama2", "gemma"]:
        tokenizer = made[name][0]
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        tokenizer.decoder = decoders.Sequence(steps + ([strip] if name == "llama2" else []))
        mark = normalizers.Replace(" ", "▁")
        tokenizer.normalizer = (
            normalizers.Sequence([normalizers.Prepend("▁"), mark]) if name == "llama2" else mark
        )
    return made


def bpe_trainer(alphabet, byte_pieces, letters):
    special = ["<unk>", "<s>", "</s>", "<|endoftext|>"]
    special += ["<0x%02X>" % b for b in range(256)] if byte_pieces else []
    return trainers.BpeTrainer(
        vocab_size=(256 if byte_pieces else 0) + 700,
        special_tokens=special,
        initial_alphabet=alphabet,
        limit_alphabet=letters,
        show_progress=False,
    )


def store(name, tokenizer, texts):
    os.makedirs(os.path.join(HERE, name), exist_ok=True)
    write(name + "/tokenizer.json", json.loads(tokenizer.to_str()))
    write(name + ".ids.json", golden(tokenizer, texts))


def train(tokenizer, trainer, corpus):
    tokenizer.train_from_iterator(corpus, trainer)
    data = json.loads(tokenizer.to_str())
    # Byte pieces must be known to the model without being matched in text.
    data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, rstrip=True, normalized=False)])
    tokenizer.add_tokens(
        [
            AddedToken("<w>", single_word=True, normalized=False),
            AddedToken("snake_case", normalized=True),
        ]
    )
    bos = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", bos), ("</s>", tokenizer.token_to_id("</s>"))]
    )
    return tokenizer


def golden(tokenizer, texts):
    rows = []
    for text in texts:
        tokenizer.encode_special_tokens = False
        parsed = tokenizer.encode(text).ids
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        decoded = tokenizer.decode(plain, skip_special_tokens=False)
        rows.append([parsed, plain, decoded])
    return rows


def write(path, value):
    with open(os.path.join(HERE, path), "w") as file:
        json.dump(value, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


def published(data):
    def load(path, fix=lambda d: d):
        with open(os.path.join(data, "tokenizers", path)) as file:
            return Tokenizer.from_str(json.dumps(fix(json.load(file))))

    def mend_llama2(d):
        # The file lost its no-break spaces, and three merges with them; see vectors_test.cpp.
        d["model"]["merges"] = [m for m in d["model"]["merges"] if m.count(" ") == 1]
        return d

    qwen2 = Tokenizer(
        models.BPE.from_file(
            os.path.join(data, "tokenizers/qwen2/vocab.json"),
            os.path.join(data, "tokenizers/qwen2/merges.txt"),
        )
    )
    qwen2.normalizer = normalizers.NFC()
    qwen2.pre_tokenizer = bytes_after(split(LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")))
    qwen2.decoder = decoders.ByteLevel()
    with open(os.path.join(data, "tokenizers/qwen2/tokenizer_config.json")) as file:
        config = json.load(file)
    for entry in config["added_tokens_decoder"].values():
        token = AddedToken(
            entry["content"], normalized=entry["normalized"], special=entry["special"]
        )
        (qwen2.add_special_tokens if entry["special"] else qwen2.add_tokens)([token])
    return {
        "gpt2": load("gpt2/gpt2_tokenizer.json"),
        "phi-2": load("phi-2/tokenizer.json"),
        "llama2-hf": load("llama2-hf/tokenizer.json", mend_llama2),
        "qwen2": qwen2,
    }


def other_models():
    """name -> (tokenizer, trainer options): Unigram and WordPiece."""
    unigram = Tokenizer(models.Unigram())
    unigram.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    unigram.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always", True)
    unigram.decoder = decoders.Metaspace("▁", "always")
    word_piece = Tokenizer(models.WordPiece(unk_token="<unk>"))
    word_piece.normalizer = normalizers.BertNormalizer(lowercase=True)
    word_piece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    word_piece.decoder = decoders.WordPiece("##", False)
    special = ["<unk>", "<s>", "</s>", "<|endoftext|>"]
    return {
        "unigram": (
            unigram,
            trainers.UnigramTrainer(
                vocab_size=600, special_tokens=special, unk_token="<unk>", show_progress=False
            ),
        ),
        "word_piece": (
            word_piece,
            trainers.WordPieceTrainer(
                vocab_size=600, special_tokens=special, limit_alphabet=150, show_progress=False
            ),
        ),
    }


def published_sentencepiece(data, texts, wanted):
    """Mistral's models, by the library that they were made with."""
    import sentencepiece

    for name, path in {
        "mistral-v1": "tokenizer.model.v1",
        "mistral-v2": "mistral_instruct_tokenizer_240216.model.v2",
        "mistral-v3": "mistral_instruct_tokenizer_240323.model.v3",
        "mistral-v7": "mistral_instruct_tokenizer_241114.model.v7",
        "mistral-v7m1": "mistral_instruct_tokenizer_241114.model.v7m1",
    }.items():
        if wanted and name not in wanted:
            continue
        processor = sentencepiece.SentencePieceProcessor(
            model_file=os.path.join(data, "tokenizers/mistral", path)
        )
        write(name + ".ids.json", [processor.encode(text) for text in texts])


def sentencepiece_models(corpus, texts, wanted):
    """Small models of the sentencepiece library (PyPI; 0.2.3 used) and their ids."""
    import sentencepiece

    lines = os.path.join(HERE, "lines.txt")
    # A few rules of normalisation, in code points: fullwidth A, A + ring, the ligature fi, a tab.
    with open(os.path.join(HERE, "rules.tsv"), "w") as file:
        file.write("FF21\t41\n41 30A\tC5\nFB01\t66 69\n9\t20\n65 301\tE9\n2003\t20\n")
    with open(lines, "w", encoding="utf-8") as file:
        file.write("\n".join(line.replace("\0", "") for line in corpus))
    options = {
        "spm_bpe_bytes": dict(
            model_type="bpe",
            vocab_size=700,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
        ),
        "spm_unigram_nfkc": dict(model_type="unigram", vocab_size=500),
        "spm_unigram_bytes": dict(
            model_type="unigram",
            vocab_size=700,
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            user_defined_symbols=["<w>"],
        ),
        "spm_bpe_user": dict(
            model_type="bpe",
            vocab_size=600,
            normalization_rule_tsv=os.path.join(HERE, "rules.tsv"),
            user_defined_symbols=["<w>", "▁▁", "word", "\t"],
            unk_surface="?",
        ),
    }
    for name, extra in options.items():
        if wanted and name not in wanted:
            continue
        prefix = os.path.join(HERE, name)
        sentencepiece.SentencePieceTrainer.train(
            input=lines,
            model_prefix=prefix,
            character_coverage=0.98,
            num_threads=1,
            minloglevel=2,
            **extra,
        )
        os.remove(prefix + ".vocab")
        os.makedirs(prefix, exist_ok=True)
        os.rename(prefix + ".model", os.path.join(prefix, "tokenizer.model"))
        processor = sentencepiece.SentencePieceProcessor(
            model_file=os.path.join(prefix, "tokenizer.model")
        )
        write(name + ".ids.json", [processor.encode(text) for text in texts])
    os.remove(lines)
    os.remove(os.path.join(HERE, "rules.tsv"))


def main():
    data = sys.argv[1]
    wanted = sys.argv[2:]
    texts = FIXED_TEXTS + random_texts(120)
    write("texts.json", texts)
    with open(os.path.join(data, "text/frankenstein/frankenstein.txt"), encoding="utf-8") as file:
        corpus = file.read(200_000).split("\n") + texts
    for name, (tokenizer, alphabet) in small_tokenizers().items():
        if wanted and name not in wanted:
            continue
        byte_pieces = name in ("llama2", "gemma", "metaspace_first")
        # One byte-level vocabulary lacks bytes, to see what becomes of them.
        letters = 256 if alphabet and name != "bloom" else 200
        options = bpe_trainer(alphabet, byte_pieces, letters)
        tokenizer = train(tokenizer, options, corpus)
        store(name, tokenizer, texts)
    for name, (tokenizer, trainer) in other_models().items():
        if not wanted or name in wanted:
            store(name, train(tokenizer, trainer, corpus), texts)
    for name, tokenizer in published(data).items():
        if not wanted or name in wanted:
            write(name + ".ids.json", golden(tokenizer, texts))
    sentencepiece_models(corpus, texts, wanted)
    published_sentencepiece(data, texts, wanted)
    print("made with tokenizers", tokenizers.__version__)


if __name__ == "__main__":
    main()
