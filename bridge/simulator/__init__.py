"""An identity provider to try the bridge with; it speaks to the product over HTTP only."""
