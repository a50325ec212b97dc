"""Pure billing rules of plans sold by seats: money, terms, proration, bills, seat changes and renewals.

Standard library only. Start at :mod:`~bridge.billing.rules.charges` (seat changes) and
:mod:`~bridge.billing.rules.periods` (first period and renewals).
"""
