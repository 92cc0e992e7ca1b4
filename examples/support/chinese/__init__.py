"""What Chinese-speaking customers say, and what they are answered."""
from chinese.answers import ANSWER
from chinese.orders import FOLLOW_UP, LIST, ORDER, POSITIONS, SAME, UNNAMED
from chinese.orders import USER as ORDERS
from chinese.outside import SEEN, UNSEEN
from chinese.shop import USER as SHOP
from chinese.small import CHOSEN, CONFIRM, HELLO, PLEASE

USER = {**ORDERS, **LIST, **SHOP, "outside": (SEEN, UNSEEN)}
