"""The pages of the console, of sign-in, and of employees."""

from flask import Blueprint

from bridge.web.console import (
    approvals,
    audit,
    billing_details,
    brake,
    connection_trust,
    connections,
    contract,
    documents,
    domains,
    drafts,
    entry,
    guides,
    imports,
    line,
    mappings,
    matches,
    overview,
    people,
    plan,
    provisioning,
    request_log,
    seats,
    settings,
    setup,
)


def console_blueprints() -> tuple[Blueprint, ...]:
    """Return every blueprint of pages, for :func:`bridge.web.app.create_web_app`."""
    return (
        entry.pages,
        overview.pages,
        imports.pages,
        people.pages,
        mappings.pages,
        seats.pages,
        line.pages,
        audit.pages,
        settings.pages,
        documents.pages,
        brake.pages,
        approvals.pages,
        contract.pages,
        plan.pages,
        drafts.pages,
        billing_details.pages,
        provisioning.pages,
        connections.pages,
        connection_trust.pages,
        domains.pages,
        request_log.pages,
        guides.pages,
        matches.pages,
        setup.pages,
    )
