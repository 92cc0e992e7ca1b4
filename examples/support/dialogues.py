"""Conversations: an intent, the facts that it asks for, the answer that those facts demand."""
import chinese
import english
from facts import DAYS, DAYS_ZH, ITEMS, Shop, order_number
from grammar import expand

WORDS = {"en": english, "zh": chinese}
ORDER_INTENTS = ["status", "arrival", "items", "total", "cancel", "return", "refund", "invoice",
                 "address", "broken"]
SHOP_INTENTS = ["refund_time", "policy", "shipping", "shipping_for", "stock", "price",
                "price_of_many", "enough", "hours", "open_on", "warranty", "warranty_for"]
PLAIN_INTENTS = ["password", "email", "delete", "hello", "thanks", "bye", "how", "who", "human",
                 "angry", "outside"]
NEEDS = {"return": "returns", "refund_time": "returns", "policy": "returns", "shipping": "delivery",
         "shipping_for": "delivery", "stock": "stock", "price": "stock", "price_of_many": "stock",
         "enough": "stock", "hours": "hours", "open_on": "hours", "warranty": "warranty",
         "warranty_for": "warranty"}
# 1: said as it is. 2: looked up among others or put into other words. 3: compared. 4: computed.
DIFFICULTY = {"status": 2, "arrival": 2, "items": 2, "total": 2, "cancel": 3, "return": 4,
              "refund": 2, "address": 3, "broken": 2, "shipping_for": 3, "stock": 2, "price": 2,
              "price_of_many": 4, "enough": 4, "open_on": 3, "warranty_for": 3}


class Turn:
    """What is asked, what is right, and what an answer has to contain to be right."""

    def __init__(self, intent, case, facts, contains=(), lacks=()):
        self.intent, self.case, self.facts = intent, case, facts
        self.contains, self.lacks = list(contains), list(lacks)
        self.difficulty = DIFFICULTY.get(intent, 1)


def order_facts(shop, order):
    days = (shop.today - order.event).days
    return {"number": order.number, "item": order.item[0 if shop.language == "en" else 2],
            "measure": order.item[3], "quantity": order.quantity, "total": shop.money(order.total),
            "carrier": order.carrier, "date": shop.date(order.event), "shop": shop.name,
            "days": days, "days_text": "1 day" if days == 1 else f"{days} days",
            "return_days": shop.return_days}


def order_turn(shop, intent, order):
    facts = order_facts(shop, order)
    english_text = shop.language == "en"
    no = "can't" if english_text else "不能"
    if intent in ("status", "arrival"):
        case = f"status_{order.status}"
        if intent == "arrival" and order.status in ("processing", "shipped"):
            case = f"arrival_{order.status}"
        return Turn(intent, case, facts, [facts["date"]])
    if intent == "cancel":
        case = {"processing": "yes"}.get(order.status, order.status)
        if order.status == "cancelled":
            word = "already cancelled" if english_text else "已经取消"
            return Turn(intent, "cancel_cancelled", facts, [word], [no])
        refuses = order.status != "processing"
        return Turn(intent, f"cancel_{case}", facts, [no] if refuses else [],
                    [] if refuses else [no])
    if intent == "return":
        if order.status == "cancelled":
            return Turn(intent, "return_cancelled", facts, ["cancelled" if english_text else "取消"])
        if order.status != "delivered":
            return Turn(intent, "return_early", facts, [str(shop.return_days)])
        late = facts["days"] > shop.return_days
        words = ["Sorry" if english_text else "抱歉"]
        return Turn(intent, "return_no" if late else "return_yes", facts,
                    words if late else [str(facts["days"])], [] if late else words)
    if intent == "address":
        case = {"processing": "yes", "cancelled": "cancelled"}.get(order.status, "no")
        return Turn(intent, f"address_{case}", facts, [no] if case == "no" else [],
                    [no] if case == "yes" else [])
    contains = {"items": [facts["item"], str(order.quantity)], "total": [facts["total"]],
                "refund": [facts["total"]], "invoice": [order.number],
                "broken": [facts["item"]]}[intent]
    return Turn(intent, intent, facts, contains)


