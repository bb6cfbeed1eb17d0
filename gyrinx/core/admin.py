from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from .models import AnalyticsEvent, Campaign, CampaignReport, Gang, User

admin.site.register(User, UserAdmin)
admin.site.register(Campaign)


@admin.register(Gang)
class GangAdmin(admin.ModelAdmin):
    list_display = ("name", "owner", "campaign", "rating")
    search_fields = ("name",)


@admin.register(CampaignReport)
class CampaignReportAdmin(admin.ModelAdmin):
    list_display = ("campaign", "status", "requested_by", "requested_at", "task_id")
    list_filter = ("status",)


@admin.register(AnalyticsEvent)
class AnalyticsEventAdmin(admin.ModelAdmin):
    list_display = ("name", "user", "happened_at")
    list_filter = ("name",)
