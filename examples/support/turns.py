"""Turns: an intent, the facts that it asks for, the case of answer that those facts demand."""
from facts import DAYS, DAYS_ZH, date_in
from items import CARRIERS, ITEMS, PAYMENTS
from layouts import payments, place

NEEDS = {"return": "returns", "refund_time": "returns", "policy": "returns", "shipping": "delivery",
         "shipping_for": "delivery", "stock": "stock", "price": "stock", "price_of_many": "stock",
         "enough": "stock", "hours": "hours", "open_on": "hours", "warranty": "warranty",
         "warranty_for": "warranty", "contact": "contact", "location": "location",
         "payment": "payment", "gap": "nothing"}
# 1: said as it is. 2: looked up among others or put into other words. 3: compared. 4: computed.
DIFFICULTY = {"status": 2, "arrival": 2, "items": 2, "total": 2, "cancel": 3, "return": 4,
              "refund": 2, "address": 3, "broken": 2, "shipping_for": 3, "stock": 2, "price": 2,
              "price_of_many": 4, "enough": 4, "open_on": 3, "warranty_for": 3, "quantity": 2,
              "each": 4, "carrier": 2, "days_until": 4, "list_orders": 3, "most_expensive": 3,
              "arrives_first": 3, "sum_all": 4, "sum_two": 4, "which": 3}


class Turn:
    """What is asked, what is right, and what an answer has to contain to be right."""

    def __init__(self, intent, case, facts, contains=(), lacks=()):
        self.intent, self.case, self.facts = intent, case, facts
        self.contains, self.lacks = list(contains), list(lacks)
        self.difficulty = DIFFICULTY.get(intent, 1)
        self.order = None


class Speaker:
    """Facts in the language of the user."""

    def __init__(self, shop, language):
        self.shop, self.language, self.english = shop, language, language == "en"

    def say(self, english, chinese):
        return english if self.english else chinese

    def money(self, cents):
        return self.shop.money(cents, self.language)

    def date(self, date):
        return date_in(date, self.language)

    def hour(self, hour):
        return self.shop.hour(hour, self.language)

    def name(self, item, count=1):
        return self.say(item[0 if count == 1 else 1], item[2])

    def with_article(self, item):
        vowel = item[0][0] in "aeiou" and not item[0].startswith("U")
        return f"{'an' if vowel else 'a'} {item[0]}"

    def many(self, count, item):
        return self.say(f"{count} {self.name(item, count)}", f"{count}{item[3]}{item[2]}")

    def days(self, count):
        return self.say("1 day" if count == 1 else f"{count} days", f"{count}天")

    def months(self, count):
        return self.say("1 month" if count == 1 else f"{count} months", f"{count}个月")

    def shop_name(self):
        foreign = self.english and self.shop.language == "zh"
        return "this shop" if foreign else self.shop.name

    def item(self, item):
        return {"item": self.name(item), "items": self.name(item, 2), "measure": item[3],
                "a_item": self.with_article(item)}

    def common(self, rng):
        carrier, payment = rng.choice(CARRIERS), rng.choice(PAYMENTS)
        return {"shop": self.shop_name(), "any_carrier": self.say(*carrier),
                "any_payment": self.say(*payment), **self.item(rng.choice(ITEMS))}


def order_facts(who, rng, order):
    shop = who.shop
    days = (shop.today - order.event).days
    carrier = order.carrier if rng.random() < 0.5 else rng.choice(CARRIERS)
    return {**who.common(rng), **who.item(order.item), "number": order.number,
            "quantity": order.quantity, "order_items": who.many(order.quantity, order.item),
            "total": who.money(order.total), "each": who.money(order.price),
            "carrier": who.say(*order.carrier), "date": who.date(order.event), "days": days,
            "days_text": who.days(days), "in_days": who.days(-days), "any_carrier":
            who.say(*carrier), "return_days": shop.return_days}


def order_turn(who, rng, intent, order):
    turn = order_case(who, intent, order, order_facts(who, rng, order))
    turn.order = order
    if NEEDS.get(intent, "orders") not in who.shop.known and turn.case != "return_cancelled":
        return not_known(who, turn)
    return turn