def item_facts(shop, rng, item):
    left, price = shop.stock.get(item, (0, 0))
    name, many = (item[0], item[1]) if shop.language == "en" else (item[2], item[2])
    quantity = rng.choice([2, 2, 3, 3, 4, 5, 6])
    return {"item": name, "items": many, "measure": item[3], "left": left, "quantity": quantity,
            "left_items": name if left == 1 else many, "price": shop.money(price),
            "sum": shop.money(price * quantity), "shop": shop.name}


def item_turn(shop, rng, intent):
    known = list(shop.stock)
    item = rng.choice(known)
    if intent == "stock" and rng.random() < 0.2:
        item = rng.choice([other for other in ITEMS if other not in shop.stock])
        return Turn(intent, "stock_unknown", item_facts(shop, rng, item),
                    ["no information" if shop.language == "en" else "没有"])
    facts = item_facts(shop, rng, item)
    sorry = "Sorry" if shop.language == "en" else "抱歉"
    if intent == "stock":
        if facts["left"] == 0:
            return Turn(intent, "stock_none", facts, [sorry])
        return Turn(intent, "stock_some", facts, [str(facts["left"]), facts["price"]], [sorry])
    if intent == "enough":
        if facts["left"] == 0:
            return Turn(intent, "stock_none", facts, [sorry])
        if facts["left"] < facts["quantity"]:
            return Turn(intent, "enough_no", facts, [sorry, str(facts["left"])])
        return Turn(intent, "enough_yes", facts, [facts["sum"]], [sorry])
    return Turn(intent, intent, facts, [facts["price" if intent == "price" else "sum"]])


def open_turn(shop, rng, facts):
    weekday = rng.randrange(7)
    english_text = shop.language == "en"
    facts["day"] = (DAYS if english_text else DAYS_ZH)[weekday]
    sorry = "Sorry" if english_text else "抱歉"
    if weekday < 5:
        return Turn("open_on", "open_weekday", facts, [str(shop.opens), str(shop.closes)], [sorry])
    if weekday == 5 and shop.saturday:
        hours = [str(shop.opens), str(shop.saturday)]
        return Turn("open_on", "open_saturday", facts, hours, [sorry])
    return Turn("open_on", "closed", facts, [sorry])


def shop_turn(shop, rng, intent):
    if intent in ("stock", "price", "price_of_many", "enough"):
        return item_turn(shop, rng, intent)
    saturday = ""
    if shop.saturday:
        saturday = (f", and on Saturday from {shop.opens} to {shop.saturday}"
                    if shop.language == "en" else f"，周六{shop.opens}点到{shop.saturday}点")
    facts = {"return_days": shop.return_days, "refund_days": shop.refund_days, "shop": shop.name,
             "shipping": shop.money(shop.shipping), "free_from": shop.money(shop.free_from),
             "warranty": shop.warranty, "opens": shop.opens, "closes": shop.closes,
             "saturday": shop.saturday, "saturday_text": saturday}
    if intent == "open_on":
        return open_turn(shop, rng, facts)
    if intent == "shipping_for":
        amount = rng.randrange(10, 2 * shop.free_from)
        facts["amount"] = shop.money(amount)
        free = amount >= shop.free_from
        paid = "you pay" if shop.language == "en" else "不到"
        return Turn(intent, "shipping_free" if free else "shipping_paid", facts,
                    [] if free else [paid, shop.money(shop.shipping)], [paid] if free else [])
    if intent == "warranty_for":
        facts["months"] = rng.choice([1, 2, 3, 5, 6, 8, 10, 11, 13, 14, 18, 20, 25, 28, 30, 38, 40])
        item = rng.choice(ITEMS)
        facts["item"] = item[0 if shop.language == "en" else 2]
        covered = facts["months"] < shop.warranty
        sorry = "Sorry" if shop.language == "en" else "抱歉"
        return Turn(intent, "warranty_yes" if covered else "warranty_no", facts,
                    [] if covered else [sorry], [sorry] if covered else [])
    contains = {"refund_time": [str(shop.refund_days)], "policy": [str(shop.return_days)],
                "shipping": [facts["shipping"], facts["free_from"]],
                "hours": [str(shop.opens), str(shop.closes)], "warranty": [str(shop.warranty)]}
    return Turn(intent, intent, facts, contains[intent])


