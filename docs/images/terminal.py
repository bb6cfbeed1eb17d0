"""Makes a picture of what a command printed.

COMMAND | PYTHONPATH=. python docs/images/terminal.py COMMAND FILE.png
"""

import html
import sys

from tests.browser import launched

PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #14171c; }}
pre {{ display: inline-block; margin: 0; padding: 20px 24px; color: #d7dce2;
  font: 14px/1.5 "DejaVu Sans Mono", monospace; }}
b {{ color: #fff; }}
</style><pre><b>$ {command}</b>\n{output}</pre>"""


def main(command, file):
    text = PAGE.format(command=html.escape(command), output=html.escape(sys.stdin.read().rstrip()))
    with launched() as browser:
        page = browser.new_page(device_scale_factor=1.5)
        page.set_content(text)
        page.locator("pre").screenshot(path=file)


main(*sys.argv[1:])
