"""The web site: pages made on the server from what the services say, and a little JavaScript."""