def order_case(who, intent, order, facts):
    no = who.say("can't", "不能")
    status = order.status
    on_its_way = intent in ("days_until", "carrier") and status != "shipped"
    if intent in ("status", "arrival") or (intent == "days_until" and on_its_way):
        case = f"status_{status}"
        if intent != "status" and status in ("processing", "shipped"):
            case = f"arrival_{status}"
        return Turn(intent, case, facts, [facts["date"]])
    if intent == "days_until":
        return Turn(intent, intent, facts, [facts["in_days"], facts["date"]])
    if intent == "carrier":
        if on_its_way:
            return Turn(intent, "carrier_unknown", facts,
                        [who.say("don't have that", "没有这方面")])
        return Turn(intent, "carrier", facts, [facts["carrier"]])
    if intent == "cancel":
        if status == "cancelled":
            return Turn(intent, "cancel_cancelled", facts,
                        [who.say("already", "已经取消")], [no])
        refuses = status != "processing"
        case = f"cancel_{status}" if refuses else "cancel_yes"
        return Turn(intent, case, facts, [no] if refuses else [who.say("cancel", "取消")],
                    [] if refuses else [no])
    if intent == "return":
        return return_case(who, order, facts)
    if intent == "address":
        case = {"processing": "yes", "shipped": "no"}.get(status, status)
        contains = {"yes": [order.number], "cancelled": [who.say("cancelled", "取消")]}
        return Turn(intent, f"address_{case}", facts, contains.get(case, [no]),
                    [no] if case == "yes" else [])
    if intent == "refund" and status == "cancelled":
        return Turn(intent, "refund_cancelled", facts, [facts["total"]])
    if intent == "broken" and status != "delivered":
        return Turn(intent, "broken_early", facts, [facts["item"], who.say("not been", "没送到")])
    contains = {"items": [facts["order_items"]], "quantity": [facts["order_items"]],
                "total": [facts["total"]], "refund": [facts["total"]], "each": [facts["each"]],
                "invoice": [order.number], "broken": [facts["item"]]}[intent]
    case = "each_one" if intent == "each" and order.quantity == 1 else intent
    return Turn(intent, case, facts, contains)


def return_case(who, order, facts):
    if order.status == "cancelled":
        return Turn("return", "return_cancelled", facts, [who.say("cancelled", "取消")])
    if order.status != "delivered":
        return Turn("return", "return_early", facts,
                    [who.days(who.shop.return_days), who.say("not arrived", "没送到")])
    good, bad = who.say("you can return", "可以退货"), who.say("too late", "过期")
    late = facts["days"] > who.shop.return_days
    return Turn("return", "return_no" if late else "return_yes", facts,
                [facts["days_text"], bad if late else good], [good if late else bad])


def item_turn(who, rng, intent):
    shop = who.shop
    item = rng.choice(list(shop.stock))
    known = rng.random() > 0.15
    if not known:
        item = rng.choice([other for other in ITEMS if other not in shop.stock])
    left, price = shop.stock.get(item, (0, 0))
    quantity = rng.choice([2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 8, 10])
    if price > 10000:
        quantity = min(quantity, rng.choice([2, 3, 4]))
    facts = {**who.common(rng), **who.item(item), "left": left, "quantity": quantity,
             "left_items": who.name(item, left), "price": who.money(price),
             "sum": who.money(price * quantity)}
    bad = who.say("sorry", "抱歉")
    if not known:
        return Turn(intent, "stock_unknown", facts, [who.say("information", "没有")])
    if intent == "price":
        return Turn(intent, intent, facts, [facts["price"]])
    if intent == "price_of_many":
        return Turn(intent, intent, facts, [facts["sum"]])
    if left == 0:
        return Turn(intent, "stock_none", facts, [bad])
    if intent == "stock":
        return Turn(intent, "stock_some", facts, [str(left), facts["price"]], [bad])
    if left < quantity:
        return Turn(intent, "enough_no", facts, [bad, str(left)])
    if shop.cents:
        return Turn(intent, "enough_yes_short", facts, [str(left), facts["price"]], [bad])
    return Turn(intent, "enough_yes", facts, [facts["sum"]], [bad])


def open_turn(who, rng, facts):
    shop = who.shop
    weekday = rng.choice([0, 1, 2, 3, 4, 5, 5, 6, 6])
    facts["day"] = who.say(DAYS, DAYS_ZH)[weekday]
    bad = who.say("sorry", "抱歉")
    if weekday < 5:
        return Turn("open_on", "open_weekday", facts, [facts["opens"], facts["closes"]], [bad])
    if weekday == 5 and shop.saturday:
        return Turn("open_on", "open_saturday", facts, [facts["opens"], facts["until"]], [bad])
    return Turn("open_on", "closed", facts, [bad])


def payment_turn(who, rng, facts):
    method = rng.choice(PAYMENTS)
    if rng.random() < 0.5:
        facts["any_payment"] = who.say(*method)
    return Turn("payment", "payment", facts, [who.say(*one) for one in who.shop.payments])


def shop_facts(who, rng):
    shop = who.shop
    until = who.hour(shop.saturday) if shop.saturday else ""
    opens = who.hour(shop.opens)
    saturday = who.say(f", and on Saturday from {opens} to {until}", f"，周六{opens}到{until}")
    weekday = who.say(DAYS, DAYS_ZH)[shop.today.weekday()]
    facts = {**who.common(rng), "return_days": shop.return_days, "refund_days": shop.refund_days,
             "shipping": who.money(shop.shipping), "free_from": who.money(shop.free_from),
             "warranty": shop.warranty, "opens": opens, "closes": who.hour(shop.closes),
             "until": until, "saturday_text": saturday if until else "", "weekday": weekday,
             "today": who.date(shop.today)}
    if hasattr(shop, "phone"):
        facts.update(phone=shop.phone, place=place(shop, who.language),
                     payments=payments(shop, who.language))
    return facts


