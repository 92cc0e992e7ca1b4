"""Shops with orders, stock and rules: what a system prompt tells the assistant."""
import datetime

ITEMS = [  # English, plural, Chinese, Chinese measure word, price range
    ("kettle", "kettles", "电水壶", "个", (18, 60)), ("desk lamp", "desk lamps", "台灯", "盏", (15, 70)),
    ("backpack", "backpacks", "背包", "个", (25, 90)), ("mug", "mugs", "马克杯", "个", (5, 18)),
    ("keyboard", "keyboards", "键盘", "个", (20, 99)), ("mouse", "mice", "鼠标", "个", (10, 60)),
    ("headset", "headsets", "耳机", "副", (20, 120)), ("blanket", "blankets", "毛毯", "条", (15, 60)),
    ("pillow", "pillows", "枕头", "个", (10, 40)), ("notebook", "notebooks", "笔记本", "本", (3, 12)),
    ("umbrella", "umbrellas", "雨伞", "把", (8, 35)), ("toaster", "toasters", "面包机", "台", (20, 80)),
    ("clock", "clocks", "闹钟", "个", (9, 45)), ("chair", "chairs", "椅子", "把", (35, 150)),
    ("towel", "towels", "毛巾", "条", (5, 20)), ("bottle", "bottles", "水杯", "个", (8, 30)),
    ("jacket", "jackets", "外套", "件", (35, 140)), ("pair of shoes", "pairs of shoes", "鞋子", "双",
                                                    (30, 120)),
    ("phone case", "phone cases", "手机壳", "个", (6, 25)), ("charger", "chargers", "充电器", "个",
                                                          (9, 40)),
    ("speaker", "speakers", "音箱", "个", (20, 130)), ("frying pan", "frying pans", "平底锅", "口",
                                                      (15, 70)),
    ("camera", "cameras", "相机", "台", (80, 190)), ("puzzle", "puzzles", "拼图", "盒", (8, 30)),
]
SHOPS = ["Northwind", "Lumen Home", "Bluebird", "Oak & Co", "Harbor Goods", "Maple Lane",
         "Brightside", "Riverstone", "Papaya", "Kite Store", "Juniper", "Silver Fern"]
SHOPS_ZH = ["青禾商城", "蓝鸟家居", "云朵优品", "小满生活", "橙子数码", "木子良品", "星河商店", "春山家品",
            "四季优选", "白鹿小店"]
