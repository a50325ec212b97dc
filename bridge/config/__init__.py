"""Settings: one YAML file and the environment, checked once at start-up, every mistake named by its place."""

from bridge.config.keys import generate_key, read_keys_file, resolve_keys
from bridge.config.loading import load_settings
from bridge.config.settings import (
    DatabaseSettings,
    JobSettings,
    LogFormat,
    LogLevel,
    LogSettings,
    MailSettings,
    ScimSettings,
    SecretSettings,
    ServerSettings,
    SessionSettings,
    Settings,
    SsoSettings,
)

__all__ = [
    "DatabaseSettings",
    "JobSettings",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "MailSettings",
    "ScimSettings",
    "SecretSettings",
    "ServerSettings",
    "SessionSettings",
    "Settings",
    "SsoSettings",
    "generate_key",
    "load_settings",
    "read_keys_file",
    "resolve_keys",
]
