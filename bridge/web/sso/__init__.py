"""Single sign-on endpoints."""
