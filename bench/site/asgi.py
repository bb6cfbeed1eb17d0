from django.core.asgi import get_asgi_application

from asgi_tasks.asgi import PushEndpoint

application = PushEndpoint(get_asgi_application())
