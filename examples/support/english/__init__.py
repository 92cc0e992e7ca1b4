"""What English-speaking customers say, and what they are answered."""
from english.answers import ANSWER
from english.orders import FOLLOW_UP, LIST, ORDER, POSITIONS, SAME, UNNAMED
from english.orders import USER as ORDERS
from english.outside import SEEN, UNSEEN
from english.shop import USER as SHOP
from english.small import CHOSEN, CONFIRM, HELLO, PLEASE

USER = {**ORDERS, **LIST, **SHOP, "outside": (SEEN, UNSEEN)}
