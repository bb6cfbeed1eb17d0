from django.urls import include, path

urlpatterns = [path("", include("django_tasks_pubsub.urls"))]
