"""Configuration of the web site, from environment variables."""

from ticketing_common.config import SessionSettings


class Settings(SessionSettings):
    # Base URLs inside the cluster, such as http://orders:3000
    auth_url: str
    tickets_url: str
    orders_url: str
    payments_url: str
