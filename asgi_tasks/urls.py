"""path("tasks/", include("asgi_tasks.urls"))"""

from django.urls import path

from . import views

app_name = "asgi_tasks"
urlpatterns = [path("pubsub/", views.push, name="push")]
