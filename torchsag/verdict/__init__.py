"""Whether a run can be believed: checks for what really goes wrong, each with a stable code, and their sum."""

from torchsag.verdict.finding import Finding, Severity, Trust, Verdict

__all__ = ["Finding", "Severity", "Trust", "Verdict"]
