"""What English-speaking customers say, and what they are answered.

USER[intent] is (texts to learn from, texts for tasks alone); ANSWER[case] are texts of both.
"""
HELLO = [
    "", "", "", "[Hi|Hello|Hey]. ", "[Hi|Hello|Hey] there, ",
    "Good [morning|afternoon|evening]. ", "[Excuse me|Sorry to bother you], ",
]
PLEASE = [
    "", "", "", " Thanks!", " Thank you.", " Please help.", " Thanks in advance.",
]

USER = {
    "status": ([
        "[where is|where's] my order {number}?",
        "[what is|what's] [the status of|happening with|up with] [order|my order] {number}?",
        "[can|could] you [check|look up|track] [order|my order] {number}[| for me]?",
        "[has|did] [my order|order] {number} [already |]ship[|ped] [yet|out]?",
        "I'm [still |]waiting for [order|my order] {number}[.|, any news?]",
        "order {number}, [where is it|what is the status|any update]?", "[status|track] {number}",
        "I [want|would like|'d like] to know where [my order|order] {number} is[.| now.]",
        "my order number is {number}. [Where is it?|What's the status?|Has it shipped?]",
    ], [
        "any idea how {number} is getting on?",
        "tell me about the progress of purchase {number}.",
        "my package {number} hasn't turned up. What is going on with it?",
    ]),
    "arrival": ([
        "when [will|does] [my order|order] {number} [arrive|get here|be delivered|come]?",
        "[what day|which day|on what date] [will|does] {number} arrive?",
        "how long until [order|my order] {number} [arrives|gets here]?",
        "when can I expect [order|my order] {number}?", "[delivery date|arrival] of {number}?",
        "[is there|do you have] a delivery date for [order |]{number}?",
    ], [
        "by which date should {number} be at my door?", "when do I get the parcel of {number}?",
    ]),
    "items": ([
        "what [is|was] in [order|my order] {number}?",
        "what did I [buy|order] [in|with] [order |]{number}?",
        "[which|what] items are in [order|my order] {number}?",
        "what is [order |]{number} [again|for]?",
        "[remind me|tell me] what I ordered in {number}.",
    ], [
        "I forgot what {number} contains.", "list the contents of purchase {number}, please.",
    ]),
    "total": ([
        "how much [did|was] [order|my order] {number}[| cost]?",
        "what [is|was] the [total|price|amount] of [order|my order] {number}?",
        "how much did I [pay|spend] for [order |]{number}?",
        "[what did|how much did] {number} cost[| me]?", "total of [order |]{number}?",
    ], [
        "what sum was I charged for {number}?", "tell me what {number} came to.",
    ]),
    "cancel": ([
        "[can I|I want to|I'd like to|please] cancel [order|my order] {number}[.|!|?]",
        "[cancel|stop] [order |]{number}[| please].",
        "I [don't need|no longer want] [order |]{number}[.|, cancel it.]",
        "is it possible to cancel [order |]{number}?",
        "how do I cancel [order|my order] {number}?",
    ], [
        "I changed my mind about {number}, can it be called off?",
        "please annul purchase {number}.",
    ]),
    "return": ([
        "[can I|I want to|I'd like to|may I] [return|send back] [order|my order] {number}[.|?]",
        "is [order |]{number} [still |]returnable?",
        "I [don't like|am not happy with] [order |]{number}. [Can I return it?|Can I send it "
        "back?]",
        "[is it|am I] too late to return [order |]{number}?",
        "the {item} [is too small|is the wrong color|doesn't fit|is not for me]. Can I "
        "return order {number}?",
    ], [
        "what I got in {number} isn't right for me, will you take it back?",
        "would you accept {number} back?",
    ]),
    "refund": ([
        "how much [do I get|will I get] back [for|if I return] [order |]{number}?",
        "what [is|would be] my refund for [order |]{number}?",
        "[what|how much] will you refund for [order |]{number}?",
        "refund amount [of|for] {number}?",
    ], [
        "if {number} goes back, what sum do I receive?",
    ]),
    "refund_time": ([
        "how long does a refund take?", "when [do|will] I get my [money back|refund]?",
        "[how many days|how long] until my refund [arrives|is paid]?", "how fast are refunds?",
    ], [
        "after how many days is the money back on my card?",
    ]),
    "policy": ([
        "what is your return policy?",
        "how [long|many days] do I have to return [something|an item]?", "can I return things?",
        "until when can I send [something|an item] back?", "how do returns work?",
    ], [
        "what is the deadline for sending things back?",
    ]),
    "shipping": ([
        "how much is [shipping|delivery]?", "what does [shipping|delivery] cost?",
        "[do you charge|is there a charge] for [shipping|delivery]?",
        "when is [shipping|delivery] free?", "do you have free [shipping|delivery]?",
        "[shipping|delivery] [cost|fee]?",
    ], [
        "what would I pay to have things sent to me?",
    ]),
    "shipping_for": ([
        "[is|would] [shipping|delivery] [be |]free for an order of {amount}?",
        "I want to buy for {amount}. Do I pay [shipping|delivery]?",
        "if I spend {amount}, is [shipping|delivery] free?",
        "my cart is {amount}. How much is [shipping|delivery]?",
    ], [
        "with {amount} in my basket, what is the delivery fee?",
    ]),
    "stock": ([
        "do you have [a |][{item}|{items}] in stock?", "is the {item} [available|in stock]?",
        "how many {items} [do you have|are left]?", "[are there|do you have] any {items} left?",
        "can I [still |]buy a {item}?", "I'm looking for a {item}.",
    ], [
        "is there a {item} to be had at the moment?", "would I be able to get a {item} from you?",
    ]),
    "price": ([
        "how much is [the|a] {item}?", "what does [the|a] {item} cost?",
        "[what is|what's] the price of [the|a] {item}?", "price of the {item}?",
    ], [
        "what do you ask for a {item}?",
    ]),
    "price_of_many": ([
        "how much are {quantity} {items}?", "what do {quantity} {items} cost?",
        "I need {quantity} {items}. How much is that[| in total]?",
        "[what is|what's] the price for {quantity} {items}?", "total for {quantity} {items}?",
    ], [
        "what would {quantity} {items} set me back?",
    ]),
    "enough": ([
        "can I [buy|order|get] {quantity} {items}?",
        "do you have {quantity} {items}[| in stock]?",
        "I need {quantity} {items}. Do you have enough?", "are there {quantity} {items} left?",
    ], [
        "would your stock cover {quantity} {items}?",
    ]),
    "hours": ([
        "when are you open?", "what are your [opening |]hours?", "[opening|business] hours?",
        "until when are you open?", "when do you [open|close]?",
    ], [
        "at what times can I visit the shop?",
    ]),
    "open_on": ([
        "are you open on {day}?", "is the shop open on {day}[|s]?", "can I come [by |]on {day}?",
        "do you open on {day}s?", "what are your hours on {day}?",
    ], [
        "if I drop in on {day}, is anyone there?",
    ]),
    "warranty": ([
        "how long is the warranty?", "what [is|'s] the warranty[| on your products]?",
        "do [your products|things|I] have a warranty?",
        "how many months of warranty [do I get|are there]?",
    ], [
        "for what period are defects covered?",
    ]),
    "warranty_for": ([
        "I bought my {item} {months} months ago and it [broke|stopped working]. Is it under "
        "warranty?",
        "my {item} [broke|is broken] after {months} months. [Is there a warranty?|Does the "
        "warranty cover it?]",
        "is a {months} month old {item} still under warranty?",
    ], [
        "the {item} that I got {months} months ago died. Am I covered?",
    ]),
    "invoice": ([
        "[can I|I need to|how do I] get an invoice for [order |]{number}?",
        "I need [an invoice|a receipt] for [order |]{number}.",
        "[send me|please send] the invoice of {number}.",
        "where [is|can I find] the invoice for [order |]{number}?",
    ], [
        "my accountant wants a bill for {number}.",
    ]),
    "password": ([
        "I forgot my password.", "how do I [reset|change] my password?",
        "I can't log in[.| to my account.]", "my password [doesn't work|is not accepted].",
    ], [
        "the login does not let me in any more.",
    ]),
    "email": ([
        "how do I change my email[| address]?", "I have a new email address.",
        "[can I|I want to] change the email of my account[.|?]",
    ], [
        "my mail address is out of date, what now?",
    ]),
    "delete": ([
        "how do I delete my account?", "[please delete|I want to delete|close] my account.",
    ], [
        "get rid of my customer profile, please.",
    ]),
    "address": ([
        "can I change the [delivery |]address of [order |]{number}?",
        "I gave the wrong address for [order |]{number}.",
        "please send {number} to another address.",
    ], [
        "{number} should go somewhere else, is that possible?",
    ]),
    "broken": ([
        "my order {number} [arrived damaged|is broken|arrived broken].",
        "the {item} in [order |]{number} is [broken|damaged|defective].",
        "I received a [broken|damaged] {item} [in|with] order {number}.",
    ], [
        "what came with {number} does not work at all.",
    ]),
    "hello": ([
        "[hi|hello|hey][| there][.|!|]", "good [morning|afternoon|evening][.|!]",
    ], [
        "greetings!",
    ]),
    "thanks": ([
        "[thanks|thank you|thx][.|!|]", "[great|perfect|ok], [thanks|thank you][.|!]",
        "that [helps|helped], thanks.",
    ], [
        "much appreciated!",
    ]),
    "bye": ([
        "[bye|goodbye|see you][.|!|]", "that's all, bye[.|!]", "have a nice day[.|!]",
    ], [
        "I'm off then, take care.",
    ]),
    "how": ([
        "how are you[| today]?", "how is it going?",
    ], [
        "are you doing fine?",
    ]),
    "who": ([
        "who are you?", "are you a [robot|human|bot|real person]?",
        "what can you [do|help me with]?", "what is your name?",
    ], [
        "am I talking to a machine?",
    ]),
    "human": ([
        "I want to [talk|speak] to a [human|person|real person].",
        "[can I|let me] talk to [an agent|somebody|a person]?", "give me a human.",
    ], [
        "put me through to your staff.",
    ]),
    "angry": ([
        "this is [terrible|awful|ridiculous|unacceptable]!",
        "your service is [bad|terrible|awful].", "I'm [very |really |]angry.",
    ], [
        "what a mess this is!",
    ]),
    "outside": ([
        "what's the weather [like |][today|tomorrow]?", "who is the president?",
        "tell me a joke.", "write [me |]a poem[| about love].",
        "what is the capital of [France|Spain|Japan]?",
        "can you [write|fix] [some |][code|a program]?", "who won the [game|match|election]?",
        "what should I [eat|cook] tonight?", "how do I lose weight?",
        "[should I buy|what about] [bitcoin|stocks]?", "what is the meaning of life?",
        "translate this [text|letter] for me.", "I have a headache, what should I take?",
        "solve x squared equals 9.", "what do you think about [politics|football|religion]?",
        "tell me about [history|space|cats].",
    ], [
        "recommend a movie for tonight.", "how tall is Mount Everest?",
        "can you help me with my homework?",
    ]),
}