CARRIERS = ["DHL", "UPS", "FedEx", "GLS", "DPD"]
CARRIERS_ZH = ["顺丰", "中通", "圆通", "京东", "韵达"]
STATUSES = ["processing", "shipped", "delivered", "cancelled"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
DAYS_ZH = ["周一", "周二", "周三", "周四", "周五", "周六", "周日"]
CURRENCIES = {"en": ["$", "€", "£"], "zh": ["元"]}


def is_held_out(number):
    """One order number in ten belongs to the tasks alone."""
    return (int(number) * 2654435761 >> 7) % 10 == 0


def order_number(rng, held_out):
    while True:
        digits = rng.choice([4, 5, 5, 5, 6])
        number = str(rng.randrange(10 ** (digits - 1), 10 ** digits))
        if is_held_out(number) == held_out:
            return number


def english_date(date):
    return f"{MONTHS[date.month - 1]} {date.day}"


def chinese_date(date):
    return f"{date.month}月{date.day}日"


class Order:
    def __init__(self, rng, language, today, held_out):
        self.number = order_number(rng, held_out)
        self.item = rng.choice(ITEMS)
        self.quantity = rng.choice([1, 1, 1, 2, 2, 3, 4])
        low, high = self.item[4]
        self.price = rng.randrange(low, high + 1)
        self.total = self.quantity * self.price
        self.status = rng.choice(STATUSES[:3] * 3 + STATUSES[3:])
        self.carrier = rng.choice(CARRIERS if language == "en" else CARRIERS_ZH)
        self.ordered = today - datetime.timedelta(days=rng.randrange(3, 40))
        if self.status == "shipped":
            self.event = today + datetime.timedelta(days=rng.randrange(1, 8))
        elif self.status == "processing":
            self.event = today + datetime.timedelta(days=rng.randrange(1, 6))
        else:
            self.event = today - datetime.timedelta(days=rng.randrange(1, 40))


class Shop:
    """Everything that one system prompt says."""

    def __init__(self, rng, language, held_out, num_orders=None):
        self.language = language
        self.name = rng.choice(SHOPS if language == "en" else SHOPS_ZH)
        self.currency = rng.choice(CURRENCIES[language])
        self.today = datetime.date(2026, 1, 1) + datetime.timedelta(days=rng.randrange(0, 700))
        count = num_orders or rng.choice([1, 1, 2, 2, 3, 4])
        self.orders = []
        while len(self.orders) < count:
            order = Order(rng, language, self.today, held_out)
            if all(order.number != other.number and order.item != other.item
                   for other in self.orders):
                self.orders.append(order)
        self.return_days = rng.choice([7, 14, 15, 30, 60])
        self.refund_days = rng.choice([3, 5, 7, 10])
        self.free_from = rng.choice([30, 40, 50, 60, 80, 100])
        self.shipping = rng.choice([3, 4, 5, 6, 8, 10])
        self.warranty = rng.choice([12, 24, 36])
        self.opens = rng.choice([8, 9, 10])
        self.closes = rng.choice([17, 18, 19, 20, 21])
        self.saturday = rng.choice([None, 13, 14, 16])
        self.stock = {}
        for item in rng.sample(ITEMS, rng.choice([2, 3, 4])):
            self.stock[item] = (rng.choice([0, 0, 1, 2, 3, 5, 8, 12, 20]),
                                rng.randrange(item[4][0], item[4][1] + 1))

    def money(self, amount):
        if self.language == "zh":
            return f"{amount}元"
        return f"{self.currency}{amount}"

    def date(self, date):
        return english_date(date) if self.language == "en" else chinese_date(date)

    def line_of(self, order):
        date = order.event.isoformat()
        if self.language == "en":
            last = {"processing": f"ships {date}", "cancelled": f"cancelled {date}",
                    "delivered": f"delivered {date}",
                    "shipped": f"shipped with {order.carrier}, arrives {date}"}[order.status]
            what = f"{order.quantity} x {order.item[0]}"
            return f"{order.number}: {what}, {self.money(order.total)}, {last}"
        last = {"processing": f"{date}发货", "cancelled": f"{date}已取消", "delivered": f"{date}已签收",
                "shipped": f"{order.carrier}运输中，{date}送达"}[order.status]
        return f"{order.number}：{order.item[2]}×{order.quantity}，{self.money(order.total)}，{last}"

    def prompt(self, rng):
        """The system prompt: what is always there, then its parts in any order."""
        if self.language == "en":
            head = (f"You are the assistant of {self.name}. "
                    f"Today is {DAYS[self.today.weekday()]}, {self.today.isoformat()}.")
            saturday = f", Sat {self.opens}-{self.saturday}" if self.saturday else ""
            parts = {
                "orders": "Orders:\n" + "\n".join(self.line_of(order) for order in self.orders),
                "returns": f"Returns: {self.return_days} days after delivery. "
                           f"Refunds take {self.refund_days} days.",
                "delivery": f"Delivery: {self.money(self.shipping)}, "
                            f"free from {self.money(self.free_from)}.",
                "warranty": f"Warranty: {self.warranty} months.",
                "hours": f"Hours: Mon-Fri {self.opens}-{self.closes}{saturday}.",
                "stock": "Stock: " + "; ".join(
                    f"{item[0]} {self.money(price)}, {number} left"
                    for item, (number, price) in self.stock.items()) + ".",
            }
        else:
            head = (f"你是{self.name}的客服。今天是{self.today.isoformat()}，"
                    f"{DAYS_ZH[self.today.weekday()]}。")
            saturday = f"，周六{self.opens}点到{self.saturday}点" if self.saturday else ""
            parts = {
                "orders": "订单：\n" + "\n".join(self.line_of(order) for order in self.orders),
                "returns": f"退货：签收后{self.return_days}天内。退款{self.refund_days}天到账。",
                "delivery": f"运费{self.money(self.shipping)}，满{self.money(self.free_from)}包邮。",
                "warranty": f"保修{self.warranty}个月。",
                "hours": f"营业时间：周一到周五{self.opens}点到{self.closes}点{saturday}。",
                "stock": "库存：" + "；".join(
                    f"{item[2]}{self.money(price)}，剩{number}{item[3]}"
                    for item, (number, price) in self.stock.items()) + "。",
            }
        self.known = {"orders"} | {name for name in parts if rng.random() < 0.85}
        lines = [text for name, text in parts.items() if name in self.known]
        rng.shuffle(lines)
        return head + "\n" + "\n".join(lines)
