"""Celery: `celery -A app.celery_app.celery worker --queues=send_email,append_sent,default`.

The database says what there is to do; a task only says where to look, and holds no state. So a
task that is lost is rung for again by the next dispatch, and one that comes twice finds nothing.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue

from app.settings import get_settings

#: Seconds between two looks at everything that waits (`services/dispatch.py`).
DISPATCH_SECONDS = 5.0


QUEUES = ("send_email", "append_sent", "default")


def make_celery() -> Celery:
    """The application, its broker taken from the settings."""
    settings = get_settings()
    app = Celery("multimailer", broker=settings.redis_url, include=["app.mailer.tasks"])
    options: dict[str, Any] = {
        "task_queues": [Queue(name, Exchange(name), routing_key=name) for name in QUEUES],
        "task_default_queue": "default",
        # Nobody waits for what a task returns; the database has it.
        "result_backend": None,
        "task_ignore_result": True,
        # Acknowledged when it begins: what dies with its worker was only a ring. Acknowledged
        # late, a task that outlives the visibility time-out would run twice.
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,
        # How long what a dead worker had fetched and not begun stays hidden from the others.
        "broker_transport_options": {
            "visibility_timeout": 60,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        # Redis may come later than the workers, and go for as long as it likes.
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # Letters in hand are no business of the broker's.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_concurrency": settings.celery_concurrency,
        "worker_prefetch_multiplier": settings.celery_prefetch_multiplier,
        "worker_max_tasks_per_child": settings.celery_max_tasks_per_child,
        # No time limit: it would kill a process between the closing dot and its answer.
        "task_time_limit": None,
        "worker_hijack_root_logger": True,
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
        "timezone": "UTC",
        # For those who run beat; workers ring for themselves as well.
        "beat_schedule": {
            "dispatch": {"task": "dispatch", "schedule": DISPATCH_SECONDS},
        },
    }
    app.conf.update(options)
    return app


celery = make_celery()
