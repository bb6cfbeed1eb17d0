"""The options in a user's settings; each line that a type checker refuses says how."""

from asgi_tasks import PubSubOptions

OPTIONS: PubSubOptions = {
    "project_id": "shop",
    "routes": "shop.task_routes",
    "service_url": "https://shop.example",
    "push_service_account": "pubsub@shop.iam.gserviceaccount.com",
    "publish_timeout": 5,
    "signing_key": ["new", "old"],
}
TASKS = {
    "default": {"BACKEND": "asgi_tasks.backends.PubSubBackend", "OPTIONS": OPTIONS},
}

WITHOUT_ROUTES: PubSubOptions = {  # error: typeddict-item
    "project_id": "shop",
    "service_url": "https://shop.example",
    "push_service_account": "pubsub@shop.iam.gserviceaccount.com",
}
OPTIONS["threads"] = 4
OPTIONS["threads"] = "4"  # error: typeddict-item
OPTIONS["lanes"] = 4  # error: typeddict-unknown-key
OPTIONS["log_results"] = None  # error: typeddict-item
