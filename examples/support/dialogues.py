"""Conversations: who asks what, in which words, one turn after the other."""
import chinese
import english
from facts import Shop, default_shop, default_prompt, order_number
from grammar import expand
from items import ITEMS, STREETS, STREETS_ZH
from turns import NEEDS, Speaker, Turn, list_turn, order_facts, order_turn, plain_turn, shop_turn

WORDS = {"en": english, "zh": chinese}
ORDER_INTENTS = ["status"] * 5 + ["arrival"] * 3 + ["return"] * 3 + ["cancel", "total"] * 2 + [
    "items", "refund", "invoice", "address", "broken", "quantity", "each", "carrier",
    "days_until"]
SHOP_INTENTS = ["refund_time", "policy", "shipping", "shipping_for", "shipping_for", "stock",
                "stock",
                "price", "price_of_many", "enough", "hours", "open_on", "open_on", "warranty",
                "warranty_for", "warranty_for", "price_of_many", "enough"]
RARE_INTENTS = ["today", "contact", "location", "payment", "gap", "gap", "buy"]
LIST_INTENTS = ["list_orders", "list_orders", "most_expensive", "arrives_first", "sum_all",
                "sum_two"]
PLAIN_INTENTS = ["password", "email", "delete", "hello", "thanks", "bye", "how", "who", "human",
                 "angry"] + ["outside"] * 6
SMALL_TALK = {"hello", "thanks", "bye", "how", "who", "human", "angry", "outside"}
RARE_PARTS = {"contact", "location", "payment"}
NUMBER_ONLY = "{number}"


