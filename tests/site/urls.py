from django.urls import include, path

from . import views

urlpatterns = [
    path("view/", include("asgi_tasks.urls")),
    path("enqueue/<name>/", views.enqueue),
    path("aenqueue/<name>/", views.aenqueue),
]
