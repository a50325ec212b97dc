"""One policy for every door: what a page or a command changes asks who may do it (rules Z1 to Z4)."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.processes import ROOT

#: What needs no permission because its door proves otherwise who is there, or because it is the caller's own.
PROVED_OTHERWISE = {
    # A verified answer of an identity provider, a link, a session, an application's own credential.
    "sign_in.use_up",
    "single_logout.end_at_providers_word",
    "sign_in_links.use_sign_in_link",
    "setup_links.open_setup_link",
    "sign_in_links.create_sign_in_link",  # for whom the operator has just created the organization
    "app_grants.give_grant",
    "app_grants.open_code",
    "app_grants.use_code",
    "app_grants.open_refresh_token",
    "app_grants.keep_refresh_token",
    "app_grants.end_grant",
    "scim_clients.issue_client_token",
    # Signed events of the organization's own billing core, and what it is asked for again.
    "core_events.apply_event",
    "core_events.apply_events",
    "mirror_core.refuse_former_connection",
    "reconcile_core.reconcile_books",
    "billing_orders.settle_order",
    # The operator's alone: no page leads there.
    "organizations.create_organization",
    # Keys and metadata that anybody may fetch are made when they are first asked for.
    "service_keys.ensure_service_key",
    # What another use case has allowed, and writes down.
    "alerts.raise_alert",
    "exports.record_export",
    "charges.execute_change",
    "idempotency.once",
    "previews.store_preview",
    "begin_plan.begin_plan",
    "plan_seats.let_go",
    "brake.forget_limit",
    "decide_holds.remind_of_hold",
    "mapping_versions.store_version",
    "manage_access.deactivate_member",
    "provision_member.provision_member",
    "provision_member.update_member",
    "sync_groups.create_group",
}

#: Rehearsed in a database of its own, which is thrown away; what an actor of a scenario may do is checked there.
PLAYED = {"rehearsal.py", "licence_rehearsal.py"}


def test_z1_to_z4_what_a_page_or_a_command_changes_asks_for_a_permission() -> None:
    unasked = {name for name in called_by("bridge/web", "bridge/cli") if changes_unasked(*name.split("."))}

    assert unasked - PROVED_OTHERWISE == set()


def test_z4_nothing_is_excused_that_is_not_there_or_asks_by_itself() -> None:
    assert {name for name in PROVED_OTHERWISE if not changes_unasked(*name.split("."))} == set()


def called_by(*folders: str) -> Iterator[str]:
    """Name every use case that something in these folders imports, as ``module.function``."""
    for file in (found for folder in folders for found in sorted((ROOT / folder).rglob("*.py"))):
        if file.name in PLAYED:
            continue
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bridge.usecases."):
                yield from (f"{(node.module or '').rpartition('.')[2]}.{alias.name}" for alias in node.names)


def changes_unasked(module: str, name: str) -> bool:
    """Tell whether a use case locks the organization or writes into the audit chain and requires no permission."""
    for node in parsed(ROOT / "bridge" / "usecases" / f"{module}.py").body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            calls = {ast.unparse(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)}
            return bool(calls & {"record", "unit.lock"}) and "unit.require" not in calls
    return False


_parsed: dict[Path, ast.Module] = {}


def parsed(file: Path) -> ast.Module:
    """Parse a file once."""
    if file not in _parsed:
        _parsed[file] = ast.parse(file.read_text())
    return _parsed[file]
