"""A process that buys a seat and is killed in the middle: started by the tests of exactly-once charging."""

import json
import os
import signal
import sys
import uuid
from datetime import datetime
from typing import NoReturn

from pydantic import SecretStr
from sqlalchemy import make_url

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.domain.actors import OPERATOR
from bridge.domain.identifiers import OrgId
from bridge.runtime import build_runtime
from bridge.usecases.buy_seats import change_seats


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def main() -> None:
    facts = json.loads(sys.argv[1])
    settings = Settings.model_validate(
        {"database": {"url": SecretStr(facts["url"])}, "secrets": {"keys": (facts["key"],)}}
    )
    runtime = build_runtime(settings, make_url(facts["url"]), payments=BuiltinPayments())
    with runtime.unit(OrgId(uuid.UUID(facts["org"])), OPERATOR, at=datetime.fromisoformat(facts["at"])) as unit:
        change_seats(unit, {"premium": 1}, "order-1")
        unit.session.flush()
        if facts["moment"] == "before":
            die()
    die()


if __name__ == "__main__":
    main()
