"""Rollouts: plan, phase table, step function, analysis, freezes and words. Pure; time is passed in."""
