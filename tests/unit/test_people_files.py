"""Nasty files: what spreadsheets, directories and people really save as CSV."""

import hashlib

import pytest

from bridge.domain import people_files
from bridge.domain.people_files import Column, read_people, write_problems
from bridge.domain.people_rows import changed_attributes, laid_over
from bridge.domain.tables import neutralise, write_rows

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def problems(text: str) -> list[str]:
    return [str(problem) for problem in read_people(text.encode()).problems]


class TestColumns:
    @pytest.mark.parametrize(
        ("name", "column"),
        [
            ("userName", Column.USER_NAME),
            ("LOGIN", Column.USER_NAME),
            ("User Principal Name", Column.USER_NAME),
            ("e-mail", Column.EMAIL),
            ("Mail", Column.EMAIL),
            ("first_name", Column.GIVEN_NAME),
            ("name.givenName", Column.GIVEN_NAME),
            ("Surname", Column.FAMILY_NAME),
            ("Display Name", Column.DISPLAY_NAME),
            ("Job title", Column.TITLE),
            ("Dept.", Column.DEPARTMENT),
            ("Cost centre", Column.COST_CENTER),
            ("Employee-Number", Column.EMPLOYEE_NUMBER),
            ("external id", Column.EXTERNAL_ID),
            ("Active", Column.ACTIVE),
            ("Groups", Column.GROUPS),
            ("Seat tier", Column.TIER),
        ],
    )
    def test_are_known_by_many_names_in_any_case(self, name: str, column: Column) -> None:
        assert people_files.column_of(name) is column

    def test_stand_in_any_order(self) -> None:
        file = read_people(b"title,last name,email\nLead,Berg,a@x.test\n")

        assert file.people[0].values == {
            Column.TITLE: "Lead",
            Column.FAMILY_NAME: "Berg",
            Column.EMAIL: "a@x.test",
        }

    def test_that_are_not_known_are_named_in_a_warning(self) -> None:
        file = read_people(b"email,shoe size,,salary\na@x.test,44,,1\n")

        assert file.warnings == ("columns that are not known and were passed over: shoe size, salary",)
        assert len(file.people) == 1

    def test_that_say_the_same_twice_are_a_problem(self) -> None:
        assert problems("email,mail\na@x.test,b@x.test\n") == [
            "row 1, column mail: a second column that says email: keep one of them"
        ]

    def test_one_of_them_says_who_it_is(self) -> None:
        assert problems("a@x.test,Ann\nb@x.test,Bo\n") == [
            "row 1: the first row must name the columns, and one of them userName or email"
        ]


