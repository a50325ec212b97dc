"""The durable queue's tasks and schedules.

The rows are the truth: a renewal is due when its contract says so, a delivery is pending until it is acknowledged. Jobs
only bring workers to them, and every task is safe to run twice, at once, or not at all.
"""
