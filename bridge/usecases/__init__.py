"""What the product does, one verb a module; callers open the unit and commit it."""
