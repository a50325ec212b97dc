"""People in a CSV file: what spreadsheets and directories really write, read without guessing silently.

Everything that is wrong is named by row and column, all at once. Nothing here knows the database.
"""

import codecs
import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.domain.documents import comparison_key
from bridge.domain.file_encodings import decode
from bridge.domain.tables import write_rows

MAX_BYTES = 20 * 1024 * 1024
MAX_ROWS = 50_000
MAX_USER_NAME = 255
MAX_CELL = 1024
MAX_GROUPS = 500
_MAX_COLUMNS = 200
_DELIMITERS = ",;\t"
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: What the reader of CSV complains of, in our own words.
_BROKEN = (
    ("end of data", "a quotation mark is never closed"),
    ("field limit", "a cell is longer than 131,072 characters: is a quotation mark missing?"),
    ("expected after", "a quotation mark stands inside a quoted cell: write it twice"),
    ("new-line", "a line ends in a lone carriage return"),
)


class Column(StrEnum):
    """What a file may say of a person; the value is the name that pages and problems use."""

    USER_NAME = "userName"
    EMAIL = "email"
    GIVEN_NAME = "givenName"
    FAMILY_NAME = "familyName"
    DISPLAY_NAME = "displayName"
    TITLE = "title"
    USER_TYPE = "userType"
    LOCALE = "locale"
    LANGUAGE = "preferredLanguage"
    DEPARTMENT = "department"
    DIVISION = "division"
    ORGANIZATION = "organization"
    COST_CENTER = "costCenter"
    EMPLOYEE_NUMBER = "employeeNumber"
    EXTERNAL_ID = "externalId"
    ACTIVE = "active"
    GROUPS = "groups"
    TIER = "tier"


_ALIASES: Mapping[Column, str] = {
    Column.USER_NAME: "username login loginname user userprincipalname upn account accountname signin signinname",
    Column.EMAIL: "email emails mail emailaddress mailaddress workemail primaryemail emailwork",
    Column.GIVEN_NAME: "givenname firstname forename namegivenname",
    Column.FAMILY_NAME: "familyname lastname surname namefamilyname sn",
    Column.DISPLAY_NAME: "displayname name fullname commonname cn",
    Column.TITLE: "title jobtitle position",
    Column.USER_TYPE: "usertype employeetype",
    Column.LOCALE: "locale",
    Column.LANGUAGE: "preferredlanguage language",
    Column.DEPARTMENT: "department dept",
    Column.DIVISION: "division",
    Column.ORGANIZATION: "organization organisation company",
    Column.COST_CENTER: "costcenter costcentre",
    Column.EMPLOYEE_NUMBER: "employeenumber employeeid personnelnumber staffnumber",
    Column.EXTERNAL_ID: "externalid",
    Column.ACTIVE: "active enabled status accountenabled",
    Column.GROUPS: "groups group memberof groupnames",
    Column.TIER: "tier seat seattier license licence",
}
_BY_ALIAS = {alias: column for column, aliases in _ALIASES.items() for alias in aliases.split()}
_TRUE = frozenset({"true", "yes", "y", "1", "active", "enabled", "on"})
_FALSE = frozenset({"false", "no", "n", "0", "inactive", "disabled", "off", "deactivated", "suspended"})


@dataclass(frozen=True, slots=True)
class RowProblem:
    """What is wrong with a file, at one place.

    Attributes:
        row: As a spreadsheet counts: the header is row 1, empty rows count; 0 for the file as a whole.
        column: As the file's header calls it; None when it is not about one column.
        message: What is wrong, to be read after the place.
    """

    row: int
    column: str | None
    message: str

    def __str__(self) -> str:
        """Give the sentence with its place."""
        if not self.row:
            return self.message
        return f"row {self.row}{f', column {self.column}' if self.column else ''}: {self.message}"


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person of a file.

    Attributes:
        row: As in :class:`RowProblem`.
        active: None when the file does not say.
        groups: Names, each once; None when the file does not say, empty when it says "none".
        tier: As written; None when the file does not say.
        values: The other cells that are not empty, stripped.
    """

    row: int
    user_name: str
    external_id: str | None = None
    active: bool | None = None
    groups: tuple[str, ...] | None = None
    tier: str | None = None
    values: Mapping[Column, str] = field(default_factory=dict)

    @property
    def user_name_key(self) -> str:
        """The userName as it is compared."""
        return comparison_key(self.user_name)


@dataclass(frozen=True, slots=True)
class PeopleFile:
    """A file that was read.

    Attributes:
        sha256: Of the bytes, hex.
        encoding: As people call it.
        delimiter: Between two cells.
        header: The cells of the first row, as written.
        people: The good rows, in order.
        problems: Everything that is wrong, by row.
        warnings: What is passed over or guessed, as sentences.
        cells: Of every row that holds something, the cells as written.
    """

    sha256: str
    encoding: str = "UTF-8"
    delimiter: str = ","
    header: tuple[str, ...] = ()
    people: tuple[PersonRow, ...] = ()
    problems: tuple[RowProblem, ...] = ()
    warnings: tuple[str, ...] = ()
    cells: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def name_of(self, column: Column) -> str:
        """Return what the file's header calls a column; a userName may come from the address."""
        names = {column_of(name): name.strip() for name in reversed(self.header)}
        instead = names.get(Column.EMAIL) if column is Column.USER_NAME else None
        return names.get(column) or instead or str(column)