class TestForm:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    def test_the_delimiter_is_found(self, delimiter: str) -> None:
        file = read_people(f'email{delimiter}"last, first; name"\na@x.test{delimiter}x\n'.encode())

        assert file.delimiter == delimiter
        assert file.people[0].user_name == "a@x.test"

    def test_a_line_that_names_the_delimiter_for_excel_is_followed(self) -> None:
        file = read_people(b"sep=;\r\nemail;title\r\na@x.test;Lead, Design\r\n")

        assert file.people[0].row == 3
        assert file.people[0].values[Column.TITLE] == "Lead, Design"

    @pytest.mark.parametrize(
        ("codec", "mark", "encoding"),
        [
            ("utf-8", b"", "UTF-8"),
            ("utf-8", b"\xef\xbb\xbf", "UTF-8"),
            ("utf-16-le", b"\xff\xfe", "UTF-16"),
            ("utf-16-be", b"\xfe\xff", "UTF-16"),
            ("utf-16-le", b"", "UTF-16"),
            ("utf-16-be", b"", "UTF-16"),
            ("cp1252", b"", "Windows-1252"),
        ],
    )
    def test_the_encoding_is_found_and_named(self, codec: str, mark: bytes, encoding: str) -> None:
        file = read_people(mark + "email,name\na@x.test,Zoë Müller\n".encode(codec))

        assert file.encoding == encoding
        assert file.people[0].values[Column.DISPLAY_NAME] == "Zoë Müller"
        assert bool(file.warnings) == (encoding == "Windows-1252")

    @pytest.mark.parametrize("raw", [b"email\n\x81\x8d\xff\n", b"\xff\xfee\x00m", b"\xff\xfe\x00\xd8,\x00"])
    def test_bytes_that_are_no_text_are_refused(self, raw: bytes) -> None:
        file = read_people(raw)

        assert "neither UTF-8, UTF-16 nor Windows-1252" in str(file.problems[0])

    def test_a_cell_may_hold_line_breaks_quotes_and_delimiters(self) -> None:
        file = read_people(b'email,title,groups\r\na@x.test,"Lead\r\n""Design"", EU",A;B\r\n\r\nb@x.test,,\r\n')

        assert file.people[0].values[Column.TITLE] == 'Lead\r\n"Design", EU'
        assert [person.row for person in file.people] == [2, 4]

    def test_a_quote_that_is_never_closed_is_a_problem_of_its_row(self) -> None:
        assert problems('email,title\na@x.test,ok\nb@x.test,"Lead\nc@x.test,x\n') == [
            "row 3: the row cannot be read (a quotation mark is never closed), nor can what follows"
        ]

    def test_empty_rows_count_and_are_passed_over(self) -> None:
        file = read_people(b"\n\nemail,title\n,\n  ,  \na@x.test,\n")

        assert [(person.row, person.user_name) for person in file.people] == [(6, "a@x.test")]

    def test_more_cells_than_columns_are_a_problem(self) -> None:
        assert problems("email,title\na@x.test,Lead, Design\n") == [
            "row 2: has 3 cells, and the header 2: a quote is missing?"
        ]

    @pytest.mark.parametrize("raw", [b"", b"\n\n", b"\xef\xbb\xbf"])
    def test_an_empty_file_is_a_problem(self, raw: bytes) -> None:
        assert "its first row must name the columns" in str(read_people(raw).problems[0])

    def test_a_file_that_names_nobody_gets_a_warning(self) -> None:
        assert read_people(b"email\n").warnings == ("the file names nobody: there is no row below the header",)

    def test_a_file_that_is_too_large_is_not_read(self) -> None:
        file = read_people(b"email\n" + b"x" * people_files.MAX_BYTES)

        assert str(file.problems[0]) == "the file has 20,971,526 bytes; at most 20,971,520 are read at once: split it"

    def test_a_file_with_too_many_rows_is_a_problem(self) -> None:
        rows = "".join(f"p{number}@x.test\n" for number in range(people_files.MAX_ROWS + 1))

        assert problems(f"email\n{rows}") == ["the file has more than 50,000 rows: split it"]

    def test_the_digest_is_that_of_the_bytes(self) -> None:
        assert read_people(b"email\n").sha256 == hashlib.sha256(b"email\n").hexdigest()


class TestValues:
    def test_every_problem_is_told_at_once_with_row_and_column(self) -> None:
        text = "login,E-Mail,active,external id\nann,nobody,maybe,1\n,,yes,2\nbo,bo@x.test,no,1\nANN,,,\n"

        assert problems(text) == [
            "row 2, column E-Mail: is not a mail address",
            "row 2, column active: is 'maybe': write yes or no",
            "row 3: names nobody: userName and email are both empty",
            "row 4, column external id: is the same as in row 2",
            "row 5, column login: is the same as in row 2",
        ]

    @pytest.mark.parametrize(("text", "active"), [("TRUE", True), ("Yes", True), ("0", False), ("Suspended", False)])
    def test_active_is_said_in_many_words(self, text: str, *, active: bool) -> None:
        assert read_people(f"email,status\na@x.test,{text}\n".encode()).people[0].active is active

    def test_groups_are_parted_by_semicolons_each_once(self) -> None:
        file = read_people(b"email,groups\na@x.test, Sales ;Design;;sales\nb@x.test,\nc@x.test,;\n")

        assert [person.groups for person in file.people] == [("Sales", "Design"), None, ()]

    def test_the_user_name_is_the_address_where_the_file_has_no_other(self) -> None:
        file = read_people(b"userName,email\n,a@x.test\nbo,b@x.test\n")

        assert [person.user_name for person in file.people] == ["a@x.test", "bo"]

    def test_the_address_is_the_user_name_where_the_file_has_no_column_for_it(self) -> None:
        file = read_people(b"userName\na@x.test\nbo\n")

        assert [person.values for person in file.people] == [{Column.EMAIL: "a@x.test"}, {}]

    def test_what_is_too_long_or_impossible_is_a_problem(self) -> None:
        text = f"userName,title\n{'x' * 256},\nann,{'y' * 1025}\nbo,a\x00b\n"

        assert problems(text) == [
            "row 2, column userName: is longer than 255 characters",
            "row 3, column title: is longer than 1,024 characters",
            "row 4, column title: holds a NUL character",
        ]


