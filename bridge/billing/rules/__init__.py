"""Pure billing rules: money, terms, proration, bills, seat changes and renewals, fixed fees.

Standard library only. Start at :mod:`~bridge.billing.rules.charges` (seat changes),
:mod:`~bridge.billing.rules.periods` (first period, renewals, another plan), and for contracts of a fixed annual fee at
:mod:`~bridge.billing.rules.fee_terms`, :mod:`~bridge.billing.rules.instalments` and
:mod:`~bridge.billing.rules.amendments`.
"""
