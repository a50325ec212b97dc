"""What the figures are held against. Ratios only: they hold on any machine, as long as both sides ran in one run."""

from collections.abc import Mapping

from tests.bench.figures import Target, at_least, at_most

#: Requests a second over the ceiling's, by workload and number of clients.
RATES: Mapping[str, Mapping[int, Target]] = {
    "create": {1: at_least(0.75), 8: at_least(0.9)},
    "lookup-name": {1: at_least(0.9), 8: at_least(1.0)},
    "lookup-miss": {1: at_least(0.9), 8: at_least(1.0)},
    "lookup-external": {1: at_least(0.9), 8: at_least(1.0)},
    "get": {1: at_least(0.95), 8: at_least(0.95)},
    "title": {1: at_least(0.85), 8: at_least(0.85)},
    "active": {1: at_least(0.85), 8: at_least(0.85)},
    "names": {1: at_least(0.85), 8: at_least(0.85)},
    "listed": {1: at_least(0.5), 8: at_least(0.5)},
    "any": {1: at_least(0.5), 8: at_least(0.5)},
    "sso-first": {1: at_least(1.0), 8: at_least(1.0)},
    "sso-again": {1: at_least(1.0), 8: at_least(1.0)},
}

#: p50 over the ceiling's.
TIMES: Mapping[str, Target] = {
    "index": at_most(1.0),
    "cursor": at_most(1.5),
    "member": at_most(1.4),
    "group": at_most(1.2),
}

#: p50 at the largest number of people (or members) over p50 at the smallest.
GROWTH: Mapping[str, Target] = {
    "create": at_most(1.2),
    "lookup-name": at_most(1.2),
    "lookup-miss": at_most(1.2),
    "lookup-external": at_most(1.2),
    "get": at_most(1.1),
    "title": at_most(1.3),
    "active": at_most(1.3),
    "names": at_most(1.3),
    "listed": at_most(1.3),
    "any": at_most(1.3),
    "index": at_most(1.5),
    "cursor": at_most(1.2),
    "member": at_most(1.2),
    "group": at_most(1.2),
    "sso-first": at_most(1.2),
    "sso-again": at_most(1.2),
}

SYNC = at_least(0.8)
BULK_SECONDS = at_most(1.0)
BULK_AGAIN_SECONDS = at_most(0.2)
PREVIEW_SECONDS = at_most(1.0)
PREVIEW_MEGABYTES = at_most(10.0)
APPLY_SECONDS = at_most(2.0)
WORKER_MEGABYTES = at_most(110.0)
TWO_WORKERS = at_least(1.2)
#: p50 in milliseconds of an index page far down a million people.
INDEX_AT_A_MILLION = at_most(10.0)
