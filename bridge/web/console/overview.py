"""The first page of the console."""

from flask import Blueprint, Response

from bridge.domain.roles import Permission
from bridge.usecases.overview import read_overview
from bridge.web.console.charts import read_charts
from bridge.web.credentials import signed_in
from bridge.web.rendering import render
from bridge.web.session import Visit

pages = Blueprint("overview", __name__)


@pages.get("/console")
@signed_in(Permission.SEE_CONSOLE)
def show(visit: Visit) -> Response:
    """Show where everything stands."""
    forecast, charts = read_charts(visit.unit)
    return render("overview.html", overview=read_overview(visit.unit), forecast=forecast, charts=charts)
