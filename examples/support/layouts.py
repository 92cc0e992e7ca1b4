"""System prompts: the facts of a shop, in many wordings and orders."""
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
DAYS_ZH = ["周一", "周二", "周三", "周四", "周五", "周六", "周日"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December"]

ENGLISH = {
    "head": ["You are the assistant of {shop}. Today is {day}, {today}.",
             "You are a customer service assistant for {shop}. Today is {today}.",
             "You are the support agent of {shop}. Today's date: {today}.",
             "You work in customer support at {shop}. It is {day}, {today}.",
             "You answer the customers of the online shop {shop}. Today is {day}, {today}.",
             "{shop} customer support. Date: {today} ({day}).",
             "You are a helpful support assistant for {shop}.\nToday: {today}",
             "You are {shop}'s assistant. Current date: {day}, {today}."],
    "orders": ["Orders:", "Customer orders:", "The customer's orders:", "Orders of this customer:",
               "ORDERS", "Order list:"],
    "none": ["Orders: none.", "The customer has no orders.", "Orders: no open orders."],
    "line": ["{number}: {quantity} x {item}, {total}, {last}",
             "- {number}: {item} x{quantity}, {total}, {last}",
             "Order {number}: {quantity} {items}, {total}, {last}.",
             "- Order {number}, {quantity} x {item}, total {total}: {last}",
             "#{number} | {quantity} x {item} | {total} | {last}",
             "{number} - {last} - {quantity} x {item} - {total}",
             "Order {number}: {last}, {quantity} x {item}, {total}",
             "Order #{number} ({quantity} x {item}, {total}): {last}",
             "* {number}, {items} ({quantity}), {total}, {last}"],
    "processing": ["ships {date}", "processing, ships {date}", "being prepared, ships on {date}",
                   "not shipped yet, ships {date}", "processing (ships {date})"],
    "shipped": ["shipped with {carrier}, arrives {date}",
        "on its way with {carrier}, arrives {date}",
                "shipped ({carrier}), expected {date}",
                "in transit with {carrier}, arriving {date}",
                "shipped via {carrier}, delivery {date}", "shipped by {carrier}, due {date}"],
    "delivered": ["delivered {date}", "delivered on {date}", "delivered ({date})",
                  "arrived on {date}"],
    "cancelled": ["cancelled {date}", "cancelled on {date}", "cancelled ({date})",
                  "canceled {date}"],
    "returns": ["Returns: {return_days} days after delivery. Refunds take {refund_days} days.",
                "Returns within {return_days} days of delivery; refunds take {refund_days} days.",
                "Return policy: {return_days} days from delivery. Money back within {refund_days} "
                "days.",
                "Items can be returned within {return_days} days after delivery. Refunds are paid "
                "in {refund_days} days.",
                "Returns: {return_days} days. Refund time: {refund_days} days."],
    "delivery": ["Delivery: {shipping}, free from {free_from}.",
                 "Shipping costs {shipping}, free for orders from {free_from}.",
                 "Shipping: {shipping} (free from {free_from}).",
                 "Delivery costs {shipping}; orders of {free_from} or more ship free.",
                 "Shipping fee {shipping}. Free shipping from {free_from}."],
    "warranty": ["Warranty: {warranty} months.", "All products have {warranty} months warranty.",
                 "Warranty period: {warranty} months.",
                 "The warranty on everything is {warranty} months."],
    "hours": ["Hours: Mon-Fri {opens}-{closes}{saturday}.",
              "Shop hours: Monday to Friday {opens} to {closes}{saturday}.",
              "Opening times: Mon-Fri {opens} - {closes}{saturday}.",
              "Open Monday-Friday from {opens} to {closes}{saturday}.",
              "Business hours: Mon-Fri {opens}-{closes}{saturday}."],
    "saturday": [", Sat {opens}-{until}", ", Saturday {opens} to {until}"],
    "no_saturday": ["", "", ", closed on weekends"],
    "stock": [("Stock: ", "; ", ".", "{item} {price}, {left} left"),
              ("Stock:\n", "\n", "", "- {item}: {price}, {left} left"),
              ("In stock: ", ", ", ".", "{item} ({price}, {left} left)"),
              ("Products:\n", "\n", "", "- {item}, {price}, {left} in stock"),
              ("Products: ", "; ", ".", "{item}, {price} each, stock {left}"),
              ("Stock and prices:\n", "\n", "", "{item}: {left} pieces, {price}")],
    "contact": ["Phone: {phone}.", "Contact: phone {phone}.", "Hotline: {phone}."],
    "location": ["Shop address: {place}.", "The shop is at {place}.", "Address: {place}."],
    "payment": ["Payment: {payments}.", "We accept {payments}.", "Payment methods: {payments}."],
}

CHINESE = {
    "head": ["你是{shop}的客服。今天是{today}，{day}。", "你是{shop}的客服助手，今天是{today}。",
             "你是{shop}的智能客服。今天：{today}（{day}）。", "你在{shop}做客户服务。今天是{day}，{today}。",
             "{shop}客服。日期：{today}，{day}。", "你负责回答{shop}顾客的问题。\n今天日期：{today}"],
    "orders": ["订单：", "客户订单：", "该顾客的订单：", "订单列表：", "【订单】"],
    "none": ["订单：无。", "该顾客没有订单。", "订单：暂无。"],
    "line": ["{number}：{item}×{quantity}，{total}，{last}",
        "- {number}：{quantity}{measure}{item}，{total}，{last}",
             "订单{number}：{item}{quantity}{measure}，共{total}，{last}。",
             "- 订单号{number}，{item} x{quantity}，合计{total}，{last}",
             "{number} | {item}×{quantity} | {total} | {last}",
             "订单{number}，{last}，{quantity}{measure}{item}，{total}",
             "{number}（{item}×{quantity}，{total}）：{last}"],
    "processing": ["{date}发货", "备货中，{date}发货", "未发货，预计{date}发货", "处理中，{date}发出"],
    "shipped": ["{carrier}运输中，{date}送达", "已发货，{carrier}，预计{date}到", "{carrier}配送，{date}送达",
                "运输中（{carrier}），{date}到达", "已由{carrier}发出，{date}到货"],
    "delivered": ["{date}已签收", "已签收（{date}）", "{date}送达", "已于{date}签收"],
    "cancelled": ["{date}已取消", "已取消（{date}）", "已于{date}取消"],
    "returns": ["退货：签收后{return_days}天内。退款{refund_days}天到账。",
        "签收后{return_days}天内可退货，退款{refund_days}天到账。",
                "退货政策：签收起{return_days}天内；退款时间：{refund_days}天。",
                "{return_days}天内可退货。退款{refund_days}天内到账。"],
    "delivery": ["运费{shipping}，满{free_from}包邮。", "配送：运费{shipping}，满{free_from}免运费。",
        "邮费：{shipping}（满{free_from}包邮）。",
                 "满{free_from}包邮，不满收{shipping}运费。"],
    "warranty": ["保修{warranty}个月。", "保修期：{warranty}个月。", "所有商品质保{warranty}个月。", "质保期{warranty}个月。"],
    "hours": ["营业时间：周一到周五{opens}到{closes}{saturday}。", "营业时间：周一至周五{opens}-{closes}{saturday}。",
              "开门时间：周一到周五{opens}至{closes}{saturday}。", "周一至周五{opens}到{closes}营业{saturday}。"],
    "saturday": ["，周六{opens}到{until}", "，周六{opens}-{until}"],
    "no_saturday": ["", "", "，周末休息"],
    "stock": [("库存：", "；", "。", "{item}{price}，剩{left}{measure}"), ("库存：\n", "\n", "",
        "- {item}：{price}，剩{left}{measure}"),
              ("商品：", "；", "。", "{item}（{price}，库存{left}）"), ("商品：\n", "\n", "",
              "{item}，{price}，库存{left}{measure}"),
              ("现货：", "，", "。", "{item}{left}{measure}（每{measure}{price}）")],
    "contact": ["电话：{phone}。", "客服热线：{phone}。", "联系电话：{phone}。"],
    "location": ["地址：{place}。", "门店地址：{place}。", "店铺在{place}。"],
    "payment": ["支付方式：{payments}。", "支持{payments}。", "付款：{payments}。"],
}
SOLD_OUT = {"en": {"{left} left": "sold out", "{left} in stock": "out of stock",
                   "stock {left}": "sold out", "{left} pieces": "sold out"},
            "zh": {"剩{left}{measure}": "缺货", "库存{left}{measure}": "无货", "库存{left}": "售罄"}}


def written_date(date, style):
    if style == "iso":
        return date.isoformat()
    if style == "slash":
        return f"{date.year}/{date.month:02}/{date.day:02}"
    if style == "month day":
        return f"{MONTHS[date.month - 1]} {date.day}"
    if style == "day month":
        return f"{date.day} {MONTHS[date.month - 1]}"
    if style == "short":
        return f"{MONTHS[date.month - 1][:3]} {date.day}"
    return f"{date.month}月{date.day}日"


class Layout:
    """The choices of one prompt: with no random numbers the first of everything."""

    def __init__(self, shop, rng):
        self.shop, self.rng = shop, rng
        self.english = shop.language == "en"
        self.texts = ENGLISH if self.english else CHINESE
        styles = (["iso", "iso", "month day", "day month", "short"] if self.english
                  else ["iso", "month", "month", "slash"])
        self.style = self.one(styles)
        self.line = self.one(self.texts["line"])
        self.last = {name: self.one(self.texts[name])
                     for name in ("processing", "shipped", "delivered", "cancelled")}
        self.marks_sold_out = rng is not None and rng.random() < 0.4

    def one(self, options):
        return options[0] if self.rng is None else self.rng.choice(options)

    def name(self, item):
        return item[0] if self.english else item[2]

    def orders(self):
        shop = self.shop
        if not shop.orders:
            return self.one(self.texts["none"])
        lines = [self.one(self.texts["orders"])]
        for order in shop.orders:
            last = self.last[order.status].format(
                date=written_date(order.event, self.style),
                carrier=order.carrier[0 if self.english else 1])
            items = order.item[0] if order.quantity == 1 else order.item[1]
            lines.append(self.line.format(
                number=order.number, quantity=order.quantity, item=self.name(order.item),
                items=items, measure=order.item[3], total=shop.money(order.total), last=last))
        return "\n".join(lines)

    def stock(self):
        head, between, end, text = self.one(self.texts["stock"])
        sold_out = text
        if self.marks_sold_out:
            for old, new in SOLD_OUT[self.shop.language].items():
                sold_out = sold_out.replace(old, new)
        return head + between.join(
            (text if left else sold_out).format(item=self.name(item), left=left, measure=item[3],
                                                price=self.shop.money(price))
            for item, (left, price) in self.shop.stock.items()) + end

    def hours(self):
        shop = self.shop
        until = "" if shop.saturday is None else shop.hour(shop.saturday)
        saturday = self.one(self.texts["saturday" if until else "no_saturday"])
        saturday = saturday.format(opens=shop.hour(shop.opens), until=until)
        return self.one(self.texts["hours"]).format(
            opens=shop.hour(shop.opens), closes=shop.hour(shop.closes), saturday=saturday)


def place(shop, language):
    if language == "en":
        return f"{shop.house} {shop.street[0]}"
    return f"{shop.street[1]}{shop.house}号"


def payments(shop, language):
    names = [names[0 if language == "en" else 1] for names in shop.payments]
    if language == "en":
        return ", ".join(names[:-1]) + " and " + names[-1]
    return "、".join(names)


def prompt(shop, rng):
    """The system prompt: its head, then its parts in any order."""
    layout = Layout(shop, rng)
    texts = layout.texts
    days = DAYS if layout.english else DAYS_ZH
    today = (shop.today.isoformat() if layout.style in ("iso", "slash", "short")
             else written_date(shop.today, layout.style))
    head = layout.one(texts["head"]).format(shop=shop.name, day=days[shop.today.weekday()],
                                            today=today)
    facts = {"return_days": shop.return_days, "refund_days": shop.refund_days,
             "shipping": shop.money(shop.shipping), "free_from": shop.money(shop.free_from),
             "warranty": shop.warranty}
    parts = []
    for name in ("orders", "returns", "delivery", "warranty", "hours", "stock", "contact",
                 "location", "payment"):
        if name not in shop.known:
            continue
        if name in ("orders", "hours", "stock"):
            parts.append(getattr(layout, name)())
            continue
        if name == "contact":
            facts["phone"] = shop.phone
        if name == "location":
            facts["place"] = place(shop, shop.language)
        if name == "payment":
            facts["payments"] = payments(shop, shop.language)
        parts.append(layout.one(texts[name]).format(**facts))
    if rng is not None:
        rng.shuffle(parts)
    between = "\n" if rng is None or rng.random() < 0.85 else "\n\n"
    return head + "\n" + between.join(parts)
