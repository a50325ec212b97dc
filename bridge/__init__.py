"""The bridge between a company's identity provider and a product that is sold by seats."""