class TestLayingOver:
    def test_an_empty_cell_changes_nothing(self) -> None:
        known = {"userName": "ann", "active": True, "title": "Lead", ENTERPRISE: {"department": "R&D"}}
        row = read_people(b"userName,title,department,cost center\nann,,,77\n").people[0]

        assert laid_over(row, known) == {"title": "Lead", ENTERPRISE: {"department": "R&D", "costCenter": "77"}}

    def test_an_address_takes_the_place_of_the_primary_one(self) -> None:
        known = {"emails": [{"value": "home@x.test"}, {"value": "old@x.test", "primary": True}]}
        row = read_people(b"email\nnew@x.test\n").people[0]

        assert laid_over(row, known)["emails"] == [
            {"value": "new@x.test", "type": "work", "primary": True},
            {"value": "home@x.test"},
        ]

    def test_an_address_in_another_case_is_the_same(self) -> None:
        known = {"emails": [{"value": "Ann@x.test"}]}
        row = read_people(b"email\nann@X.test\n").people[0]

        assert laid_over(row, known) == known

    def test_the_attributes_that_change_are_named(self) -> None:
        before = {"title": "a", ENTERPRISE: {"department": "x", "division": "y"}}
        after = {"displayName": "b", ENTERPRISE: {"department": "z", "division": "y"}}

        assert changed_attributes(before, after) == ("department", "displayName", "title")


class TestWriting:
    @pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
    def test_a_cell_that_begins_like_a_formula_is_neutralised(self, begin: str) -> None:
        assert neutralise(f"{begin}cmd|' /C calc'!A0") == f"'{begin}cmd|' /C calc'!A0"

    def test_rows_with_problems_are_written_as_they_are_with_what_is_wrong_in_front(self) -> None:
        file = read_people(b"email;name\nnobody;=1+1\na@x.test;Ann\n")

        written = write_problems(file, file.problems)

        assert written == ('"row";"problem";"email";"name"\r\n"2";"email: is not a mail address";"nobody";"\'=1+1"\r\n')

    def test_headers_are_neutralised_too(self) -> None:
        assert write_rows(["=x"], []) == '"\'=x"\r\n'


class TestMessages:
    def test_a_stray_nul_byte_is_named_and_is_no_utf_16(self) -> None:
        (problem,) = read_people(b"email,title\na@x.test,a\x00b\n").problems

        assert str(problem) == "the file holds a NUL byte and is no UTF-16 text: save it as CSV UTF-8"

    def test_an_unknown_delimiter_is_answered_by_the_known_ones(self) -> None:
        (problem,) = problems("email|title\na@x.test|a\n")

        assert problem.endswith("cells are separated by comma, semicolon or tab")

    def test_a_cell_beyond_what_is_read_is_told_in_our_words(self) -> None:
        (problem,) = problems(f"email,title\na@x.test,{'x' * 200_000}\n")

        assert "a cell is longer than 131,072 characters" in problem

    def test_the_first_spelling_of_a_group_wins(self) -> None:
        file = read_people(b'email,groups\na@x.test,"Sales;SALES;sales"\n')

        assert file.people[0].groups == ("Sales",)