def read_people(raw: bytes) -> PeopleFile:
    """Read a CSV file of people; what is wrong with it stands in the result, and no content raises.

    The first row names the columns. UTF-8 with or without mark, UTF-16 and Windows-1252 are read; the delimiter is
    found among comma, semicolon and tab.
    """
    sha256 = hashlib.sha256(raw).hexdigest()

    def refused(message: str, row: int = 0) -> PeopleFile:
        return PeopleFile(sha256=sha256, problems=(RowProblem(row, None, message),))

    if len(raw) > MAX_BYTES:
        return refused(f"the file has {len(raw):,} bytes; at most {MAX_BYTES:,} are read at once: split it")
    decoded = decode(raw)
    if decoded is None and b"\x00" in raw and not raw.startswith(_UTF_16_MARKS):
        return refused("the file holds a NUL byte and is no UTF-16 text: save it as CSV UTF-8")
    if decoded is None:
        return refused("the file is neither UTF-8, UTF-16 nor Windows-1252 text: save it as CSV UTF-8")
    delimiter, text, skipped = _find_delimiter(decoded.text)
    reading = _Reading(delimiter)
    reading.read(text, skipped)
    warnings = list(reading.warnings)
    if decoded.guessed:
        warnings.insert(0, f"the file is not UTF-8 and was read as {decoded.encoding}: look at names with accents")
    return PeopleFile(
        sha256=sha256,
        encoding=decoded.encoding,
        delimiter=delimiter,
        header=reading.header,
        people=tuple(reading.people),
        problems=tuple(sorted(reading.problems, key=lambda problem: problem.row)),
        warnings=tuple(warnings),
        cells=reading.cells,
    )


def column_of(name: str) -> Column | None:
    """Return the column that a header cell names, in any case and with any signs between the words."""
    return _BY_ALIAS.get("".join(letter for letter in comparison_key(name) if letter.isalnum()))


def write_problems(file: PeopleFile, problems: Iterable[RowProblem]) -> str:
    """Write the rows that have problems as they are in the file, each with its number and what is wrong in front."""
    by_row: dict[int, list[str]] = {}
    for problem in problems:
        sentence = f"{problem.column}: {problem.message}" if problem.column else problem.message
        by_row.setdefault(problem.row, []).append(sentence)
    width = max((len(file.cells.get(row, ())) for row in by_row), default=0)
    header = [*file.header, *[""] * (width - len(file.header))]
    rows = ([str(row), "; ".join(by_row[row]), *file.cells.get(row, ())] for row in sorted(by_row))
    return write_rows(["row", "problem", *header], rows, file.delimiter)


def _find_delimiter(text: str) -> tuple[str, str, int]:
    """Return the delimiter, the text after a line that only names it (``sep=;``), and how many rows that were."""
    first, _, rest = text.partition("\n")
    told = first.strip().strip('"').lower()
    if told.startswith("sep=") and told[4:] in {",", ";"}:
        return told[4:], rest, 1
    if first.rstrip("\r").lower() == "sep=\t":
        return "\t", rest, 1
    counts = dict.fromkeys(_DELIMITERS, 0)
    quoted = False
    for letter in text.lstrip("\r\n"):
        if letter == '"':
            quoted = not quoted
        elif not quoted and letter in "\r\n":
            break
        elif not quoted and letter in counts:
            counts[letter] += 1
    return max(counts, key=lambda delimiter: counts[delimiter]), text, 0


