"""Pure billing rules: money, terms, proration, bills, seat changes and renewals, fixed fees.

Standard library only. Start at :mod:`~bridge.billing.rules.charges` (seat changes),
:mod:`~bridge.billing.rules.periods` (first period and renewals) and :mod:`~bridge.billing.rules.fees` (contracts for a
fixed annual fee).
"""