def shop_turn(who, rng, intent):
    turn = shop_case(who, rng, intent)
    return turn if NEEDS.get(intent, "orders") in who.shop.known else not_known(who, turn)


def shop_case(who, rng, intent):
    shop = who.shop
    if intent in ("stock", "price", "price_of_many", "enough"):
        return item_turn(who, rng, intent)
    facts = shop_facts(who, rng)
    if intent == "open_on":
        return open_turn(who, rng, facts)
    if intent == "shipping_for":
        amount = rng.randrange(5, 2 * shop.free_from // 100) * 100
        amount += 100 if amount == shop.free_from else 0
        facts["amount"] = who.money(amount)
        free = amount > shop.free_from
        good, bad = who.say("is free", "可以包邮"), who.say("less than", "不到")
        return Turn(intent, "shipping_free" if free else "shipping_paid", facts,
                    [good] if free else [bad, facts["shipping"]], [bad] if free else [good])
    if intent == "warranty_for":
        months = rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 14, 16, 20, 22, 25, 28, 30, 38,
                             40])
        facts["months"] = who.months(months)
        facts["months_old"] = f"{months} month"
        covered = months < shop.warranty
        good, bad = who.say("is covered", "还在保修期"), who.say("has ended", "过保")
        return Turn(intent, "warranty_yes" if covered else "warranty_no", facts,
                    [good if covered else bad], [bad if covered else good])
    if intent == "payment" and intent in shop.known:
        return payment_turn(who, rng, facts)
    contains = {"refund_time": [str(shop.refund_days)], "policy": [str(shop.return_days)],
                "shipping": [facts["shipping"], facts["free_from"]], "today": [facts["today"]],
                "hours": [facts["opens"], facts["closes"]], "warranty": [str(shop.warranty)],
                "contact": [facts.get("phone", "")], "location": [facts.get("place", "")]}
    return Turn(intent, intent, facts, contains.get(intent, []))


def list_turn(who, rng, intent):
    """What is asked of all orders together."""
    shop = who.shop
    orders = rng.sample(shop.orders, len(shop.orders)) if intent == "sum_two" else shop.orders
    facts = who.common(rng)
    if intent == "list_orders":
        shown = [f"{one.number} ({who.many(one.quantity, one.item)})" if who.english else
                 f"{one.number}（{who.many(one.quantity, one.item)}）" for one in orders]
        facts["list"] = who.say(", ", "、").join(shown)
        facts["count_orders"] = who.say(f"{len(orders)} order{'s' * (len(orders) > 1)}",
                                        f"{len(orders)}个订单")
        return Turn(intent, intent, facts, [one.number for one in orders])
    if intent == "sum_all" and len(orders) > 1:
        facts["sum_text"] = " + ".join(who.money(one.total) for one in orders)
        facts["sum"] = who.money(sum(one.total for one in orders))
        return Turn(intent, intent, facts, [facts["sum"]])
    if intent == "sum_two":
        facts["number"], facts["number2"] = orders[0].number, orders[1].number
        facts["sum_text"] = " + ".join(who.money(one.total) for one in orders[:2])
        facts["sum"] = who.money(orders[0].total + orders[1].total)
        return Turn(intent, intent, facts, [facts["sum"]])
    if intent == "arrives_first":
        coming = [one for one in orders if one.status == "shipped"]
        if not coming:
            return Turn(intent, "arrives_none", facts, [who.say("none", "没有")])
        first = min(coming, key=lambda one: one.event)
        turn = Turn(intent, intent, order_facts(who, rng, first), [first.number])
        turn.order = first
        return turn
    most = max(orders, key=lambda one: one.total)
    case = "sum_one" if intent == "sum_all" else intent
    turn = Turn(intent, case, order_facts(who, rng, most), [most.number, who.money(most.total)])
    turn.order = most
    return turn


def plain_turn(who, rng, intent):
    words = {"outside": ["help", "抱歉"], "password": ["Forgot password", "忘记密码"],
             "email": ["Settings", "设置"], "delete": ["Settings", "设置"], "buy": ["website", "网站"],
             "human": ["team", "同事"], "angry": ["sorry", "抱歉"], "who": ["assistant", "客服"]}
    contains = [who.say(*words[intent])] if intent in words else []
    return Turn(intent, intent, who.common(rng), contains)


def not_known(who, turn):
    turn.case, turn.lacks = "not_known", []
    turn.contains = [who.say("don't have that", "没有这方面")]
    turn.difficulty = 2
    return turn
