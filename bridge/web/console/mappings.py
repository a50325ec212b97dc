"""Groups and mappings: the rules in force, a draft of others, what the draft would do, and applying it."""

from collections.abc import Mapping

from flask import Blueprint, Response, flash, request, url_for

from bridge.domain.documents import MAPPABLE
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, VersionMismatchError
from bridge.usecases.edit_mappings import MappingsApplied, applied_preview, apply_mappings
from bridge.usecases.mapping_drafts import find_draft, save_draft
from bridge.usecases.mapping_versions import list_versions
from bridge.usecases.preview_mappings import mapping_problems, open_preview, preview_mappings, preview_rollback
from bridge.usecases.read_mappings import MappingsView, identity_providers, read_mappings
from bridge.web.console.flows import draw_flows, group_moves
from bridge.web.console.forms import (
    MappingForm,
    SavedAs,
    identifier,
    mapping_form_of,
    parse_mapping_form,
    parse_saved_as,
)
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import plural, render, see_other
from bridge.web.session import Visit
from mappings.documents import Problem

pages = Blueprint("mappings", __name__, url_prefix="/console/mappings")


@pages.get("")
@signed_in(Permission.EDIT_MAPPINGS)
def index(visit: Visit) -> Response:
    """Show the rules in force and for whom each decides."""
    return render("mappings.html", view=read_mappings(visit.unit))


@pages.get("/edit")
@signed_in(Permission.EDIT_MAPPINGS)
def edit(visit: Visit) -> Response:
    """Open the editor with the rules in force, or a draft, and one more rule for a group that was picked."""
    drafted = request.args.get("draft")
    if drafted:
        draft = find_draft(visit.unit, identifier("draft", drafted))
        return _editor(visit, mapping_form_of(dict(draft.document)), SavedAs(draft.name, draft.name, draft.version))
    form = mapping_form_of(read_mappings(visit.unit).document)
    group = request.args.get("group")
    return _editor(visit, form.after(f"add:{group}") if group else form)


@pages.post("/edit")
@signed_in(Permission.EDIT_MAPPINGS)
def change(visit: Visit) -> Response:
    """Follow a button of the editor: change the draft, keep it for others, or preview it."""
    form, saved_as = parse_mapping_form(request.form), parse_saved_as(request.form)
    act = request.form.get("do", "")
    if act not in {"preview", "save"}:
        return _editor(visit, form.after(act), saved_as)
    document = form.to_document(_namesakes(read_mappings(visit.unit)))
    problems = mapping_problems(visit.unit, document)
    if act == "save":
        return _save(visit, form, saved_as, document, tuple(one for one in problems if one.path))
    if problems:
        return _editor(visit, form, saved_as, problems)
    preview = preview_mappings(visit.unit, document)
    return see_other(url_for("mappings.show_preview", preview_id=preview.id))


def _save(
    visit: Visit, form: MappingForm, saved_as: SavedAs, document: object, problems: tuple[Problem, ...]
) -> Response:
    """Keep the editor's draft under its name, unless it has mistakes or somebody else changed it meanwhile."""
    if problems:
        return _editor(visit, form, saved_as, problems)
    try:
        draft = save_draft(visit.unit, saved_as.name, document, expected=saved_as.expected)
    except (InvalidInputError, VersionMismatchError) as mistake:
        return _editor(visit, form, saved_as, (Problem("", str(mistake)),))
    flash(f"The draft “{draft.name}” is saved, version {draft.version}. It decides about nobody.", "ok")
    return see_other(url_for("drafts.show", draft_id=draft.id))


@pages.get("/versions")
@signed_in(Permission.EDIT_MAPPINGS)
def versions(visit: Visit) -> Response:
    """List the versions of the rules: who changed what, when and why."""
    return render("mapping_versions.html", versions=list_versions(visit.unit), problem="")


@pages.post("/versions/<int:version>/restore")
@signed_in(Permission.EDIT_MAPPINGS)
def restore(visit: Visit, version: int) -> Response:
    """Preview what it would do to put the rules of an older version in force again."""
    try:
        made = preview_rollback(visit.unit, version)
    except InvalidInputError as mistake:
        return render(
            "mapping_versions.html",
            status=answer_for(mistake).status,
            versions=list_versions(visit.unit),
            problem=sentence_of(mistake),
        )
    return see_other(url_for("mappings.show_preview", preview_id=made.id))


@pages.get("/previews/<preview_id>")
@signed_in(Permission.EDIT_MAPPINGS)
def show_preview(visit: Visit, preview_id: str) -> Response:
    """Show who would move and what it would cost; what was applied is not shown again, but told."""
    done = applied_preview(visit.unit, identifier("preview", preview_id))
    if done is not None:
        flash(f"This preview was applied already. {_what_happened(done)}", "ok")
        return see_other(url_for("mappings.index"))
    preview = open_preview(visit.unit, identifier("preview", preview_id))
    bought = preview.moves_if_bought
    return render(
        "mapping_preview.html",
        preview=preview,
        access=_access(preview.roles, len(preview.team_changes), past=False),
        flows=draw_flows(preview.moves, preview.ladder),
        groups=group_moves(preview.moves.moves, preview.ladder),
        groups_if_bought=group_moves(bought.moves, preview.ladder) if bought else (),
        sold_elsewhere=not visit.unit.billing.sells_at_once,
    )


@pages.post("/previews/<preview_id>/apply")
@signed_in(Permission.EDIT_MAPPINGS)
def apply(visit: Visit, preview_id: str) -> Response:
    """Put the previewed rules in force."""
    applied = apply_mappings(
        visit.unit,
        identifier("preview", preview_id),
        acknowledged=request.form.get("acknowledged") == "yes",
        buy=request.form.get("short") == "buy",
        roles_acknowledged=request.form.get("roles_acknowledged") == "yes",
        budgets_acknowledged=request.form.get("budgets_acknowledged") == "yes",
    )
    flash(_what_happened(applied), "ok")
    return see_other(url_for("mappings.index"))


def _what_happened(applied: MappingsApplied) -> str:
    """Say what an applied preview did."""
    invoice = [f"invoice {each.number} was issued" for each in applied.invoices]
    moved = plural(applied.moved, "person moved", "people moved")
    told = ", ".join([moved, *_access(applied.roles, applied.teams, past=True), *invoice])
    return f"Version {applied.version} is in force: {told}."


def _access(roles: Mapping[str, int], teams: int, *, past: bool) -> list[str]:
    """Count who gets another role or other teams: "6 people become admin"."""
    one, many = ("became", "became") if past else ("becomes", "become")
    told = [plural(number, f"person {one} {role}", f"people {many} {role}") for role, number in sorted(roles.items())]
    if teams:
        one, many = ("changed", "changed") if past else ("changes", "change")
        told.append(plural(teams, f"person {one} teams", f"people {many} teams"))
    return told


def _namesakes(view: MappingsView) -> dict[str, dict[str, str]]:
    """Return the groups that share their name with another connection's, by what the editor calls them."""
    return {
        group.label: {"group": group.name, "group_id": group.id} for group in view.groups if group.label != group.name
    }


def _editor(
    visit: Visit, form: MappingForm, saved_as: SavedAs | None = None, problems: tuple[Problem, ...] = ()
) -> Response:
    return render(
        "mappings_edit.html",
        status=422 if problems else 200,
        form=form,
        saved_as=saved_as or SavedAs(),
        view=read_mappings(visit.unit),
        attributes=tuple(MAPPABLE),
        providers=identity_providers(visit.unit),
        problems=problems,
    )