class Talk:
    """One conversation as it grows."""

    def __init__(self, rng, shop, language, held_out, unseen):
        self.rng, self.shop, self.held_out, self.unseen = rng, shop, held_out, unseen
        self.speak(language)
        self.last = None

    def speak(self, language):
        self.language, self.words = language, WORDS[language]
        self.who = Speaker(self.shop, language)

    def pick(self, texts):
        return self.rng.choice(texts[1 if self.unseen else 0])

    def named(self, kind, facts):
        """A way to name an order, with its facts."""
        text = self.rng.choice(self.words.ORDER[kind])
        return expand(text, self.rng, facts)

    def kind_for(self, intent, order):
        draw = self.rng.random()
        if draw < 0.78 or intent in ("quantity", "each"):
            return "number"
        if draw < 0.93 and intent != "items":
            return "item" if order.quantity == 1 else "items"
        return "position"

    def order_text(self, texts, intent, order, facts, kind):
        index = self.shop.orders.index(order)
        facts["position"] = self.words.POSITIONS[index]
        template = self.pick(texts)
        while not self.fits(template, kind):
            template = self.pick(texts)
        facts["order"] = self.named(kind, facts)
        while kind == "pronoun" and not facts["order"] and not template.startswith("{order}"):
            facts["order"] = self.named(kind, facts)
        return expand(template, self.rng, facts)

    def fits(self, template, kind):
        """Whether a text can name an order in this way."""
        if NUMBER_ONLY in template and kind != "number":
            return False
        if kind != "pronoun":
            return True
        if self.language == "en":
            return not template.startswith("{order}") and ": {order}" not in template
        return not template.startswith(("{order}，", "{order}？")) and "，{order}" not in template

    def about_order(self):
        """A question about an order that it names."""
        rng, intent = self.rng, self.rng.choice(ORDER_INTENTS)
        if not self.shop.orders or rng.random() < 0.1:
            return self.about_unknown(intent)
        order = rng.choice(self.shop.orders)
        if intent == "each" and self.shop.cents and order.quantity > 1:
            intent = "total"
        turn = order_turn(self.who, rng, intent, order)
        text = self.order_text(self.words.USER[intent], intent, order, turn.facts,
                               self.kind_for(intent, order))
        return turn, text

    def about_unknown(self, intent):
        """A question about an order that the prompt does not have."""
        rng, orders = self.rng, self.shop.orders
        facts = self.who.common(rng)
        if orders and rng.random() < 0.2:
            mine = {order.item for order in orders}
            item = rng.choice([one for one in ITEMS if one not in mine])
            intent = rng.choice(["status", "arrival", "total", "cancel"])
            facts.update(self.who.item(item))
            template = NUMBER_ONLY
            while NUMBER_ONLY in template:
                template = self.pick(self.words.USER[intent])
            kind, case = "item", "unknown_item"
            contains = [self.who.say("I don't see", "没有找到"), facts["item"]]
        else:
            prefix = ""
            if orders and not orders[0].number[0].isdigit():
                prefix = orders[0].number.rstrip("0123456789")
            number = order_number(rng, self.held_out, prefix)
            while number in {order.number for order in orders}:
                number = order_number(rng, self.held_out, prefix)
            facts["number"], kind, case = number, "number", "unknown"
            template = self.pick(self.words.USER[intent])
            contains = [self.who.say("check", "核对"), number]
        facts["order"] = self.named(kind, facts)
        facts.setdefault("quantity", 1)
        turn = Turn(intent, case, facts, contains, [order.number for order in orders])
        turn.difficulty = 3
        return turn, expand(template, rng, facts)

    def about_unnamed(self):
        """A question about an order that is not named: the only one, or which?"""
        rng, orders = self.rng, self.shop.orders
        intent = rng.choice(list(self.words.UNNAMED))
        text = expand(self.pick(self.words.UNNAMED[intent]), rng)
        if not orders:
            return Turn("which", "no_orders", self.who.common(rng),
                        [self.who.say("don't see any", "没有您的订单")]), text
        if len(orders) == 1:
            turn = order_turn(self.who, rng, intent, orders[0])
            turn.difficulty = max(turn.difficulty, 3)
            return turn, text
        numbers = [order.number for order in orders]
        last = self.who.say(" or ", "还是")
        joined = self.who.say(", ", "、").join(numbers[:-1]) + last + numbers[-1]
        turn = Turn("which", "which", {**self.who.common(rng), "numbers": joined},
                    [self.who.say("which order", "哪个订单")] + numbers)
        turn.wanted = intent
        return turn, text

    def chosen(self):
        """The order that was asked for: a number, or its item, and no more."""
        rng, order = self.rng, self.rng.choice(self.shop.orders)
        turn = order_turn(self.who, rng, self.last.wanted, order)
        turn.difficulty = 4
        kind = rng.choice(["number", "number", "number", "item", "position"])
        if kind == "item" and order.quantity > 1:
            kind = "items"
        turn.facts["position"] = self.words.POSITIONS[self.shop.orders.index(order)]
        template = NUMBER_ONLY
        while NUMBER_ONLY in template and kind != "number" or template == NUMBER_ONLY:
            template = self.pick(self.words.CHOSEN)
        turn.facts["order"] = order.number if rng.random() < 0.4 else self.named(kind, turn.facts)
        return turn, expand(template, rng, turn.facts)

    def confirmed(self):
        """The reply to a question of the assistant."""
        rng = self.rng
        facts = order_facts(self.who, rng, self.last.order)
        if self.last.case == "cancel_yes":
            yes = rng.random() < 0.7
            text = self.words.CONFIRM["confirm_yes" if yes else "confirm_no"]
            turn = Turn("confirm", "cancel_done" if yes else "cancel_kept", facts,
                        [facts["number"]])
        else:
            house = rng.randrange(1, 300)
            street = rng.choice(STREETS if self.language == "en" else STREETS_ZH)
            facts = {**facts, "place": self.who.say(f"{house} {street}", f"{street}{house}号")}
            text = self.words.CONFIRM["new_address"]
            turn = Turn("confirm", "address_done", facts, [facts["number"], facts["place"]])
        turn.order = self.last.order
        turn.difficulty = 4
        return turn, expand(self.pick(text), rng, facts)

    def following(self):
        """A turn about the order that was talked about last, or the same of another order."""
        rng, order = self.rng, self.last.order
        others = [one for one in self.shop.orders if one is not order]
        if others and self.last.intent in self.words.USER and (
                self.last.intent in set(ORDER_INTENTS)) and rng.random() < 0.4:
            other, intent = rng.choice(others), self.last.intent
            if intent == "each" and self.shop.cents:
                intent = "total"
            kind = self.kind_for(intent, other)
            if len(others) == 1 and rng.random() < 0.4:
                kind = "other"
            turn = order_turn(self.who, rng, intent, other)
            text = self.order_text(self.words.SAME, intent, other, turn.facts, kind)
        else:
            intent = rng.choice([name for name in self.words.FOLLOW_UP
                                 if name != self.last.intent])
            turn = order_turn(self.who, rng, intent, order)
            texts = self.words.FOLLOW_UP[intent]
            if rng.random() < 0.4:
                texts = self.words.USER[intent]
            text = self.order_text(texts, intent, order, turn.facts, "pronoun")
        turn.difficulty = 4
        return turn, text

    def any_turn(self, first):
        """A question that needs nothing from before."""
        rng, draw = self.rng, self.rng.random()
        if draw < 0.47:
            return self.about_order()
        if draw < 0.74:
            intent = rng.choice(SHOP_INTENTS)
            while NEEDS[intent] not in self.shop.known and rng.random() < 0.7:
                intent = rng.choice(SHOP_INTENTS)
            if self.shop.cents and intent == "price_of_many":
                intent = "price"
            turn = shop_turn(self.who, rng, intent)
        elif draw < 0.79:
            intent = rng.choice(RARE_INTENTS + sorted(RARE_PARTS & self.shop.known) * 4)
            turn = shop_turn(self.who, rng, intent)
        elif draw < 0.84:
            return self.about_unnamed()
        elif draw < 0.88 and self.shop.orders:
            intent = rng.choice(LIST_INTENTS)
            if intent.startswith("sum") and (self.shop.cents or len(self.shop.orders) > 3):
                intent = "list_orders"
            if intent == "sum_two" and len(self.shop.orders) < 2:
                intent = "list_orders"
            turn = list_turn(self.who, rng, intent)
        else:
            intent = rng.choice(PLAIN_INTENTS)
            if first and intent in ("thanks", "bye"):
                intent = "hello"
            turn = plain_turn(self.who, rng, intent)
        return turn, expand(self.pick(self.words.USER[turn.intent]), rng, turn.facts)

    def next_turn(self, first):
        rng, last = self.rng, self.last
        if last is not None and hasattr(last, "wanted") and rng.random() < 0.8:
            return self.chosen()
        if last is not None and last.case in ("cancel_yes", "address_yes") and rng.random() < 0.5:
            return self.confirmed()
        if last is not None and last.order is not None and rng.random() < 0.45:
            return self.following()
        turn, text = self.any_turn(first)
        if not self.unseen and turn.intent not in SMALL_TALK - {"outside"}:
            text = self.around(text, turn)
        return turn, text

    def around(self, text, turn):
        """What stands before and after a question."""
        rng = self.rng
        before = expand(rng.choice(self.words.HELLO), rng)
        after = expand(rng.choice(self.words.PLEASE), rng)
        if after and self.language == "zh" and text[-1] not in "。？！，":
            after = "，" + after
        if after and self.language == "en" and text[-1].isalnum() and after[1:2].isupper():
            after = "." + after
        return before + text + after

    def add_turn(self, messages, first):
        turn, text = self.next_turn(first)
        self.last = turn
        answer = expand(self.rng.choice(self.words.ANSWER[turn.case]), self.rng, turn.facts)
        messages.append({"role": "user", "content": self.written(text)})
        messages.append({"role": "assistant", "content": answer})

    def written(self, text):
        """As people type: with and without capitals, ends of sentences, and right letters."""
        rng = self.rng
        draw = rng.random()
        text = text.strip()
        if self.language == "zh":
            text = text.replace("  ", " ").replace("，，", "，")
            for wrong, right in (("，。", "。"), ("，？", "？"), ("，的", "的"), ("，！", "！")):
                text = text.replace(wrong, right)
            text = text.strip("，")
            if draw < 0.15 and text[-1:] in "。？！":
                text = text[:-1]
            elif draw < 0.2:
                text = text.replace("？", "?").replace("，", ",").replace("。", ".")
            return text
        if draw < 0.55:
            text = text[:1].upper() + text[1:]
        elif draw < 0.7:
            text = text.lower()
        if rng.random() < 0.15 and text[-1:] in ".?!":
            text = text[:-1]
        if rng.random() < 0.08 and not self.unseen:
            text = misspelt(text, rng)
        return text