class _Reading:
    """One pass over a file."""

    def __init__(self, delimiter: str) -> None:
        self.delimiter = delimiter
        self.header: tuple[str, ...] = ()
        self.columns: dict[int, Column] = {}
        self.people: list[PersonRow] = []
        self.problems: list[RowProblem] = []
        self.warnings: list[str] = []
        self.cells: dict[int, tuple[str, ...]] = {}
        self._seen: dict[tuple[Column, str], int] = {}

    def read(self, text: str, skipped: int) -> None:
        """Read the header and then every row; stop where the form of the file itself is broken."""
        for row, cells in self._records(text, skipped):
            if not any(cell.strip() for cell in cells):
                continue
            if not self.header:
                if not self._read_header(row, cells):
                    return
                continue
            if len(self.cells) == MAX_ROWS:
                self._problem(0, None, f"the file has more than {MAX_ROWS:,} rows: split it")
                return
            self.cells[row] = tuple(cells)
            self._read_row(row, cells)
        if not self.header:
            self._problem(0, None, "the file is empty: its first row must name the columns")
        elif not self.cells and not self.problems:
            self.warnings.append("the file names nobody: there is no row below the header")

    def _records(self, text: str, skipped: int) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True)
        row = skipped
        while True:
            row += 1
            try:
                yield row, next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                what = next((told for trace, told in _BROKEN if trace in str(error)), "its quotation marks are broken")
                self._problem(row, None, f"the row cannot be read ({what}), nor can what follows")
                return

    def _read_header(self, row: int, cells: list[str]) -> bool:
        self.header = tuple(cells)
        unknown: list[str] = []
        if len(cells) > _MAX_COLUMNS:
            self._problem(row, None, f"the first row names {len(cells)} columns; at most {_MAX_COLUMNS} are read")
            return False
        for index, name in enumerate(cells):
            column = column_of(name)
            if column is None:
                unknown += [name.strip()] if name.strip() else []
            elif column in self.columns.values():
                self._problem(row, name.strip(), f"a second column that says {column}: keep one of them")
            else:
                self.columns[index] = column
        if not {Column.USER_NAME, Column.EMAIL} & set(self.columns.values()):
            hint = "" if len(cells) > 1 else "; cells are separated by comma, semicolon or tab"
            self._problem(row, None, f"the first row must name the columns, and one of them userName or email{hint}")
        if unknown:
            self.warnings.append(f"columns that are not known and were passed over: {', '.join(unknown)}")
        return not self.problems

    def _read_row(self, row: int, cells: list[str]) -> None:
        before = len(self.problems)
        if any(cell.strip() for cell in cells[len(self.header) :]):
            self._problem(row, None, f"has {len(cells)} cells, and the header {len(self.header)}: a quote is missing?")
            return
        values: dict[Column, str] = {}
        for index, column in self.columns.items():
            text = cells[index].strip() if index < len(cells) else ""
            if text and self._is_possible(row, index, column, text):
                values[column] = text
        if Column.EMAIL in values and not _is_address(values[Column.EMAIL]):
            self._at(row, Column.EMAIL, "is not a mail address")
        active = self._read_active(row, values.pop(Column.ACTIVE, None))
        groups = self._read_groups(row, values.pop(Column.GROUPS, None))
        user_name = values.pop(Column.USER_NAME, None) or values.get(Column.EMAIL)
        external_id = values.pop(Column.EXTERNAL_ID, None)
        if user_name is None and len(self.problems) == before:
            self._problem(row, None, "names nobody: userName and email are both empty")
        elif user_name is not None and len(user_name) > MAX_USER_NAME:
            self._at(row, Column.USER_NAME, f"is longer than {MAX_USER_NAME} characters")
        self._only_once(row, Column.USER_NAME, user_name and comparison_key(user_name))
        self._only_once(row, Column.EXTERNAL_ID, external_id)
        if user_name is None or len(self.problems) > before:
            return
        if Column.EMAIL not in values and Column.EMAIL not in self.columns.values() and _is_address(user_name):
            values[Column.EMAIL] = user_name
        tier = values.pop(Column.TIER, None)
        self.people.append(PersonRow(row, user_name, external_id, active, groups, tier, values))

    def _is_possible(self, row: int, index: int, column: Column, text: str) -> bool:
        problem = None
        if "\x00" in text:
            problem = "holds a NUL character"
        elif column is not Column.GROUPS and len(text) > MAX_CELL:
            problem = f"is longer than {MAX_CELL:,} characters"
        if problem is not None:
            self._problem(row, self.header[index].strip(), problem)
        return problem is None

    def _read_active(self, row: int, text: str | None) -> bool | None:
        if text is None:
            return None
        word = comparison_key(text)
        if word not in _TRUE | _FALSE:
            self._at(row, Column.ACTIVE, f"is {_short(text)}: write yes or no")
            return None
        return word in _TRUE

    def _read_groups(self, row: int, text: str | None) -> tuple[str, ...] | None:
        if text is None:
            return None
        names: dict[str, str] = {}
        for name in filter(None, (part.strip() for part in text.split(";"))):
            names.setdefault(comparison_key(name), name)
        if len(names) > MAX_GROUPS:
            self._at(row, Column.GROUPS, f"names {len(names)} groups; at most {MAX_GROUPS} are possible")
        for name in names.values():
            if len(name) > MAX_CELL:
                self._at(row, Column.GROUPS, f"has a name longer than {MAX_CELL:,} characters: {_short(name)}")
        return tuple(names.values())

    def _only_once(self, row: int, column: Column, key: str | None) -> None:
        if key is None:
            return
        first = self._seen.setdefault((column, key), row)
        if first != row:
            self._at(row, column, f"is the same as in row {first}")

    def _at(self, row: int, column: Column, message: str) -> None:
        """Note a problem of a column by the name it has in the file; a userName may come from the address."""
        self._problem(row, PeopleFile(sha256="", header=self.header).name_of(column), message)

    def _problem(self, row: int, column: str | None, message: str) -> None:
        self.problems.append(RowProblem(row, column, message))


def _is_address(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    return bool(local and at and domain) and not any(letter.isspace() or not letter.isprintable() for letter in text)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")  # noqa: PLR2004 (what fits into a sentence)
