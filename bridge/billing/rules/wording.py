"""Words for days, months and seats, the same in every sentence about money, whatever the machine's locale."""

from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def month_name(day: date) -> str:
    """Name the calendar month of a day: "November"."""
    return _MONTHS[day.month - 1]


def day_text(day: date) -> str:
    """Write a day: "21 November 2026"."""
    return f"{day.day} {month_name(day)} {day.year}"


def local_day(instant: datetime, time_zone: str) -> str:
    """Write the day on which an instant falls in the account's zone."""
    return day_text(instant.astimezone(ZoneInfo(time_zone)).date())


def counted(number: int, noun: str) -> str:
    """Count a noun that takes a plain s: "1 month", "3 Premium seats"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
