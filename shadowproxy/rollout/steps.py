"""A plan as the row of its parts in the order of time: what an attempt goes through, one after the other. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from shadowproxy.model.flags import Overlay
from shadowproxy.model.rollout import APPROVE, BLUE_GREEN, FLAG, SHADOW, SOAK, Plan, Stage, Step
from shadowproxy.rollout.phrases import percent
from shadowproxy.rollout.values import State


def steps(plan: Plan) -> tuple[Step, ...]:
    """All parts of a plan. `approve`, `flag` and `soak` keep the weight, the chosen users and the sample of the part
    before, and every part the flags of those before; a `soak` after a flag goes on testing it.
    """
    found: list[Step] = []
    before = Step(0, 0, "", SHADOW, 0.0, bake=plan.stages[0].bake)
    for index, stage in enumerate(plan.stages):
        for step in _parts(index, stage, before):
            found.append(step)
            before = step
    return tuple(found)


def first_of(plan: Plan, stage: str) -> int | None:
    """The index of the first step of the stage of this name."""
    return next((i for i, step in enumerate(steps(plan)) if plan.stages[step.stage].name == stage), None)


def present(state: State) -> Step:
    """The part that a rollout is in: before the start the first, once it is over the one in which it ended."""
    return steps(state.plan)[state.step]


def tested_share(step: Step) -> float | None:
    """The share of all requests by which a part tests the candidate: of its users, or of copies. None: chosen users
    alone, and nobody knows how many they are.
    """
    if step.testing:
        return step.share
    if step.chosen and not step.weight:
        return None
    return step.weight or (1.0 if step.sample is None else step.sample)


def has_users(step: Step) -> bool:
    """Whether anybody gets something new: the candidate, or another variant of a flag."""
    return step.weight > 0.0 or bool(step.chosen) or any(each.weight for each in step.flags)


def _parts(index: int, stage: Stage, before: Step) -> Iterator[Step]:
    first = replace(
        before,
        stage=index,
        part=0,
        name=stage.name,
        kind=stage.kind,
        bake=stage.bake,
        timeout=stage.timeout,
        on_timeout=stage.on_timeout,
        testing="",
    )
    if stage.kind == SHADOW:
        yield replace(first, weight=0.0, chosen=(), sample=stage.sample)
    elif stage.kind in (APPROVE, SOAK):
        yield replace(first, testing=before.testing)
    elif stage.kind == FLAG:
        others = tuple(each for each in before.flags if each.flag != stage.flag)
        for part, wanted in enumerate(stage.weights):
            name = f"{stage.name} {percent(wanted)}" if len(stage.weights) > 1 else stage.name
            overlays = (*others, Overlay(stage.flag, stage.variant, wanted))
            yield replace(first, part=part, name=name, flags=overlays, testing=stage.flag)
    elif stage.kind == BLUE_GREEN:
        yield replace(first, name=f"{stage.name}: preview", weight=0.0, chosen=stage.chosen)
        bake = replace(stage.bake, seconds=max(stage.bake.seconds, stage.keep_blue))
        yield replace(first, part=1, name=f"{stage.name}: switch", weight=1.0, chosen=(), bake=bake)
    else:
        most = 1.0 - stage.holdback
        for part, wanted in enumerate(stage.weights):
            weight = min(wanted, most)
            name = f"{stage.name} {percent(weight)}" if len(stage.weights) > 1 else stage.name
            yield replace(first, part=part, name=name, weight=weight, chosen=stage.chosen)
