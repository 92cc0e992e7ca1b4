"""Shops with orders, stock and rules: what a system prompt tells the assistant."""
import datetime

import layouts
from items import (CARRIERS, FIRST, FIRST_ZH, ITEMS, PAYMENTS, SECOND, SECOND_ZH, STREETS,
                   STREETS_ZH)

STATUSES = ["processing", "shipped", "delivered", "cancelled"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
DAYS_ZH = ["周一", "周二", "周三", "周四", "周五", "周六", "周日"]
CURRENCIES = {"en": ["$", "$", "€", "£"], "zh": ["元", "元", "¥"]}
# How money of each sign is said in the other language.
FOREIGN = {"$": "{}美元", "€": "{}欧元", "£": "{}英镑", "元": "{} yuan", "¥": "{} yuan"}
PARTS = {"returns": 0.65, "delivery": 0.5, "warranty": 0.45, "hours": 0.45, "stock": 0.5,
         "contact": 0.1, "location": 0.1, "payment": 0.1}


def is_held_out(number):
    """One order number in ten belongs to the tasks alone."""
    digits = int("".join(char for char in number if char.isdigit()))
    return (digits * 2654435761 >> 7) % 10 == 0


def order_number(rng, held_out, prefix=""):
    while True:
        digits = rng.choice([4, 5, 5, 5, 5, 6, 6, 7, 8])
        number = prefix + str(rng.randrange(10 ** (digits - 1), 10 ** digits))
        if is_held_out(number) == held_out:
            return number


def date_in(date, language):
    if language == "en":
        return f"{MONTHS[date.month - 1]} {date.day}"
    return f"{date.month}月{date.day}日"


class Order:
    def __init__(self, rng, today, held_out, prefix, cents):
        self.number = order_number(rng, held_out, prefix)
        self.item = rng.choice(ITEMS)
        self.quantity = rng.choice([1, 1, 1, 2, 2, 3, 4])
        self.price = amount(rng, self.item, cents)
        self.total = self.quantity * self.price
        self.status = rng.choice(STATUSES[:3] * 3 + STATUSES[3:])
        self.carrier = rng.choice(CARRIERS)
        if self.status == "shipped":
            self.event = today + datetime.timedelta(days=rng.randrange(1, 8))
        elif self.status == "processing":
            self.event = today + datetime.timedelta(days=rng.randrange(1, 6))
        else:
            self.event = today - datetime.timedelta(days=rng.randrange(1, 40))


def amount(rng, item, cents):
    """A price in hundredths."""
    price = rng.randrange(item[4][0], item[4][1] + 1) * 100
    return price + rng.choice([50, 90, 99, 95, 49, rng.randrange(1, 100)]) if cents else price


class Shop:
    """Everything that one system prompt says, in the language that it says it in."""

    def __init__(self, rng, language, held_out):
        self.language = language
        if language == "en":
            self.name = rng.choice(FIRST) + rng.choice(SECOND)
        else:
            self.name = rng.choice(FIRST_ZH) + rng.choice(SECOND_ZH)
        self.currency = rng.choice(CURRENCIES[language])
        self.today = datetime.date(2025, 6, 1) + datetime.timedelta(days=rng.randrange(0, 900))
        self.cents = rng.random() < 0.2
        letter = rng.choice("ABCDEFGHKLMNPRSTWX")
        prefix = rng.choice([""] * 8 + [letter + "-", letter, "ORD-"])
        self.orders = []
        count = rng.choice([0] + [1, 2, 2, 2, 2, 3] * 6 + [4] * 3)
        while len(self.orders) < count:
            order = Order(rng, self.today, held_out, prefix, self.cents)
            if all(order.number != other.number and order.item != other.item
                   and order.total != other.total for other in self.orders):
                self.orders.append(order)
        self.rules(rng)
        self.stock = {}
        for item in rng.sample(ITEMS, rng.choice([2, 2, 3, 4])):
            self.stock[item] = (rng.choice([0, 0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 34]),
                                amount(rng, item, self.cents))
        self.known = {name for name, share in PARTS.items() if rng.random() < share}
        self.known.add("orders")

    def rules(self, rng):
        self.return_days = rng.choice([7, 10, 14, 15, 20, 21, 28, 30, 30, 45, 60, 90])
        self.refund_days = rng.choice([2, 3, 4, 5, 6, 7, 8, 10, 12])
        self.free_from = rng.choice([25, 30, 35, 40, 45, 50, 60, 75, 80, 99, 100, 120]) * 100
        self.shipping = rng.choice([3, 4, 5, 6, 7, 8, 9, 10, 12]) * 100
        if self.cents:
            self.shipping += rng.choice([50, 90, 95, 99])
        self.warranty = rng.choice([6, 12, 12, 18, 24, 24, 36])
        self.clock = rng.choice(["hour", "colon", "noon"][:3 if self.language == "en" else 2])
        self.opens = rng.choice([7, 8, 9, 10, 11])
        self.closes = rng.choice([16, 17, 18, 19, 20, 21, 22])
        self.saturday = rng.choice([None, 13, 14, 15, 16])
        self.phone = f"0{rng.randrange(200, 900)} {rng.randrange(1000, 10000)}"
        self.house = rng.randrange(1, 200)
        self.street = rng.choice(list(zip(STREETS, STREETS_ZH)))
        self.payments = rng.sample(PAYMENTS, rng.choice([2, 3]))

    def money(self, cents, language=None):
        """An amount in a language: the sign of the shop, or the currency's name in the other."""
        number = str(cents // 100) if cents % 100 == 0 else f"{cents / 100:.2f}"
        language = language or self.language
        if language != self.language:
            return FOREIGN[self.currency].format(number)
        return f"{number}元" if self.currency == "元" else f"{self.currency}{number}"

    def hour(self, hour, language=None):
        """An hour as the prompt writes it; in the other language on the 24-hour clock."""
        language = language or self.language
        if language == self.language and self.clock == "colon":
            return f"{hour}:00"
        if language == "en":
            if language == self.language and self.clock == "noon":
                return f"{(hour - 1) % 12 + 1} {'am' if hour < 12 else 'pm'}"
            return str(hour)
        return f"{hour}点"

    def prompt(self, rng):
        return layouts.prompt(self, rng)


def plain_order(number, item, quantity, total, status, carrier, event):
    """An order with facts given."""
    order = Order.__new__(Order)
    order.number, order.quantity, order.total, order.status = number, quantity, total, status
    order.item = next(one for one in ITEMS if one[0] == item)
    order.carrier = next(one for one in CARRIERS if one[0] == carrier)
    order.price, order.event = total // quantity, event
    return order


def default_shop():
    """The shop of system_prompt.txt, which a conversation without a system prompt is in."""
    shop = Shop.__new__(Shop)
    date = datetime.date
    shop.language, shop.name, shop.currency, shop.cents = "en", "Northwind", "$", False
    shop.today, shop.clock = date(2026, 3, 2), "hour"
    shop.orders = [
        plain_order("48213", "kettle", 2, 9000, "shipped", "DHL", date(2026, 3, 5)),
        plain_order("48377", "desk lamp", 1, 3500, "processing", "DHL", date(2026, 3, 4)),
        plain_order("47920", "backpack", 1, 5900, "delivered", "DHL", date(2026, 2, 20)),
    ]
    shop.return_days, shop.refund_days, shop.warranty = 30, 5, 24
    shop.free_from, shop.shipping = 5000, 500
    shop.opens, shop.closes, shop.saturday = 9, 18, 14
    names = {item[0]: item for item in ITEMS}
    shop.stock = {names["kettle"]: (3, 4500), names["mug"]: (12, 900),
                  names["umbrella"]: (0, 1500), names["headset"]: (5, 6000)}
    shop.known = {"orders", "returns", "delivery", "warranty", "hours", "stock"}
    return shop


def default_prompt():
    return layouts.prompt(default_shop(), None)
