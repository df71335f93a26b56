"""Accounts and sessions: sign up, sign in, sign out, and who one is."""
