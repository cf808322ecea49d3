"""Rows: columns and constraints, no behaviour. Importing this package registers every table."""

from app.models.audit import AuditEntry
from app.models.catalog import Model, Route
from app.models.codex import CodexAccount, CodexSignIn
from app.models.counting import ConversationTotal, DailyRollup, Limit, Price, Rollup
from app.models.meta import Meta
from app.models.objects import OwnedObject
from app.models.pages import Announcement, Choice, Cut, Link, RunningCalls
from app.models.records import Attempt, Record
from app.models.second_factor import HalfSignIn, RecoveryCode, SecondFactor
from app.models.tokens import Token
from app.models.upstreams import Credential, Upstream
from app.models.users import SignIn, User

__all__ = [
    "Announcement",
    "Attempt",
    "AuditEntry",
    "Choice",
    "CodexAccount",
    "CodexSignIn",
    "ConversationTotal",
    "Credential",
    "Cut",
    "DailyRollup",
    "HalfSignIn",
    "Limit",
    "Link",
    "Meta",
    "Model",
    "OwnedObject",
    "Price",
    "Record",
    "RecoveryCode",
    "Rollup",
    "Route",
    "RunningCalls",
    "SecondFactor",
    "SignIn",
    "Token",
    "Upstream",
    "User",
]
