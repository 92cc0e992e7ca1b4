#!/usr/bin/env python3
"""What examples/support generates: the same for a seed, apart from tasks, right by its own checks."""
import importlib.machinery
import importlib.util
import pathlib
import random
import re
import sys
import unittest

SUPPORT = pathlib.Path(__file__).resolve().parents[2] / "examples" / "support"
sys.path.insert(0, str(SUPPORT))
sys.dont_write_bytecode = True

import facts  # noqa: E402
import generate  # noqa: E402
from dialogues import WORDS  # noqa: E402


def load_evaluate():
    loader = importlib.machinery.SourceFileLoader("evaluate", str(SUPPORT / "evaluate"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("evaluate", loader))
    loader.exec_module(module)
    return module


EVALUATE = load_evaluate()


def numbers_in(prompt):
    """Numbers of orders are the only ones of five digits and more."""
    return {number for number in re.findall(r"\d+", prompt) if len(number) >= 5}


class Generator(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.train = list(generate.conversations(1000, 3000, False))
        cls.tasks = generate.tasks(1002, 20)

    def test_same_seed_same_conversations(self):
        self.assertEqual(self.train[:100], list(generate.conversations(1000, 100, False)))
        self.assertNotEqual(self.train[:100], list(generate.conversations(1001, 100, False)))

    def test_own_answers_are_right(self):
        for task in self.tasks:
            with self.subTest(task=task["id"]):
                self.assertTrue(EVALUATE.is_right(task, task["answer"]), task)

    def test_answer_of_another_task_is_wrong(self):
        rng = random.Random(1)
        wrong = 0
        for task in self.tasks:
            other = rng.choice([one for one in self.tasks if one["intent"] != task["intent"]])
            wrong += not EVALUATE.is_right(task, other["answer"])
        self.assertGreater(wrong, 0.9 * len(self.tasks))

    def test_no_bracket_or_slot_is_left(self):
        for record in self.train + self.tasks:
            for message in record["messages"][1:]:
                self.assertIsNone(re.search(r"[\[\]{}|]", message["content"]), message)

    def test_order_numbers_are_apart(self):
        for records, held_out in ((self.train, False), (self.tasks, True)):
            for record in records:
                for number in numbers_in(record["messages"][0]["content"]):
                    self.assertEqual(facts.is_held_out(number), held_out, number)

    def test_unseen_texts_are_no_texts_to_learn_from(self):
        for words in WORDS.values():
            tables = [words.USER, words.FOLLOW_UP, words.UNNAMED, words.CONFIRM,
                      {"same": words.SAME, "chosen": words.CHOSEN}]
            seen = {text for table in tables for texts in table.values() for text in texts[0]}
            for table in tables:
                for intent, texts in table.items():
                    self.assertGreaterEqual(len(texts[1]), 2, intent)
                    self.assertFalse(seen & set(texts[1]), intent)

    def test_unseen_tasks_use_words_of_training(self):
        unseen = [task for task in self.tasks if task["shape"] == "unseen"]
        self.assertLess(generate.never_seen(self.train, unseen), 0.06)

    def test_default_prompt_is_the_file(self):
        text = (SUPPORT / "system_prompt.txt").read_text(encoding="utf-8")
        self.assertEqual(text, facts.default_prompt() + "\n")
        template = (SUPPORT / "chat_template.jinja").read_text(encoding="utf-8")
        self.assertIn(text.strip() + "<|im_end|>", template)
        self.assertTrue(any(record["messages"][0]["content"] == text.strip()
                            for record in self.train))

    def test_turns_alternate_and_answers_are_short(self):
        for record in self.train:
            roles = [message["role"] for message in record["messages"]]
            self.assertEqual(roles, ["system"] + ["user", "assistant"] * (len(roles) // 2))
            for message in record["messages"][1:]:
                self.assertTrue(0 < len(message["content"]) < 260, message)


if __name__ == "__main__":
    unittest.main()
