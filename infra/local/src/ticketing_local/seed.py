"""The demo data: a seller with a dozen tickets, added once to each new data folder."""

from ticketing_local.api import Refused, list_ticket, new_client, sign_up

EMAIL = "demo@ticketing.dev"
PASSWORD = "ticketing-demo"
"""No secret: the stack listens on this machine only."""

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
    """List the tickets and return their number; 0 if the seller has an account already."""
    async with new_client(base_url) as seller:
        try:
            await sign_up(seller, EMAIL, PASSWORD)
        except Refused as refused:
            if refused.message == "Email in use":
                return 0
            raise
        for title, price in reversed(TICKETS):  # the site shows the newest first
            await list_ticket(seller, title, price)
    return len(TICKETS)
