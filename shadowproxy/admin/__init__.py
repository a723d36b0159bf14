"""The admin listener: API, metrics, health and an overview page, on aiohttp."""
