"""Log lines that a program can tell apart, tracebacks included."""

import json
import logging


class JsonLines(logging.Formatter):
    def format(self, record):
        fields = {"level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)
