"""How fast one subscription is pushed: Google's push window and push backoff, approximated."""

from collections.abc import Callable
from typing import Final

from asgi_tasks.emulator.broker.model import Timing

# https://cloud.google.com/pubsub/docs/push: "100 milliseconds to 60 seconds".
SHORTEST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 60.0
# Whatever the time factor: an endpoint that is down must not keep a core busy.
SHORTEST_SCALED_PAUSE: Final = 0.01
# Google's window grows to 3,000 and more; this is as many sockets as a laptop serves well.
WIDEST: Final = 1_000


class PushFlow:
    """
    Every acknowledged push widens the window by one, so that it doubles with each round. A failure
    halves it and pauses the subscription, longer each time until pushes are acknowledged again;
    failures that arrive during a pause belong to the one that began it.
    """

    def __init__(self, *, clock: Callable[[], float], timing: Timing) -> None:
        self._clock = clock
        self._factor = timing.factor
        self._strikes = 0
        self.window = timing.push_window
        self.paused_until = 0.0

    def room(self, in_flight: int) -> int:
        """How many more may be under way, once no pause lasts."""
        return max(0, self.window - in_flight)

    def acknowledged(self) -> None:
        self._strikes = max(0, self._strikes - 1)
        self.window = min(self.window + 1, max(WIDEST, self.window))

    def failed(self) -> None:
        now = self._clock()
        if now < self.paused_until:
            return
        pause = min(LONGEST_PAUSE, SHORTEST_PAUSE * 2.0 ** min(self._strikes, 60))
        self._strikes += 1
        self.window = max(1, self.window // 2)
        self.paused_until = now + max(pause * self._factor, SHORTEST_SCALED_PAUSE)

    def resume(self) -> None:
        self.paused_until = 0.0
