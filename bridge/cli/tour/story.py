"""The tour itself, chapter by chapter; every number that is checked is worked out here by hand."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bridge.cli.tour.arithmetic import money, rest_of_year, rounded, whole_period, with_tax
from bridge.cli.tour.browser import Browser, Page
from bridge.cli.tour.cast import ATELIER, GRACHTEN, NORDLYS
from bridge.cli.tour.facts import PersonSeat, read_audit, read_ledger, read_people, read_refusal
from bridge.cli.tour.narration import Narrator
from bridge.cli.tour.stage import Customer, Stage
from bridge.simulator.provisioning import PushReport
from bridge.simulator.saml import read_authn_request
from bridge.simulator.wire import Exchange

PREMIUM, STANDARD = "premium", "standard"
BOUGHT = 2


def tell(stage: Stage, narrator: Narrator) -> None:
    """Tell the whole story; what does not hold is in the narrator's list afterwards."""
    chapters: Sequence[Callable[[Stage, Narrator], None]] = (
        okta_pushes,
        entra_pushes,
        somebody_new_signs_in,
        a_forgery_is_refused,
        a_mapping_is_previewed_and_applied,
        seats_are_bought,
        somebody_leaves,
        everything_adds_up,
    )
    for chapter in chapters:
        try:
            chapter(stage, narrator)
        except Exception as error:  # noqa: BLE001 (whatever breaks a chapter is a failed check, and the tour goes on)
            narrator.broke(error)


def okta_pushes(stage: Stage, narrator: Narrator) -> None:
    """Push twelve people and four groups; six engineers want four Premium seats."""
    customer = stage.customers[NORDLYS.slug]
    _introduce(narrator, "Okta pushes people and groups", customer)
    report = customer.company.push()
    _show_push(narrator, report, "Okta")
    people = read_people(stage, customer)
    _show_seats(narrator, people)
    ledger = read_ledger(stage, customer)
    narrator.check("12 people and 4 groups were created", report.created, 12 + 4)
    narrator.check("nothing was refused: provisioning never fails for want of a seat", len(report.refused), 0)
    # 6 engineers for 4 Premium seats: 4 hold one, 2 keep Standard and wait; 6 others hold Standard. 2 + 6 = 8.
    narrator.check("4 of 4 Premium and 8 of 12 Standard are in use", ledger.used, {PREMIUM: 4, STANDARD: 8})
    narrator.check("2 engineers keep Standard and wait for Premium", _waiting(people), [(STANDARD, PREMIUM)] * 2)


def entra_pushes(stage: Stage, narrator: Narrator) -> None:
    """Push nine people into eight seats, without any mapping."""
    customer = stage.customers[ATELIER.slug]
    _introduce(narrator, "Entra pushes, another customer, in Entra's own words", customer)
    report = customer.company.push()
    _show_push(narrator, report, "Entra")
    people = read_people(stage, customer)
    _show_seats(narrator, people)
    ledger = read_ledger(stage, customer)
    narrator.check("9 people and 2 groups were created", report.created, 9 + 2)
    narrator.check("nothing was refused", len(report.refused), 0)
    # No mapping: each takes the best seat that is free (rule A1). 2 Premium, then 6 Standard, the ninth waits.
    narrator.check("2 of 2 Premium and 6 of 6 Standard are in use", ledger.used, {PREMIUM: 2, STANDARD: 6})
    narrator.check(
        "Théo Renard came ninth: a member without a seat, first in line",
        [person.name for person in people if person.tier is None and person.waiting_for],
        ["Théo Renard"],
    )