FOLLOW_UP = {  # of the order that was talked about last
    "arrival": ([
        "[and |]when [will it|does it] arrive?", "when will I get it?",
        "what day [will it come|does it arrive]?",
    ], [
        "by when should it be here?",
    ]),
    "total": ([
        "[and |]how much was it?", "what did it cost?", "[what was|what's] the total?",
    ], [
        "what sum did I pay for that?",
    ]),
    "items": ([
        "[and |]what was in it?", "what did I order?", "which items are in it?",
    ], [
        "what does it contain?",
    ]),
    "cancel": ([
        "[can I|I want to] cancel it[.|?]", "[ok, |]cancel it[| please].",
    ], [
        "please call it off.",
    ]),
    "return": ([
        "can I [return it|send it back]?", "I want to return it.",
    ], [
        "would you take it back?",
    ]),
    "refund": ([
        "how much do I get back?", "what would my refund be?",
    ], [
        "what sum would I receive?",
    ]),
    "address": ([
        "can I change the address?", "can you send it to another address?",
    ], [
        "could it go somewhere else?",
    ]),
    "invoice": ([
        "can I get an invoice?", "I need an invoice for it.",
    ], [
        "I want a bill for that.",
    ]),
}

ANSWER = {
    "status_processing": [
        "[Order|Your order] {number} is [being prepared|being processed] and ships on {date}.",
        "[Order|Your order] {number} has not shipped yet. It ships on {date}.",
    ],
    "status_shipped": [
        "[Order|Your order] {number} is on its way with {carrier} and arrives on {date}.",
        "[Order|Your order] {number} has shipped with {carrier}. It arrives on {date}.",
    ],
    "status_delivered": [
        "[Order|Your order] {number} was delivered on {date}.",
    ],
    "status_cancelled": [
        "[Order|Your order] {number} was cancelled on {date}.",
    ],
    "unknown": [
        "I can't find order {number}. Please check the number.",
        "There is no order {number} here. Could you check the number?",
    ],
    "arrival_processing": [
        "Order {number} ships on {date}. I don't have an arrival date yet.",
    ],
    "arrival_shipped": [
        "Order {number} arrives on {date}.", "It arrives on {date}, with {carrier}.",
    ],
    "items": [
        "Order {number} is {quantity} x {item}.",
        "You ordered {quantity} x {item} in order {number}.",
    ],
    "total": [
        "Order {number} was {total} in total.", "The total of order {number} is {total}.",
    ],
    "cancel_yes": [
        "Yes. Order {number} has not shipped yet, so I can cancel it. Shall I?",
        "Order {number} has not shipped, so it can be cancelled. Shall I cancel it?",
    ],
    "cancel_shipped": [
        "Order {number} has already shipped, so it can't be cancelled. You can return it "
        "when it arrives.",
    ],
    "cancel_delivered": [
        "Order {number} was already delivered, so it can't be cancelled.",
    ],
    "cancel_cancelled": [
        "Order {number} is already cancelled.",
    ],
    "return_yes": [
        "Yes. Order {number} was delivered {days_text} ago, and you have "
        "{return_days} days to return it.",
    ],
    "return_no": [
        "Sorry, no. Order {number} was delivered {days_text} ago, and returns end after "
        "{return_days} days.",
    ],
    "return_early": [
        "Order {number} has not arrived yet. After delivery you have {return_days} days to "
        "return it.",
    ],
    "return_cancelled": [
        "Order {number} was cancelled, so there is nothing to return.",
    ],
    "refund": [
        "You get {total} back for order {number}.", "The refund for order {number} is {total}.",
    ],
    "refund_time": [
        "Refunds take {refund_days} days.", "You get your money back within {refund_days} days.",
    ],
    "policy": [
        "You can return items within {return_days} days after delivery. Refunds take "
        "{refund_days} days.",
    ],
    "shipping": [
        "Delivery costs {shipping}. From {free_from} on it is free.",
    ],
    "shipping_free": [
        "Delivery is free: {amount} is at least {free_from}.",
        "Yes, with {amount} delivery is free. It is free from {free_from}.",
    ],
    "shipping_paid": [
        "With {amount} you pay {shipping} for delivery. It is free from {free_from}.",
    ],
    "stock_some": [
        "Yes, we have {left} {left_items} in stock, at {price}[| each].",
    ],
    "stock_none": [
        "Sorry, the {item} is out of stock.",
    ],
    "stock_unknown": [
        "Sorry, I have no information about the {item}.",
    ],
    "price": [
        "The {item} costs {price}.", "It costs {price}.",
    ],
    "price_of_many": [
        "{quantity} {items} cost {sum}: {quantity} x {price}.",
        "That is {quantity} x {price}, so {sum}.",
    ],
    "enough_yes": [
        "Yes, we have {left} in stock. {quantity} {items} cost {sum}.",
    ],
    "enough_no": [
        "Sorry, we only have {left} in stock.", "Sorry, there [are|is] only {left} left.",
    ],
    "hours": [
        "We are open Monday to Friday from {opens} to {closes}{saturday_text}.",
    ],
    "open_weekday": [
        "Yes, on {day} we are open from {opens} to {closes}.",
    ],
    "open_saturday": [
        "Yes, on Saturday we are open from {opens} to {saturday}.",
    ],
    "closed": [
        "Sorry, we are closed on {day}.",
    ],
    "warranty": [
        "The warranty is {warranty} months.",
    ],
    "warranty_yes": [
        "Yes. The warranty is {warranty} months, so after {months} months you are covered. "
        "Please send us the {item}.",
    ],
    "warranty_no": [
        "Sorry, no. The warranty is {warranty} months and has ended.",
    ],
    "invoice": [
        "You find the invoice for order {number} in your account, under Orders.",
        "The invoice of order {number} is in your account, under Orders.",
    ],
    "password": [
        "Click on \"Forgot password\" on the login page. You will get an email with a link.",
    ],
    "email": [
        "You can change your email in your account, under Settings.",
    ],
    "delete": [
        "You can delete your account under Settings. Your orders are kept for the invoices.",
    ],
    "address_yes": [
        "Order {number} has not shipped yet, so yes. Please tell me the new address.",
    ],
    "address_no": [
        "Sorry, order {number} has already left, so the address can't be changed.",
    ],
    "address_cancelled": [
        "Order {number} was cancelled, so there is nothing to send.",
    ],
    "broken": [
        "I'm sorry about that. Please send a photo, and we will replace the {item} of order "
        "{number}.",
    ],
    "hello": [
        "Hello! How can I help you?", "Hi! What can I do for you?",
    ],
    "thanks": [
        "You're welcome!", "You're welcome! Is there anything else?",
    ],
    "bye": [
        "Goodbye! Have a nice day!", "Goodbye!",
    ],
    "how": [
        "I'm fine, thank you! How can I help you?",
    ],
    "who": [
        "I'm the assistant of {shop}. I can help with orders, delivery, returns and invoices.",
    ],
    "human": [
        "I'm an assistant, but our team is happy to help: Please call us during opening hours.",
    ],
    "angry": [
        "I'm sorry about that. Please tell me your order number, and I'll have a look.",
    ],
    "outside": [
        "Sorry, I can only help with questions about {shop}.",
        "I'm afraid I can't help with that. I can help with orders, delivery and returns.",
    ],
    "not_known": [
        "Sorry, I don't have that information. Please ask our team.",
    ],
    "which": [
        "Please tell me the order number.",
    ],
}

WHICH = ([
    "where is my order?", "when does my order arrive?", "I want to return my order.",
    "what about my order?", "my order [hasn't arrived|is late].",
], [
    "my parcel is missing.",
])
