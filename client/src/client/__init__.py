"""The web site: pages rendered on the server from the services' responses, and a little JavaScript."""
