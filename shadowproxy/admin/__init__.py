"""The admin listener: API, metrics, health and the dashboard, on aiohttp."""
