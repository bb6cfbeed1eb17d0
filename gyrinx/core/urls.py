from django.urls import path

from . import views

urlpatterns = [
    path("accounts/sign-up/", views.sign_up, name="sign-up"),
    path("accounts/welcome/", views.welcome_again, name="welcome-again"),
    path("gangs/", views.gang_list, name="gang-list"),
    path("gangs/new/", views.gang_create, name="gang-create"),
    path("gangs/<uuid:pk>/", views.gang_detail, name="gang-detail"),
    path("gangs/<uuid:pk>/edit/", views.gang_update, name="gang-update"),
    path("gangs/<uuid:pk>/live/", views.gang_live, name="gang-live"),
    path("gangs/<uuid:pk>/refresh/", views.gang_refresh, name="gang-refresh"),
    path("gangs/<uuid:pk>/fighters/", views.fighter_create, name="fighter-create"),
    path("fighters/<uuid:pk>/", views.fighter_update, name="fighter-update"),
    path("fighters/<uuid:pk>/retire/", views.fighter_delete, name="fighter-delete"),
    path("campaigns/", views.campaign_list, name="campaign-list"),
    path("campaigns/new/", views.campaign_create, name="campaign-create"),
    path("campaigns/<uuid:pk>/", views.campaign_detail, name="campaign-detail"),
    path("campaigns/<uuid:pk>/live/", views.campaign_live, name="campaign-live"),
    path("campaigns/<uuid:pk>/refresh/", views.campaign_refresh, name="campaign-refresh"),
    path("campaigns/<uuid:pk>/reports/", views.report_create, name="report-create"),
    path("reports/<uuid:pk>/", views.report_download, name="report-download"),
]