def somebody_new_signs_in(stage: Stage, narrator: Narrator) -> None:
    """Sign in somebody whom the product has never heard of, with a real signed assertion."""
    customer = stage.customers[GRACHTEN.slug]
    _introduce(narrator, "Somebody new signs in", customer)
    before = read_people(stage, customer)
    with Browser(stage.url) as browser:
        page = _sign_in(browser, customer, "Sanne Visser")
    narrator.say("Sanne Visser → sign in → identity provider → signed assertion → back, with a session")
    people = read_people(stage, customer)
    _show_seats(narrator, people)
    narrator.check("she did not exist before", [person.name for person in before], [])
    narrator.check("she is signed in and sees her own page", (page.status, "Sanne" in page.words), (200, True))
    narrator.check(
        "her group Directie gave her Premium, at sign-in",
        [(person.name, person.tier) for person in people],
        [("Sanne Visser", PREMIUM)],
    )


def a_forgery_is_refused(stage: Stage, narrator: Narrator) -> None:
    """Answer a real request with an assertion that somebody else signed."""
    customer = stage.customers[GRACHTEN.slug]
    narrator.chapter("A forged assertion is refused", customer.role.name)
    with Browser(stage.url) as browser:
        page = _sign_in(browser, customer, "Daan Mulder", forged=True)
    refusal = read_refusal(stage, customer, page.request_id)
    reason, words = refusal or ("", "")
    narrator.say(f"The page says nothing but: request {page.request_id}")
    narrator.say(f"The connection's own log says: {words}")
    narrator.check("the browser gets a neutral page", page.status, 403)
    narrator.check("the page names the request and not the reason", _is_neutral(page, words), expected=True)
    narrator.check("the log has the reason", reason != "", expected=True)
    narrator.check("nobody was created", len(read_people(stage, customer)), 1)


def a_mapping_is_previewed_and_applied(stage: Stage, narrator: Narrator) -> None:
    """Take the seats of contractors, as the owner, in the console."""
    customer = stage.customers[NORDLYS.slug]
    narrator.chapter("A mapping is previewed, then applied", f"{customer.role.name}: Contractors get no seat")
    with _owner(stage, customer) as browser:
        editor = browser.open("/console/mappings/edit")
        rule = (
            *(("rule.key", ""), ("rule.about", "group"), ("rule.value", "Contractors")),
            *(("rule.tier", "unassigned"), ("rule.on_exhausted", ""), ("rule.role", ""), ("rule.teams", "")),
            ("rule.kept", ""),
        )
        preview = browser.submit(editor, "/console/mappings/edit", (*rule, ("do", "preview")))
        unchanged = read_ledger(stage, customer).used
        named = [name for name in ("Lars Visser", "Axel Smit") if name in preview.words]
        narrator.say("The preview names who would move: " + ", ".join(named))
        applied = browser.submit(preview, "/apply")
    people = {person.name: person for person in read_people(stage, customer)}
    _show_seats(narrator, [people[name] for name in named])
    narrator.check("the preview names both contractors", named, ["Lars Visser", "Axel Smit"])
    narrator.check("and moved nobody yet", unchanged, {PREMIUM: 4, STANDARD: 8})
    narrator.check("applying it says what it did", (applied.status, "2 people moved" in applied.words), (200, True))
    # 8 − 2 contractors = 6.
    narrator.check("2 Standard seats are free again", read_ledger(stage, customer).used, {PREMIUM: 4, STANDARD: 6})


