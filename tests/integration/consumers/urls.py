from django.urls import include, path

from . import views

urlpatterns = [
    path("", include("tests.site.urls")),
    path("sync/", views.sync),
    path("async/", views.asynchronous),
    path("slow/", views.slow),
    path("slow/begun/", views.has_begun),
    path("slow/end/", views.end),
    path("__debug__/", include("debug_toolbar.urls")),
]
