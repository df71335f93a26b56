"""The demo data: a seller with a dozen tickets, once in the life of a market."""

from ticketing_local.market import Refused, list_ticket, sign_up, visitor

EMAIL = "demo@ticketing.dev"
PASSWORD = "ticketing-demo"
"""Of a market on one's own machine; nothing to protect."""

TICKETS = [
    ("Swan Lake, Royal Ballet, stalls row F", 95.00),
    ("Cup final, north stand, block 112", 140.00),
    ("Jazz at the Blue Note, late set", 38.50),
    ("Comedy Cellar, Friday 9 pm", 24.00),
    ("Mahler's Second, Philharmonic, balcony", 62.75),
    ("PyCon, three-day pass", 410.00),
    ("Hamlet at the Globe, standing", 10.00),
    ("Night tour of the Natural History Museum", 29.90),
    ("Monaco Grand Prix, Saturday, grandstand K", 385.00),
    ("La Traviata, Arena di Verona, stone steps", 33.00),
    ("Open-air cinema: Casablanca, with a deckchair", 14.50),
    ("New Year's Concert, Musikverein, standing", 19.99),
]


async def seed(base_url: str) -> int:
    """How many tickets were listed: none when the demo seller is known already."""
    async with visitor(base_url) as seller:
        try:
            await sign_up(seller, EMAIL, PASSWORD)
        except Refused as refused:
            if refused.message == "Email in use":
                return 0
            raise
        for title, price in reversed(TICKETS):  # the market shows the newest first
            await list_ticket(seller, title, price)
    return len(TICKETS)
