"""The short ways of frequent requests: one statement each, which also finds out who calls.

A lane may always decline; the general way then answers, and says what is wrong where something is. What a lane answers
is what the general way would have answered, so leaving the lanes out changes nothing but time.
"""
