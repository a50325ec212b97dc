"""Forgetting what has run out: sign-ins under way and to applications, assertions, previews, sessions, events."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, exists, or_, select, update
from sqlalchemy.orm import aliased

from bridge.store.models import (
    AppGrant,
    Preview,
    SamlReplay,
    ScimToken,
    SetupLink,
    SignInEvent,
    SignInLink,
    SignInRequest,
    WebhookMessage,
    WebSession,
)
from bridge.store.unit import Unit
from bridge.usecases.upload_people import FILE
from bridge.usecases.upload_people import KIND as IMPORT

#: Kept a while after their end, for the console's history and for repeated confirmations.
KEPT_FOR = timedelta(days=30)


def expire_what_ran_out(unit: Unit) -> int:
    """Delete one organization's expired rows; return how many.

    Idempotency keys never run out: a repeat must have no second effect however late it comes (rule Q5).
    """
    long_ago = unit.at - KEPT_FOR
    _end_sessions_that_ran_out(unit)
    _forget_uploads(unit)
    removed = 0
    for statement in (
        delete(SignInRequest).where(SignInRequest.org_id == unit.org_id, SignInRequest.expires_at <= unit.at),
        delete(SamlReplay).where(SamlReplay.org_id == unit.org_id, SamlReplay.expires_at <= unit.at),
        delete(Preview).where(Preview.org_id == unit.org_id, Preview.expires_at <= long_ago),
        delete(WebSession).where(WebSession.org_id == unit.org_id, WebSession.expires_at <= long_ago),
        delete(ScimToken).where(
            ScimToken.org_id == unit.org_id,
            ScimToken.client_id.is_not(None),
            ScimToken.expires_at <= long_ago,
            or_(ScimToken.last_used_at.is_(None), _has_newer_use()),
        ),
        delete(WebhookMessage).where(
            WebhookMessage.org_id == unit.org_id,
            WebhookMessage.created_at <= long_ago,
            WebhookMessage.state != "pending",
        ),
        delete(AppGrant).where(AppGrant.org_id == unit.org_id, AppGrant.expires_at <= long_ago),
        delete(SetupLink).where(SetupLink.org_id == unit.org_id, SetupLink.expires_at <= long_ago),
        delete(SignInLink).where(SignInLink.org_id == unit.org_id, SignInLink.expires_at <= long_ago),
    ):
        removed += unit.session.execute(statement).rowcount  # type: ignore[attr-defined] # a DELETE's cursor result
    return removed


def _has_newer_use() -> ColumnElement[bool]:
    """Tell whether a newer token of the same client says as well that the client has pushed: one of them stays."""
    newer = aliased(ScimToken)
    return exists().where(
        newer.org_id == ScimToken.org_id,
        newer.client_id == ScimToken.client_id,
        newer.can_write >= ScimToken.can_write,
        newer.last_used_at > ScimToken.last_used_at,
    )


def _forget_uploads(unit: Unit) -> None:
    """Keep nothing of the people in uploaded files whose previews ran out."""
    unit.session.execute(
        update(Preview)
        .where(Preview.org_id == unit.org_id, Preview.kind == IMPORT, Preview.expires_at <= unit.at)
        .values(request=Preview.request.op("-")(FILE))
        .execution_options(synchronize_session=False)
    )


def forget_sign_ins(unit: Unit, before: datetime) -> int:
    """Delete what the sign-in log says of the time before an instant; return how many entries.

    The newest of each person that was not refused stays: the access review tells when somebody last signed in.
    """
    newer = aliased(SignInEvent)
    has_newer = (
        select(newer.seq)
        .where(
            newer.org_id == SignInEvent.org_id,
            newer.member_id == SignInEvent.member_id,
            newer.outcome != "refused",
            newer.seq > SignInEvent.seq,
        )
        .exists()
    )
    statement = delete(SignInEvent).where(
        SignInEvent.org_id == unit.org_id,
        SignInEvent.at < before,
        or_(SignInEvent.member_id.is_(None), SignInEvent.outcome == "refused", has_newer),
    )
    return unit.session.execute(statement, execution_options={"synchronize_session": False}).rowcount  # type: ignore[attr-defined,no-any-return] # a DELETE's cursor result


def _end_sessions_that_ran_out(unit: Unit) -> None:
    """Say of sessions that nobody ended in time that they ended: applications are told of that too."""
    unit.session.execute(
        update(WebSession)
        .where(WebSession.org_id == unit.org_id, WebSession.ended_at.is_(None), WebSession.expires_at <= unit.at)
        .values(ended_at=unit.at, ended_by="expired")
        .execution_options(synchronize_session=False)
    )
