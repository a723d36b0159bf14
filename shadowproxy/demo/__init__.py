"""The demo: a small shop in two versions, real traffic through the real proxy, and what its report has to show."""
