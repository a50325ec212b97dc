"""The billing core behind its small port."""
