from django.urls import path

from tests.site.urls import urlpatterns as site

from . import views

urlpatterns = [
    *site,
    path("start/<int:count>/<gate>/", views.start),
    path("form/", views.form),
    path("path/", views.show_path),
    path("async-page/", views.async_page),
    path("sync-page/", views.sync_page),
    path("large/", views.be_large),
    path("slow/", views.be_slow),
    path("fail-midway/", views.fail_midway),
    path("channels/", views.count_channels),
]
