"""Pages and sign-in over HTTP."""
