"""What Pub/Sub does, as calls of its real clients, against any Pub/Sub.

Our emulator, started for the suite:

    pytest tests/conformance

Any other on this machine (pushes go to 127.0.0.1; its retries have to be as slow as Google's):

    PUBSUB_EMULATOR_HOST=localhost:8085 pytest tests/conformance

Google's, where each test makes its own topics and subscriptions and deletes them again; the
credentials are GOOGLE_APPLICATION_CREDENTIALS or gcloud's, and need roles/pubsub.admin:

    PUBSUB_CONFORMANCE=google PUBSUB_PROJECT_ID=my-project pytest tests/conformance

There, and only there, a case is skipped for want of

    PUBSUB_CONFORMANCE_ACCOUNT       a service account the caller may act as
    PUBSUB_CONFORMANCE_PUSH_URL      an https:// URL that leads to 127.0.0.1:8086 (a tunnel)
    PUBSUB_CONFORMANCE_DEAD_LETTERS  any value: Pub/Sub's service agent may publish and subscribe
                                     in the project, which dead letters need

A comment "docs:" names the page under https://cloud.google.com/pubsub/docs that settles a case.
"""
