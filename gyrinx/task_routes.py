"""The tasks Pub/Sub may run, as urls.py lists the pages a browser may see."""

from asgi_tasks import TaskRoute

from .core.tasks import (
    generate_campaign_report,
    log_analytics_event,
    recalculate_list_costs,
    refresh_campaign,
    send_welcome_email,
)

task_routes = [
    TaskRoute(send_welcome_email),
    TaskRoute(recalculate_list_costs, ack_deadline=60),
    TaskRoute(generate_campaign_report, ack_deadline=600, min_retry_delay=30),
    TaskRoute(refresh_campaign, ack_deadline=120),
    TaskRoute(log_analytics_event, ack_deadline=30, min_retry_delay=5),
]
