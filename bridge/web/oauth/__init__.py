"""The authorization server's pages and endpoints: requests in, one desk for each, answers out."""