def plain_turn(shop, intent):
    refuses = {"en": "help", "zh": "抱歉"}[shop.language]
    return Turn(intent, intent, {"shop": shop.name}, [refuses] if intent == "outside" else [])


def unknown_turn(shop, rng, intent, held_out):
    numbers = {order.number for order in shop.orders}
    number = next(iter(numbers))
    while number in numbers:
        number = order_number(rng, held_out)
    item = rng.choice(ITEMS)
    facts = {"number": number, "shop": shop.name, "item": item[0 if shop.language == "en" else 2]}
    turn = Turn(intent, "unknown", facts, ["check" if shop.language == "en" else "订单"],
                [other.number for other in shop.orders])
    turn.difficulty = 3
    return turn


def or_not_known(shop, turn):
    if NEEDS.get(turn.intent, "orders") in shop.known:
        return turn
    if turn.intent == "return" and turn.case == "return_cancelled":
        return turn
    word = "don't have that" if shop.language == "en" else "没有这方面"
    return Turn(turn.intent, "not_known", turn.facts, [word])


def draw_turn(shop, rng, held_out):
    kind = rng.random()
    if kind < 0.48:
        intent = rng.choice(ORDER_INTENTS + ["status", "status", "arrival", "return"])
        if rng.random() < 0.1:
            return unknown_turn(shop, rng, intent, held_out)
        return or_not_known(shop, order_turn(shop, intent, rng.choice(shop.orders)))
    if kind < 0.8:
        return or_not_known(shop, shop_turn(shop, rng, rng.choice(SHOP_INTENTS)))
    if kind < 0.84:
        word = "number" if shop.language == "en" else "订单号"
        return Turn("which", "which", {"shop": shop.name}, [word])
    return plain_turn(shop, rng.choice(PLAIN_INTENTS + ["outside", "outside"]))


def ask(words, turn, rng, unseen):
    """The user's text. Unseen shapes are texts that no training conversation has."""
    texts = words.WHICH if turn.intent == "which" else words.USER[turn.intent]
    text = expand(rng.choice(texts[1 if unseen else 0]), rng, turn.facts)
    if turn.intent not in PLAIN_INTENTS[3:8] and not unseen:
        text = expand(rng.choice(words.HELLO), rng) + text + expand(rng.choice(words.PLEASE), rng)
    return text[:1].upper() + text[1:] if rng.random() < 0.7 else text


def answer(words, turn, rng):
    return expand(rng.choice(words.ANSWER[turn.case]), rng, turn.facts)


def follow_up(words, shop, turn, rng, unseen):
    """A turn about the order that was talked about last, which it does not name."""
    order = next((one for one in shop.orders if one.number == turn.facts.get("number")), None)
    if order is None:
        return None, ""
    intent = rng.choice([name for name in words.FOLLOW_UP if name != turn.intent])
    following = or_not_known(shop, order_turn(shop, intent, order))
    following.difficulty = 4
    return following, expand(rng.choice(words.FOLLOW_UP[intent][1 if unseen else 0]), rng,
                             following.facts)


def conversation(rng, held_out=False, unseen=False, num_turns=None):
    """Messages from the system prompt to the last answer, and the last turn."""
    language = rng.choice(["en", "zh"])
    words = WORDS[language]
    shop = Shop(rng, language, held_out)
    messages = [{"role": "system", "content": shop.prompt(rng)}]
    turn = None
    for i in range(num_turns or rng.choice([1, 2, 2, 3, 4])):
        last_unseen = unseen
        following, text = None, ""
        if turn is not None and rng.random() < 0.5:
            following, text = follow_up(words, shop, turn, rng, last_unseen)
        if following is None:
            following = draw_turn(shop, rng, held_out)
            if i == 0 and following.intent in ("thanks", "bye"):
                following = plain_turn(shop, "hello")
            text = ask(words, following, rng, last_unseen)
        turn = following
        messages.append({"role": "user", "content": text})
        messages.append({"role": "assistant", "content": answer(words, turn, rng)})
    return language, messages, turn
