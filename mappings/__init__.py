"""Which tier, role and team a person is entitled to, and why: pure rules, no input or output."""