def seats_are_bought(stage: Stage, narrator: Narrator) -> None:
    """Buy two Premium seats as the owner, in the console; who waits gets them."""
    customer = stage.customers[NORDLYS.slug]
    role = customer.role
    narrator.chapter("Two Premium seats are bought", f"{role.name}: prorated, charged once, also when confirmed twice")
    waiting = [person.name for person in read_people(stage, customer) if person.waiting_for]
    with _owner(stage, customer) as browser:
        form = browser.open("/console/seats/change")
        preview = browser.submit(form, "/console/seats/previews", [(f"add.{PREMIUM}", str(BOUGHT))])
        invoice = browser.submit(preview, "/confirm", [("acknowledged", "yes")])
        again = browser.submit(preview, "/confirm", [("acknowledged", "yes")])
    ledger = read_ledger(stage, customer)
    start, *bought = ledger.invoices
    line = bought[0].lines[0]
    narrator.say(line.formula)
    narrator.say(line.explanation)
    # 2 seats × 720.00 × the share of the contract year that is left (rule P8), rounded once, then 25 % tax.
    day = line.start.astimezone(ZoneInfo(role.time_zone)).date()
    share = rest_of_year(customer.start.astimezone(ZoneInfo(role.time_zone)).date(), day)
    net = rounded(BOUGHT * role.prices[PREMIUM] * share)
    total = with_tax(net, role.tax_rate)
    narrator.check(f"the line is {money(net)}, to the cent", line.amount, net)
    narrator.check(f"with tax {money(total)}", bought[0].invoice.total, total)
    shown = f"{total / 100:,.2f}"
    narrator.check("the invoice's page shows the sum", (invoice.status, shown in invoice.words), (200, True))
    narrator.check("confirming again leads to the same invoice, and charges nothing", again.url, invoice.url)
    narrator.check("there is one invoice for it", len(bought), 1)
    people = {person.name: person for person in read_people(stage, customer)}
    _show_seats(narrator, [people[name] for name in waiting])
    narrator.check("who waited has Premium now", [people[name].tier for name in waiting], [PREMIUM] * BOUGHT)
    # Two moved up: Premium 4 + 2, Standard 6 − 2.
    narrator.check("6 of 6 Premium and 4 of 12 Standard are in use", ledger.used, {PREMIUM: 6, STANDARD: 4})
    narrator.check("nobody waits any more", ledger.waiting, 0)
    tags = _seat_at_the_provider(stage, customer, "alice.lindqvist@")
    narrator.check("the identity provider's own page shows Alice's Premium", tags, ["Premium"])
    narrator.say(f"Invoices: {start.invoice.number} for the year, {bought[0].invoice.number} for the two seats")


def somebody_leaves(stage: Stage, narrator: Narrator) -> None:
    """Turn somebody off in Entra; the seat goes to who waits."""
    customer = stage.customers[ATELIER.slug]
    narrator.chapter("Somebody leaves", f"{customer.role.name}: Léa Fontaine, who holds Premium")
    directory = customer.company.directory
    directory.leave(directory.named("Léa Fontaine").id)
    report = customer.company.push()
    narrator.exchanges([one for one in report.exchanges if one.method == "PATCH"])
    people = {person.name: person for person in read_people(stage, customer)}
    _show_seats(narrator, [people["Théo Renard"]])
    narrator.check("Entra turned one person off", report.deactivated, 1)
    narrator.check("her seat went to Théo Renard, who waited", people["Théo Renard"].tier, PREMIUM)
    ledger = read_ledger(stage, customer)
    narrator.check("every seat is in use, nobody waits", (ledger.used, ledger.waiting), ({PREMIUM: 2, STANDARD: 6}, 0))
    narrator.check("leaving costs and credits nothing", len(ledger.invoices), 1)


def everything_adds_up(stage: Stage, narrator: Narrator) -> None:
    """Count everything again: seats, invoices, audit."""
    narrator.chapter("Everything adds up")
    narrator.check("the service and its worker ran all the while", stage.ended(), [])
    for customer in stage.customers.values():
        role, ledger = customer.role, read_ledger(stage, customer)
        used = {tier: number for tier, number in ledger.used.items() if number}
        narrator.check(
            f"{role.name}: {_counts(used)} in use, and so many people hold one",
            (ledger.held, ledger.miscounted),
            (used, 0),
        )
        first = ledger.invoices[0].invoice
        period = whole_period(role.seats, role.prices)
        sums = " + ".join(f"{role.seats[tier]} × {money(role.prices[tier])}" for tier in role.seats)
        total = with_tax(period, role.tax_rate)
        narrator.check(
            f"{first.number}: {sums} = {money(period)}, with {float(role.tax_rate):.0%} tax {money(total)}",
            (first.subtotal, first.total),
            (period, total),
        )
        narrator.check(
            f"{len(ledger.invoices)} invoice{'s' if len(ledger.invoices) > 1 else ''}, the sum of lines and tax each",
            [(sum(line.amount for line in view.lines), view.invoice.total) for view in ledger.invoices],
            [(view.invoice.subtotal, view.invoice.subtotal + view.invoice.tax) for view in ledger.invoices],
        )
        entries, broken = read_audit(stage, customer)
        narrator.check(f"{entries} entries in the audit chain, each as it was written", broken, None)