def misspelt(text, rng):
    """One longer word with two letters swapped, one left out, or one twice."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not places:
        return text
    place = rng.choice(places)
    word = words[place]
    at = rng.randrange(1, len(word) - 2)
    words[place] = rng.choice([word[:at] + word[at + 1] + word[at] + word[at + 2:],
                               word[:at] + word[at + 1:], word[:at] + word[at] + word[at:]])
    return " ".join(words)


def conversation(rng, held_out=False, unseen=False, num_turns=None):
    """The last user's language, messages from the system prompt to an answer, the last turn."""
    if not held_out and rng.random() < 0.02:
        shop, language = default_shop(), rng.choice(["en", "zh"])
        prompt = default_prompt()
    else:
        shop = Shop(rng, rng.choice(["en", "zh"]), held_out)
        language = shop.language
        if rng.random() < 0.2:
            language = "zh" if language == "en" else "en"
        prompt = shop.prompt(rng)
    messages = [{"role": "system", "content": prompt}]
    talk = Talk(rng, shop, language, held_out, unseen)
    for i in range(num_turns or rng.choice([2, 3, 3, 4, 4, 5])):
        if i > 0 and rng.random() < 0.03:
            talk.speak("zh" if talk.language == "en" else "en")
        talk.add_turn(messages, i == 0)
    return talk.language, messages, talk.last
