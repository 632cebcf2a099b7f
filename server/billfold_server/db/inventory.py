"""What the database layer keeps: events, and what is to be done."""

from typing import Final

from billfold_server.db.personal import Inventory, NotPersonal, PersonalColumn

__all__ = ["INVENTORY"]

INVENTORY: Final = Inventory(
    room="db",
    personal=(
        PersonalColumn(
            table="outbox_events",
            column="data",
            category="identifier",
            owner="party",
            plain_because="ids and names of fields; free text is taken out before an event is written",
            kept="events_days",
        ),
        PersonalColumn(
            table="jobs",
            column="payload",
            category="identifier",
            owner="party",
            plain_because="ids; what they name is read when the job runs",
            kept="dead_jobs_days",
        ),
        PersonalColumn(
            table="jobs",
            column="last_error",
            category="free_text",
            owner="party",
            plain_because="the kind of error and where it happened, never a value",
            kept="dead_jobs_days",
        ),
    ),
    others=(
        NotPersonal(
            table="outbox_events",
            because="kinds, numbers, ids and times",
            columns="sequence id type object_id objects occurred_at",
        ),
        NotPersonal(table="relay_head", because="a number", columns="id sequence"),
        NotPersonal(
            table="publisher_cursors",
            because="how far each publisher has come",
            columns="publisher sequence failures retry_at claimed_by claimed_until",
        ),
        NotPersonal(
            table="jobs",
            because="kinds, states, counts and times",
            columns="id kind due_at dedup_key status attempts claimed_by claimed_until died_at",
        ),
        NotPersonal(
            table="job_schedules", because="what comes again and when", columns="name kind rule payload next_at"
        ),
    ),
)
"""Every column of the room's tables."""