def _seat_at_the_provider(stage: Stage, customer: Customer, beginning: str) -> list[str]:
    """Read the seat that the simulated provider's page shows beside somebody."""
    with Browser(stage.idp_url) as browser:
        page = browser.open(f"/{customer.role.slug}/")
    row = f"//tr[td[1]//span[starts-with(., '{beginning}')]]"
    return [tag.text_content() for tag in page.document.xpath(f"{row}/td[3]/span")]


def _introduce(narrator: Narrator, title: str, customer: Customer) -> None:
    role = customer.role
    seats = ", ".join(f"{number} {tier.title()} at {money(role.prices[tier])}" for tier, number in role.seats.items())
    narrator.chapter(title, f"{role.name} · {role.plan} · {seats}")


def _show_seats(narrator: Narrator, people: Sequence[PersonSeat]) -> None:
    """Show person, seat and why, who waits last; people of whom the same is to be said share a row."""
    rows: dict[tuple[str, str], list[str]] = {}
    for person in sorted(people, key=lambda one: (one.waiting_for is not None, one.tier is None, one.tier)):
        rows.setdefault((person.seat, person.because), []).append(person.name)
    narrator.table(
        ("Person", "Seat", "Because"), [(", ".join(names), seat, because) for (seat, because), names in rows.items()]
    )


def _show_push(narrator: Narrator, report: PushReport, provider: str) -> None:
    narrator.say(f"{provider} sent {report.requests} requests in {report.seconds:.1f} s, among them:")
    narrator.exchanges(_one_of_each_kind(report.exchanges))


def _one_of_each_kind(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Return the first exchange of each kind, in the order they came."""
    kinds: dict[tuple[str, str, bool], Exchange] = {}
    for exchange in exchanges:
        resource = exchange.path.split("?")[0].split("/")[1]
        kinds.setdefault((exchange.method, resource, exchange.accepted), exchange)
    return list(kinds.values())


def _waiting(people: Sequence[PersonSeat]) -> list[tuple[str | None, str | None]]:
    return [(person.tier, person.waiting_for) for person in people if person.waiting_for]


def _sign_in(browser: Browser, customer: Customer, name: str, *, forged: bool = False) -> Page:
    """Go the way of a browser: start at the product, sign in at the identity provider, carry the answer back."""
    company = customer.company
    request = read_authn_request(browser.redirect_of(company.sign_in_url))
    subject = company.subject(company.directory.named(name))
    response = company.idp.respond(request, subject, now=datetime.now(UTC), forged=forged)
    page = browser.post(request.acs_url, [("SAMLResponse", response)])
    # A page of the product's own leads on, by itself in a real browser.
    leads_on = page.document.xpath("//main//a/@href") if "/finish" in page.url else []
    return browser.open(leads_on[0]) if leads_on else page


def _owner(stage: Stage, customer: Customer) -> Browser:
    """Sign the customer's owner in by a one-time link."""
    browser = Browser(stage.url)
    browser.submit(browser.open(stage.sign_in_link(customer)), "/sign-in/link")
    return browser


def _is_neutral(page: Page, words: str) -> bool:
    return page.request_id in page.words and words not in page.words


def _counts(used: dict[str, int]) -> str:
    return ", ".join(f"{number} {tier.title()}" for tier, number in used.items()) or "none"
