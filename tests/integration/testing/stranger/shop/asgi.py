from django.core.asgi import get_asgi_application

from asgi_tasks.asgi import PushEndpoint

django_application = get_asgi_application()
application = PushEndpoint(django_application)
