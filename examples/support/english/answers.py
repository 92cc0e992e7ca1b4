"""What English-speaking customers are answered."""
ANSWER = {
    "status_processing": [
        "[Order|Your order] {number} ({order_items}) has not shipped yet. It ships on {date}.",
                          "[Order|Your order] {number} is being prepared and ships on {date}."],
    "status_shipped": [
        "[Order|Your order] {number} ({order_items}) is on its way with {carrier} and arrives on "
        "{date}.",
                       "[Order|Your order] {number} has shipped with {carrier}. It arrives on "
                       "{date}."],
    "status_delivered": ["[Order|Your order] {number} ({order_items}) was delivered on {date}.",
                         "[Order|Your order] {number} was delivered on {date}."],
    "status_cancelled": ["[Order|Your order] {number} ({order_items}) was cancelled on {date}.",
                         "[Order|Your order] {number} was cancelled on {date}."],
    "unknown": ["I can't find order {number}. Please check the number.",
                "There is no order {number} here. Could you check the number?",
                "Sorry, I don't see an order {number}. Please check the number."],
    "unknown_item": ["I don't see an order with {a_item}. Please check the order number."],
    "no_orders": ["I don't see any orders here. Please check the order number."],
    "arrival_processing": ["Order {number} ships on {date}. I don't have an arrival date yet.",
                           "There is no arrival date yet. Order {number} ships on {date}."],
    "arrival_shipped": ["Order {number} arrives on {date}.",
        "Order {number} arrives on {date}, with {carrier}."],
    "items": ["Order {number} is {order_items}.", "You ordered {order_items} in order {number}."],
    "total": ["Order {number} was {total} in total.", "The total of order {number} is {total}."],
    "quantity": ["You ordered {order_items} in order {number}.",
        "Order {number} has {order_items}."],
    "each": ["{total} for {order_items}, so {each} each.",
        "Order {number} was {total} for {order_items}: {each} each."],
    "each_one": ["Order {number} is 1 {item} for {total}.", "It is 1 {item}, so {total}."],
    "carrier": ["Order {number} is delivered by {carrier}.", "{carrier} delivers order {number}."],
    "carrier_unknown": ["Order {number} is not on its way, so I don't have that information."],
    "days_until": ["Order {number} arrives on {date}, in {in_days}."],
    "cancel_yes": ["Order {number} has not shipped yet, so I can cancel it. Shall I?",
                   "Yes, order {number} has not shipped yet and can be cancelled. Shall I cancel "
                   "it?"],
    "cancel_shipped": [
        "Order {number} has already shipped, so it can't be cancelled. You can return it when it "
        "arrives."],
    "cancel_delivered": ["Order {number} was already delivered, so it can't be cancelled.",
                         "Order {number} was delivered on {date}, so it can't be cancelled any "
                         "more."],
    "cancel_cancelled": ["Order {number} is already cancelled.",
        "Order {number} was already cancelled on {date}."],
    "cancel_done": ["Done, order {number} will be cancelled.",
        "All right, order {number} will be cancelled."],
    "cancel_kept": ["All right, I won't cancel order {number}.",
        "OK, order {number} stays as it is."],
    "address_done": ["Thank you! Order {number} goes to {place}.",
        "Thanks, order {number} will be sent to {place}."],
    "return_yes": [
        "Order {number} was delivered on {date}, {days_text} ago. Returns are possible for "
        "{return_days} days, so "
                   "yes, you can return it."],
    "return_no": [
        "Order {number} was delivered on {date}, {days_text} ago. Returns are possible for "
        "{return_days} days, so it "
                  "is too late, sorry."],
    "return_early": [
        "Order {number} has not arrived yet. After delivery you have {return_days} days to return "
        "it."],
    "return_cancelled": ["Order {number} was cancelled, so there is nothing to return."],
    "refund": ["You get {total} back for order {number}.",
        "The refund for order {number} is {total}."],
    "refund_cancelled": ["Order {number} was cancelled. The refund is {total}."],
    "refund_time": ["Refunds take {refund_days} days.",
        "You get your money back within {refund_days} days."],
    "policy": [
        "You can return items within {return_days} days after delivery. Refunds take "
        "{refund_days} days.",
               "Returns are possible for {return_days} days after delivery, and refunds take "
               "{refund_days} days."],
    "shipping": ["Delivery costs {shipping}. From {free_from} on it is free.",
                 "Delivery is {shipping}, and free for orders from {free_from}."],
    "shipping_free": ["{amount} is more than {free_from}, so delivery is free."],
    "shipping_paid": ["{amount} is less than {free_from}, so delivery costs {shipping}."],
    "stock_some": ["Yes, we have {left} {left_items} in stock, at {price}[| each].",
                   "The {item} is in stock: {left} left, {price} each."],
    "stock_none": ["Sorry, the {item} is out of stock.",
        "Sorry, the {item} is sold out at the moment."],
    "stock_unknown": ["Sorry, I have no information about the {item}.",
        "Sorry, I don't have any information about {items}."],
    "price": ["The {item} costs {price}.", "The {item} is {price}."],
    "price_of_many": ["{quantity} {items} cost {quantity} x {price} = {sum}.",
        "That is {quantity} x {price} = {sum}."],
    "enough_yes": ["Yes, we have {left} {left_items} in stock. {quantity} x {price} = {sum}.",
                   "We have {left} in stock, so yes. {quantity} x {price} = {sum}."],
    "enough_yes_short": ["Yes, we have {left} {left_items} in stock, at {price} each."],
    "enough_no": ["We only have {left} {left_items} in stock, so not {quantity}, sorry."],
    "hours": ["We are open Monday to Friday from {opens} to {closes}{saturday_text}."],
    "open_weekday": ["Yes, on {day} we are open from {opens} to {closes}.",
        "We are open on {day} from {opens} to {closes}."],
    "open_saturday": ["Yes, on Saturday we are open from {opens} to {until}.",
        "We are open on Saturday from {opens} to {until}."],
    "closed": ["Sorry, we are closed on {day}.", "We are closed on {day}, sorry."],
    "warranty": ["The warranty is {warranty} months.", "You get {warranty} months of warranty."],
    "warranty_yes": [
        "The warranty is {warranty} months and you have had it for {months}, so yes, it is "
        "covered. Please send "
                     "us the {item}."],
    "warranty_no": [
        "The warranty is {warranty} months and you have had it for {months}, so it has ended, "
        "sorry."],
    "today": ["Today is {today}."],
    "contact": ["Our phone number is {phone}.", "You can call us at {phone}."],
    "location": ["You find us at {place}.", "Our address is {place}."],
    "payment": ["You can pay with {payments}.", "We accept {payments}."],
    "list_orders": ["You have {count_orders}: {list}.", "I see {count_orders}: {list}."],
    "most_expensive": ["Order {number}, {order_items} for {total}.",
        "That is order {number}: {order_items} for {total}."],
    "arrives_first": ["Order {number} arrives first, on {date}.",
        "Order {number} ({order_items}), on {date}."],
    "arrives_none": ["None of your orders is on its way at the moment."],
    "sum_all": ["{sum_text} = {sum}.", "All your orders together: {sum_text} = {sum}."],
    "sum_two": ["{sum_text} = {sum}.", "Together that is {sum_text} = {sum}."],
    "sum_one": ["You have one order, {number}, for {total}."],
    "buy": ["You can order on our website: put the item in the cart and check out."],
    "invoice": ["You find the invoice for order {number} in your account, under Orders.",
                "The invoice for order {number} is in your account, under Orders."],
    "password": [
        "Click on \"Forgot password\" on the login page. You will get an email with a link."],
    "email": ["You can change your email in your account, under Settings."],
    "delete": [
        "You can delete your account under Settings. Your orders are kept for the invoices."],
    "address_yes": [
        "Order {number} has not shipped yet, so the address can be changed. What is the new "
        "address?",
                    "Yes, order {number} has not shipped yet. Please tell me the new address."],
    "address_no": ["Sorry, order {number} has already left, so the address can't be changed."],
    "address_delivered": [
        "Sorry, order {number} was delivered on {date}, so the address can't be changed."],
    "address_cancelled": ["Order {number} was cancelled, so there is nothing to send."],
    "broken": [
        "I'm sorry about that. Please send a photo, and we will replace the {item} of order "
        "{number}.",
               "Sorry to hear that! Send us a photo, and we will replace the {item} of order "
               "{number}."],
    "broken_early": [
        "Order {number} ({item}) has not been delivered yet. Please check the order number."],
    "hello": ["Hello! How can I help you?", "Hi! What can I do for you?"],
    "thanks": ["You're welcome!", "You're welcome! Is there anything else?"],
    "bye": ["Goodbye! Have a nice day!", "Goodbye!"],
    "how": ["I'm fine, thank you! How can I help you?"],
    "who": ["I'm the assistant of {shop}. I can help with orders, delivery, returns and invoices.",
            "I'm a computer assistant of {shop}. Ask me about orders, delivery, returns or our "
            "products."],
    "human": [
        "I'm a computer assistant, but our team is happy to help. You can call them during "
        "opening hours."],
    "angry": [
        "I'm sorry about that. What can I do for you? With an order number I can have a look.",
              "I'm very sorry. Please tell me your order number, and I'll have a look."],
    "outside": ["Sorry, I can only help with questions about {shop}.",
                "I'm afraid I can't help with that. I can help with orders, delivery and returns."],
    "not_known": ["Sorry, I don't have that information. Please ask our team."],
    "which": ["Which order do you mean: {numbers}?", "Please tell me which order: {numbers}."],
}
