"""Tokenizers of a few words, saved as transformers saves them."""

from pathlib import Path
from typing import Any

from extracting import SENTENCE
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertTokenizer, PreTrainedTokenizerFast

WORDS = ["query", ":", *SENTENCE.split()]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def save_bert_tokenizer(folder: Path, **options: Any) -> None:
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join([*SPECIAL, *WORDS, *"abcdefghijklmnopqrstuvwxyz", "##s"]))
    BertTokenizer(str(vocabulary), **options).save_pretrained(folder)


def save_word_tokenizer(folder: Path, *, end: str, begins: bool = False, **options: Any) -> None:
    """A tokenizer of whole words that ends each text with an end token, as Qwen3-Embedding's and T5's do."""
    names = ["<pad>", end, "<unk>", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    single = f"{end} $A {end}" if begins else f"$A {end}"
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=[(end, 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token=end, unk_token="<unk>", **options
    )
    fast.save_pretrained(folder)
