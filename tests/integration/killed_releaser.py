"""A process that releases what the brake holds and is killed in the middle: started by a test of the brake."""

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
from bridge.usecases.decide_holds import release_hold
from bridge.usecases.read_holds import open_holds


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
        hold = open_holds(unit)[0]
        release_hold(unit, hold.id, revision=hold.revision, reason="They left", key="release-1")
        unit.session.flush()
        if facts["moment"] == "before":
            die()
    die()


if __name__ == "__main__":
    main()
