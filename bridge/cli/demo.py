"""``seatbridge demo``."""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bridge.cli.tour.narration import Narrator
    from bridge.cli.tour.stage import Stage

PORT = 8080
_SOMEBODY = "nordlys bram.devries@nordlys.example"
FAILED = 1
INTERRUPTED = 130


@click.command()
@click.option("--headless", is_flag=True, help="Take the tour and end: 0 when every check holds, 1 otherwise.")
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Used where it is free.")
@click.option("--keep", is_flag=True, help="Leave the database there at the end, for a look with other commands.")
@click.pass_context
def demo(context: click.Context, *, headless: bool, port: int, keep: bool) -> None:
    """Take a narrated tour: a real service, simulated identity providers, every total checked.

    Everything is made anew and runs on this machine alone: an embedded PostgreSQL, the service on 127.0.0.1, the
    identity providers on localhost. Then the console opens, signed in; Ctrl-C ends it all.
    """
    from bridge.cli.tour.ground import prepare_ground
    from bridge.cli.tour.narration import Narrator
    from bridge.observability import configure_logging

    configure_logging(level="error", as_json=False)
    narrator = Narrator()
    folder = demo_folder()
    folder.mkdir(parents=True, exist_ok=True)
    narrator.console.print("[bold]Seatbridge demo[/]\n")
    status = 0
    try:
        with _interruptible(), prepare_ground(folder, narrator, port=port, keep=keep) as ground:
            # Loaded while the service starts, which takes its own time.
            from bridge.cli.tour.stage import set_stage
            from bridge.cli.tour.story import tell

            with set_stage(ground, narrator) as stage:
                tell(stage, narrator)
                narrator.verdict()
                status = FAILED if narrator.failures else 0
                if not headless:
                    _invite(stage, narrator)
                    threading.Event().wait()
    except KeyboardInterrupt:
        status = status if not headless else INTERRUPTED
        narrator.console.print("\nEverything is stopped.")
    if keep:
        narrator.console.print(f"The data is there: {_command_line(folder / 'config.yaml')} org list", soft_wrap=True)
    context.exit(status)


def demo_folder() -> Path:
    """Return where the demo keeps its files: in the checkout's ``.dev`` when run there, else in the user's cache."""
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file() and Path.cwd().resolve().is_relative_to(root):
        return root / ".dev" / "demo"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "seatbridge" / "demo"


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let TERM end everything in order as Ctrl-C does, and Ctrl-C too where a shell has it ignored."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _invite(stage: "Stage", narrator: "Narrator") -> None:
    """Open the console for the first customer's owner, and say where everything is."""
    console = narrator.console
    console.print("\n[bold]Now look around.[/] Each link signs you in once, as the owner:\n")
    links = {slug: stage.sign_in_link(customer) for slug, customer in stage.customers.items()}
    for slug, link in links.items():
        role = stage.customers[slug].role
        console.print(f"  {role.name:<18} [dim]{role.plan}[/]\n  {link}\n", soft_wrap=True)
    console.print(f"  [dim]Hire, regroup and sign people in as their identity provider:[/]\n  {stage.idp_url}/\n")
    console.print("  [dim]Ask at the command line, in another terminal:[/]")
    console.print(f"  {_command_line(stage.config_file)} why {_SOMEBODY}\n", soft_wrap=True)
    console.print("Ctrl-C stops everything.", soft_wrap=True)
    if _has_display():
        import webbrowser

        webbrowser.open(next(iter(links.values())))


def _command_line(config_file: Path) -> str:
    """Return how the product is called here with the demo's configuration, to be copied."""
    program = shutil.which("seatbridge")
    return f"{'seatbridge' if program is None else shown(Path(program))} --config {shown(config_file)}"


def shown(path: Path) -> str:
    """Return a path as people would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _has_display() -> bool:
    """Tell whether a browser could show itself."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
