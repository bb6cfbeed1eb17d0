"""What every task of this site does: it leaves a line behind."""

from .points import AFTER, BEFORE, journal, pass_by


def leave_effect(context, number, **facts):
    result = context.task_result
    pass_by(BEFORE, number, context.attempt)
    journal.write(
        "effect",
        id=result.id,
        kind=result.task.name,
        number=number,
        attempt=context.attempt,
        **facts,
    )
    pass_by(AFTER, number, context.attempt)
