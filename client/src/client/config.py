"""What the web site is told by its environment."""

from ticketing_common.config import SessionSettings


class Settings(SessionSettings):
    # Where the services are, seen from here: http://orders:3000
    auth_url: str
    tickets_url: str
    orders_url: str
    payments_url: str
