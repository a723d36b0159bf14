"""What a run found: samples by case and contestant, and notes about what could not be taken."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: its figures by name, the unit in the name (`_us`, `_ms`, `_mib`)."""

    case: str
    contestant: str
    round: int
    figures: Mapping[str, float]


@dataclass(slots=True)
class Results:
    samples: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, case: str, contestant: str, number: int, figures: Mapping[str, float]) -> None:
        self.samples.append(Sample(case, contestant, number, dict(figures)))

    def values(self, case: str, contestant: str, figure: str) -> list[float]:
        """One value for each round that has the figure; NaN (nothing was answered) is none."""
        found = [
            sample.figures[figure]
            for sample in self.samples
            if sample.case == case and sample.contestant == contestant and figure in sample.figures
        ]
        return [value for value in found if value == value]

    def contestants(self, case: str) -> list[str]:
        """Who has samples in `case`, in the order of their names' first appearance."""
        return list(dict.fromkeys(sample.contestant for sample in self.samples if sample.case == case))
