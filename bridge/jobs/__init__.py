"""The durable queue's tasks and schedules."""
